"""The pipeline as a whole, on stations of the kit."""

from __future__ import annotations

import threading
import time

import pytest

from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import Stream
from streamdet.testing import FakeDetector, ListSink, ManualClock, SyntheticSource


def test_every_frame_of_a_recorded_stream_comes_out_once_and_in_order() -> None:
    sink, source = ListSink(), SyntheticSource(frames=200)
    pipeline = Pipeline([sink])
    pipeline.add("one", Stream(source, (FakeDetector(),)))
    report = pipeline.run()
    assert 0 == report.exit_code
    assert list(range(200)) == [result.frame.index for result in sink.of("one")]
    assert 0 == source.leases


def test_four_streams_keep_their_order_with_two_detectors_each() -> None:
    sink = ListSink()
    detectors = (FakeDetector("a", ("car",)), FakeDetector("b", ("plate",)))
    pipeline = Pipeline([sink], cores=3)
    sources = [SyntheticSource(frames=100) for _ in range(4)]
    for number, source in enumerate(sources):
        pipeline.add(f"s{number}", Stream(source, detectors))
    report = pipeline.run()
    for number in range(4):
        results = sink.of(f"s{number}")
        assert list(range(100)) == [result.frame.index for result in results]
        assert ["car", "plate"] == sorted(results[0].detections.name(row) for row in range(2))
    assert all(balance.balanced for balance in report.sinks.values())
    assert [0] * 4 == [source.leases for source in sources]


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    pipeline = Pipeline([ListSink()])
    pipeline.add("one", Stream(SyntheticSource(frames=5), (FakeDetector(),)))
    pipeline.run()
    assert before == set(threading.enumerate())


def test_a_live_stream_that_breaks_off_comes_back_in_a_new_epoch() -> None:
    sink = ListSink()
    source = SyntheticSource(frames=30, live=True, lose_at={10: "refused", 20: "ended"})
    with ManualClock() as clock:
        pipeline = Pipeline([sink], clock=clock)
        pipeline.add("cam", Stream(source, (FakeDetector(),), stale_s=60))
        report = pipeline.run()
    assert 3 == source.opens
    assert {0, 1, 2} == {result.frame.epoch for result in sink.results}
    status = report.streams[0]
    assert 30 == status.captured == status.emitted + status.dropped
    assert ["refused", "ended"] == [
        event.fields["cause"] for event in sink.events if event.fields.get("state") == "backoff"
    ]


def test_a_recorded_source_that_is_lost_fails_the_run() -> None:
    pipeline = Pipeline([ListSink()])
    pipeline.add("one", Stream(SyntheticSource(frames=9, lose_at={5: "codec"}), (FakeDetector(),)))
    report = pipeline.run()
    assert 3 == report.exit_code
    assert ("one",) == report.failed_streams
    assert 5 == report.streams[0].emitted


@pytest.mark.parametrize("live", [True, False])
def test_a_stream_can_be_stopped_in_the_middle(live: bool) -> None:
    sink = ListSink()
    pipeline = Pipeline([sink], limits=Limits(drain_s=5))

    def stop_at_20(number: int) -> None:
        time.sleep(0.001)
        if number == 20:
            pipeline.stop()

    source = SyntheticSource(frames=1000, live=live, before_read=stop_at_20)
    pipeline.add("one", Stream(source, (FakeDetector(),)))
    report = pipeline.run()
    status = report.streams[0]
    assert status.captured < 1000
    assert status.captured == status.emitted + status.dropped
    assert 0 == source.leases
