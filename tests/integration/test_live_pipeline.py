"""Live streams through the whole pipeline, from a real RTSP server that is killed, frozen and brought back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamdet.frames import Event
from streamdet.pipeline.pipeline import Limits, Pipeline, Report
from streamdet.pipeline.stream import Stream
from streamdet.sources.catalogue import make_source
from streamdet.sources.isolated import IsolatedSource
from streamdet.sources.options import SourceOptions
from streamdet.testing import FakeDetector, ListSink

pytestmark = pytest.mark.integration

GOP, FPS = 25, 25
DEADLINE_S = 2.0
Servers = Callable[..., Any]


class Run:
    """A pipeline at work in the background, and what it has written so far."""

    def __init__(self, **streams: Stream) -> None:
        self.sink = ListSink(accepts="both")
        self.pipeline = Pipeline([self.sink], limits=Limits(drain_s=10))
        for name, stream in streams.items():
            self.pipeline.add(name, stream)
        self._report: list[Report] = []
        self._thread = threading.Thread(target=lambda: self._report.append(self.pipeline.run()))

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> Report:
        self.pipeline.stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the pipeline did not stop"
        return self._report[0]

    def frames(self, stream: str) -> int:
        return len(self.sink.of(stream))

    def states(self, stream: str) -> list[Event]:
        return [event for event in list(self.sink.events) if event.stream == stream and event.kind == "stream_state"]

    def state(self, stream: str) -> str:
        return next(status.state for status in self.pipeline.status() if status.stream == stream)


@contextmanager
def running(**streams: Stream) -> Iterator[Run]:
    """Run the streams; afterwards the books balance and no thread is left."""
    before = set(threading.enumerate())
    run = Run(**streams)
    roads = dict(run.pipeline._roads)
    run.start()
    try:
        yield run
    finally:
        report = run.finish()
    for road in roads.values():
        balance = road.ledger.balance()
        assert balance.balanced
        assert 0 == balance.in_flight == road.holding()
    assert all(books.balanced and books.queued == 0 for books in report.sinks.values())
    assert 0 == report.stuck_threads
    assert before == set(threading.enumerate())


def camera(url: str, **options: Any) -> Stream:
    settings = SourceOptions(deadline_s=DEADLINE_S, **options)
    return Stream(make_source("cam", url, settings), (FakeDetector(),), stale_s=5.0)


def wait_for(what: str, condition: Callable[[], bool], limit_s: float) -> float:
    """How long it took; fails with `what` after `limit_s`."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < limit_s, f"{what}: not within {limit_s} s"
        time.sleep(0.01)
    return time.monotonic() - began_s


def test_a_server_that_is_killed_and_restarted_is_back_after_backoff_a_second_and_one_gop(
    rtsp_server: Servers,
) -> None:
    server = rtsp_server(mounts={"/live": {"gop": GOP, "fps": FPS}})
    with running(cam=camera(server.url())) as run:
        wait_for("frames", lambda: run.frames("cam") > 30, 20)
        server.kill()
        wait_for("the loss", lambda: run.state("cam") in ("backoff", "connecting"), DEADLINE_S + 1)
        seen = run.frames("cam")
        time.sleep(1.0)
        assert run.frames("cam") <= seen + 1, "no frame is invented while the camera is gone"
        server.start()
        back_s = time.monotonic()
        waits = [float(event.fields["retry_in_s"]) for event in run.states("cam") if "retry_in_s" in event.fields]
        wait_for("frames again", lambda: any(r.frame.epoch > 0 for r in run.sink.of("cam")), 60)
        took_s = time.monotonic() - back_s
        waits = [float(event.fields["retry_in_s"]) for event in run.states("cam") if "retry_in_s" in event.fields]
    # the wait under way when it came back, a second to connect, one GOP to the first key frame
    assert took_s < max(waits) + 1.0 + GOP / FPS + 1.0
    epochs = [result.frame.epoch for result in run.sink.of("cam")]
    assert sorted(epochs) == epochs
    assert {0, 1} <= set(epochs)
    causes = {event.fields.get("cause") for event in run.states("cam") if event.fields["state"] == "backoff"}
    assert causes <= {"ended", "refused", "stalled", "timeout"}


def test_a_server_that_freezes_is_noticed_within_the_deadline_and_a_second(rtsp_server: Servers) -> None:
    server = rtsp_server(mounts={"/live": {"gop": GOP}})
    with running(cam=camera(server.url())) as run:
        wait_for("frames", lambda: run.frames("cam") > 10, 20)
        server.freeze()
        noticed_s = wait_for("the loss", lambda: run.state("cam") == "backoff", DEADLINE_S + 1.0)
        server.thaw()
    assert noticed_s > DEADLINE_S / 2
    assert "stalled" in {event.fields.get("cause") for event in run.states("cam")}


