"""Every method of every station fails at its k-th call, for each k up to 20: the run recovers or ends as designed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InferenceFailed, SinkLost, SourceLost, StreamdetError
from streamdet.frames import Detections, TrackEvent, Tracks
from streamdet.pipeline.pipeline import Limits, Pipeline, Report
from streamdet.pipeline.stream import Stream
from streamdet.testing import FakeDetector, ListSink, ManualClock, Saboteur, SyntheticSource

FRAMES = 24
SABOTAGES = [
    *(("source", method) for method in ("open", "read", "suspects", "close")),
    *(("detector", method) for method in ("worker", "detect", "close")),
    *(("tracker", method) for method in ("__call__", "update", "finish")),
    ("motion", "measure"),
    *(("sink", method) for method in ("open", "write", "close")),
]
FOREIGN: Callable[[], BaseException] = lambda: RuntimeError("sabotage")  # noqa: E731 - a table of factories
OWN: dict[str, Callable[[], BaseException]] = {
    "source": lambda: SourceLost("stalled", "sabotage"),
    "detector": lambda: InferenceFailed("sabotage"),
    "tracker": lambda: ValueError("sabotage"),
    "motion": lambda: ValueError("sabotage"),
    "sink": lambda: SinkLost("sabotage"),
}


class NumberedTracker:
    """Every row is a track of its own."""

    active = 1

    def update(self, detections: Detections, pts_s: float, motion: Any = None) -> Tracks:
        rows = len(detections)
        return Tracks(np.arange(rows, dtype=np.int64), detections.xyxy, np.full(rows, 2, np.uint8))

    def finish(self) -> tuple[TrackEvent, ...]:
        return (TrackEvent("track_ended", 0, 1.0),)


class StillCamera:
    """A camera that does not move."""

    def measure(self, picture: Any, xyxy: Any) -> Any:
        picture.planes  # noqa: B018 - a released picture would raise here
        return np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.mark.parametrize("live", [False, True], ids=["recorded", "live"])
@pytest.mark.parametrize("error", ["foreign", "own"])
@pytest.mark.parametrize(("station", "method"), SABOTAGES)
def test_a_station_that_fails_at_its_kth_call_costs_what_it_should_and_no_more(
    station: str, method: str, error: str, live: bool
) -> None:
    before = set(threading.enumerate())
    for k in range(1, 21):
        raised = FOREIGN if error == "foreign" else OWN[station]
        run_sabotaged(station, method, k, raised, live)
        assert before == set(threading.enumerate()), f"threads left behind at k={k}"


def run_sabotaged(station: str, method: str, k: int, error: Callable[[], BaseException], live: bool) -> None:
    def sabotage(name: str, whole: Any, inside: tuple[str, ...] = ()) -> Any:
        return Saboteur(whole, method, k, error=error, inside=inside) if name == station else whole

    lose_at = {8: "ended"} if live else None
    source = SyntheticSource(frames=FRAMES, live=live, lose_at=lose_at)  # type: ignore[arg-type]
    detector, sink = FakeDetector(), ListSink()
    with ManualClock() as clock:
        pipeline = Pipeline([sabotage("sink", sink)], clock=clock, limits=Limits(give_up_s=20, drain_s=20), cores=2)
        make_tracker = sabotage("tracker", lambda previous, gap_s: NumberedTracker())
        stream = Stream(
            sabotage("source", source),
            (sabotage("detector", detector, inside=("worker",)),),
            tracker=make_tracker,
            motion=lambda: sabotage("motion", StillCamera()),
            stale_s=1e9,
        )
        pipeline.add("one", stream)
        road = pipeline._roads["one"]
        if station == "sink" and method == "open" and k == 1:
            with pytest.raises(StreamdetError, match="sabotage"):
                pipeline.run()
            assert source.opens == 0, "a run that cannot write must not begin"
            return
        report = pipeline.run()
    check(pipeline, report, road, k)
    assert source.leases == 0, "a picture was not given back"
    assert detector.open_workers == 0 or method == "close"
    if station not in ("source", "sink"):
        assert report.streams[0].captured == FRAMES, "a station behind the source cost it frames"
    if station == "sink" and method == "write":
        assert report.sinks["list"].written == report.sinks["list"].offered, "what a sink refused comes again"
    if station in ("detector", "tracker", "motion") and not live:
        assert list(range(FRAMES)) == [result.frame.index for result in sink.results]


def check(pipeline: Pipeline, report: Report, road: Any, k: int) -> None:
    balance = road.ledger.balance()
    assert balance.balanced
    assert balance.in_flight == 0 == road.holding(), f"frames lost in silence at k={k}"
    assert all(books.balanced and books.queued == 0 for books in report.sinks.values())
    assert report.stuck_threads == 0
    status = report.streams[0]
    assert status.state in ("ended", "failed")
    assert (status.state == "failed") == (report.exit_code == 3)
