"""The library: results in a loop, and what went wrong after them."""

from __future__ import annotations

import gc
import socket
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

import streamdet as sd
from streamdet.errors import SinkLost, StreamdetError
from streamdet.frames import Result

BARS = "synthetic:bars?duration=1&fps=12"


def test_a_loop_slower_than_the_pipeline_gets_every_frame_of_a_recording() -> None:
    indices = []
    for result in sd.run(BARS, track="none", limits={"drain_s": 0.1}):
        time.sleep(0.05)
        indices.append(result.frame.index)
    assert list(range(12)) == indices


def test_leaving_the_loop_ends_every_thread() -> None:
    before = set(threading.enumerate())
    results = sd.run(BARS, track="none")
    next(results)
    results.close()
    assert before == set(threading.enumerate())


def test_a_loop_that_never_begins_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    results = sd.run(BARS, track="none")
    del results
    gc.collect()
    assert before == set(threading.enumerate())


def test_an_error_inside_the_loop_is_the_callers_own() -> None:
    before = set(threading.enumerate())

    def stumble() -> None:
        for _ in sd.run(BARS, track="none"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert before == set(threading.enumerate())


def test_a_required_stream_that_failed_is_raised_after_the_others_results(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"")
    results: list[Result] = []
    with pytest.raises(StreamdetError, match="stream broken failed"):
        results.extend(sd.run(BARS, str(tmp_path / "broken.mp4"), track="none"))
    assert 12 == len(results)


def test_a_stream_that_is_not_required_may_fail(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"")
    assert [] == list(sd.run(str(tmp_path / "broken.mp4"), required=False))


def test_a_sink_that_was_given_up_is_raised_after_the_last_result() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    sinks = [{"kind": "jsonl", "path": "/dev/full"}]
    with pytest.raises(SinkLost):
        list(sd.run(BARS, track="none", sinks=sinks, limits={"give_up_s": 0.2}))


def test_the_metrics_that_a_configuration_asks_for_are_served_while_the_loop_runs() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results = sd.run(BARS, track="none", metrics={"port": port, "host": "127.0.0.1"})
    next(results)
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"streamdet_frames_captured_total" in answer.read()
    results.close()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{port}/metrics")