def test_a_wrong_password_is_retried_slowly(rtsp_server: Servers) -> None:
    server = rtsp_server(mounts={"/live": {}}, user="viewer", password="right")
    with running(cam=camera(server.url(credentials="viewer:hunter2@"))) as run:
        wait_for("the refusal", lambda: run.state("cam") == "backoff", 10)
        event = next(event for event in run.states("cam") if event.fields["state"] == "backoff")
    assert "unauthorised" == event.fields["cause"]
    assert event.fields["retry_in_s"] >= 60
    assert "hunter2" not in str(run.sink.events) + run.pipeline.meter.text()


def test_a_certificate_that_nobody_trusts_is_told_as_tls(rtsp_server: Servers, certificate: tuple[Path, Path]) -> None:
    server = rtsp_server(mounts={"/live": {}}, certificate=str(certificate[0]), key=str(certificate[1]))
    with running(cam=camera(server.url(), transport="tcp")) as run:
        wait_for("the refusal", lambda: run.state("cam") == "backoff", 10)
    assert "tls" == next(event for event in run.states("cam") if "cause" in event.fields).fields["cause"]


def test_one_camera_that_dies_again_and_again_costs_the_others_no_frame(rtsp_server: Servers) -> None:
    # Ten frames a second: a machine that hiccups for less than 100 ms loses none of them either.
    mounts = {"/live": {"gop": 10, "fps": 10}}
    dying = rtsp_server(mounts=mounts)
    steady = {f"steady{number}": camera(rtsp_server(mounts=mounts).url()) for number in range(3)}
    with running(dying=camera(dying.url()), **steady) as run:
        wait_for("all four", lambda: all(run.frames(name) > 10 for name in (*steady, "dying")), 30)
        before = {name: run.frames(name) for name in steady}
        dropped_before = {status.stream: status.dropped for status in run.pipeline.status()}
        for _ in range(3):
            dying.kill()
            time.sleep(0.7)
            dying.start()
            time.sleep(1.5)
        dropped = {status.stream: status.dropped for status in run.pipeline.status()}
    assert [0, 0, 0] == [dropped[name] - dropped_before[name] for name in steady]
    for name in steady:
        indices = [result.frame.index for result in run.sink.of(name)][before[name] :]
        assert len(indices) > 30
        assert list(range(indices[0], indices[0] + len(indices))) == indices
        assert {0} == {result.frame.epoch for result in run.sink.of(name)}, "they were never disconnected"
    assert max(result.frame.epoch for result in run.sink.of("dying")) >= 1


@pytest.mark.parametrize(("kill", "cause"), [(signal.SIGSEGV, "crashed"), (signal.SIGSTOP, "stalled")])
def test_an_isolated_decoder_that_dies_or_hangs_costs_its_own_stream_only(
    rtsp_server: Servers, kill: signal.Signals, cause: str
) -> None:
    server = rtsp_server(mounts={"/live": {"gop": GOP}, "/other": {"gop": GOP}})
    isolated = camera(server.url(), isolate=True)
    source = isolated.source
    assert isinstance(source, IsolatedSource)
    with running(isolated=isolated, other=camera(server.url("/other"))) as run:
        wait_for("frames", lambda: run.frames("isolated") > 10 and run.frames("other") > 10, 30)
        child = source.child_pid
        assert child is not None
        os.kill(child, kill)
        noticed_s = wait_for("the loss", lambda: run.state("isolated") == "backoff", DEADLINE_S + 3)
        wait_for("frames again", lambda: any(r.frame.epoch > 0 for r in run.sink.of("isolated")), 30)
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert noticed_s < DEADLINE_S + 1.5
    assert cause in {event.fields.get("cause") for event in run.states("isolated")}
    assert {0} == {result.frame.epoch for result in run.sink.of("other")}, "it was never disconnected"


def test_cameras_may_be_down_at_the_start(rtsp_server: Servers) -> None:
    server = rtsp_server(mounts={"/live": {"gop": GOP}})
    server.kill()
    with running(cam=camera(server.url())) as run:
        wait_for("the refusal", lambda: run.state("cam") == "backoff", 10)
        server.start()
        wait_for("frames", lambda: run.frames("cam") > 5, 30)
    assert "refused" == next(event for event in run.states("cam") if "cause" in event.fields).fields["cause"]
