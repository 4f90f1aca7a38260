"""The whole pipeline on the pretended GPU: a run that hangs, and one that fails, cost their frames and nothing else."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pretended import Machine, MakeMachine
from tiny_engines import parrot

from streamdet.config.assemble import assemble
from streamdet.config.validation import read_options
from streamdet.infer import gpu_input
from streamdet.infer.detector import load_detector
from streamdet.pipeline.pipeline import Pipeline
from streamdet.sources import hardware

FRAMES = 40


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(FRAMES):
        picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)
    return folder


def pipeline_of(tmp_path: Path, pictures: Path, deadline_s: float) -> Pipeline:
    values = {
        "streams": {"s": {"source": str(pictures), "sequence": True}},
        "detect": {"engine": str(parrot(tmp_path / "parrot")), "backend": "tensorrt"},
        "track": {"kind": "none"},
        "sinks": [{"kind": "jsonl", "path": str(tmp_path / "out.jsonl")}],
        "limits": {"inference_deadline_s": deadline_s},
    }
    return assemble(read_options(None, lambda _: values))


def records(tmp_path: Path) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    return [line for line in lines if line["schema"] == "streamdet.result/1"]


def failures(pipeline: Pipeline, reason: str) -> float:
    return pipeline.meter.value("streamdet_inference_failures_total", engine="parrot", reason=reason)


def test_every_frame_is_answered(tmp_path: Path, pictures: Path, machine: MakeMachine):
    machine()
    pipeline_of(tmp_path, pictures, 10.0).run()
    found = records(tmp_path)
    assert FRAMES == len(found)
    assert all(record["objects"] is not None for record in found)


def test_a_run_that_hangs_is_unknown_after_its_deadline_and_a_new_session_goes_on(
    tmp_path: Path, pictures: Path, machine: MakeMachine
):
    bench = machine()
    pipeline = pipeline_of(tmp_path, pictures, 0.5)
    bench.faults.hold = held = threading.Event()
    bench.faults.spared = 6  # first runs of sessions and sizes among them
    pipeline.run()
    assert bench.faults.holding.is_set()
    held.set()
    found = records(tmp_path)
    unknown = [record for record in found if record["objects"] is None]
    assert FRAMES == len(found)
    assert 1 <= len(unknown) <= 4  # one batch
    assert 1 == failures(pipeline, "deadline")
    wait_until_free(bench)


def wait_until_free(bench: Machine) -> None:
    """What was abandoned cleans up after itself."""
    until = time.monotonic() + 5
    while bench.driver.streams and time.monotonic() < until:
        time.sleep(0.01)
    assert {} == bench.driver.streams
    assert {} == bench.driver.device


def test_a_run_that_fails_is_unknown_and_a_new_session_goes_on(tmp_path: Path, pictures: Path, machine: MakeMachine):
    bench = machine()
    pipeline = pipeline_of(tmp_path, pictures, 10.0)
    bench.driver.failures["cuGraphLaunch"] = 719
    pipeline.run()
    found = records(tmp_path)
    assert FRAMES == len(found)
    assert 1 <= sum(record["objects"] is None for record in found) <= 4
    assert 1 == failures(pipeline, "failed")
    wait_until_free(bench)


def test_two_gpus_share_the_work_and_one_that_is_lost_leaves_it_to_the_other(
    tmp_path: Path, pictures: Path, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine(devices=2)
    pipeline = pipeline_of(tmp_path, pictures, 10.0)
    contexts = {state.context for state in bench.driver.streams.values()}
    assert set() == contexts
    bench.faults.lose_after = (1, 3)
    with caplog.at_level(logging.ERROR):
        report = pipeline.run()
    assert 0 == report.exit_code
    found = records(tmp_path)
    assert FRAMES == len(found)
    unknown = sum(record["objects"] is None for record in found)
    assert unknown <= 5 * 4, "five batches, after which it is out of service"
    assert {1} == {context - 0xC0DE for context in bench.driver.lost}
    assert failures(pipeline, "failed") >= 1


def test_an_engine_does_without_a_gpu_that_does_not_start(
    tmp_path: Path, pictures: Path, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine(devices=2)
    bench.driver.lose(1)
    with caplog.at_level(logging.WARNING):
        pipeline_of(tmp_path, pictures, 10.0).run()
    assert FRAMES == len(records(tmp_path))
    assert "parrot does without GPU 1" in caplog.text


def test_a_source_asks_the_pipeline_on_which_gpu_its_pictures_are_wanted(
    tmp_path: Path, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
):
    machine(devices=2)
    clips = [tmp_path / f"{name}.mp4" for name in "ab"]
    for clip in clips:
        clip.write_bytes(hardware._clip(av))
    values = {
        "streams": {clip.stem: {"source": str(clip)} for clip in clips},
        "detect": {"engine": str(parrot(tmp_path / "parrot")), "backend": "tensorrt"},
    }
    pipeline = assemble(read_options(None, lambda _: values))
    sources = [pipeline._roads[name].stream.source for name in "ab"]
    assert [None, None] == [source.place() for source in sources], "no kernels here that could read them there"
    pipeline._roads["a"].stream.detectors[0].takes_surfaces = True
    assert [0, 1] == [source.place() for source in sources]
    pipeline._on_end(pipeline._roads["a"])
    assert 0 == pipeline.place("c", pipeline._roads["b"].stream.detectors)


def test_on_the_cpu_pictures_are_wanted_on_the_host(tmp_path: Path):
    clip = tmp_path / "a.mp4"
    clip.write_bytes(hardware._clip(av))
    engine = str(parrot(tmp_path / "parrot"))
    values = {"streams": {"a": {"source": str(clip)}}, "detect": {"engine": engine, "backend": "onnx-cpu"}}
    pipeline = assemble(read_options(None, lambda _: values))
    assert None is pipeline._roads["a"].stream.source.place()
    pipeline.run()
    assert 1 == pipeline.meter.value("streamdet_stream_decoder", stream="a", decoder="cpu")


@pytest.mark.parametrize("numba", ["without a driver of its own", "not installed"])
def test_without_kernels_for_the_gpu_the_cpu_prepares_pictures_and_it_is_said_once(
    numba: str,
    tmp_path: Path,
    machine: MakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    machine()
    monkeypatch.setattr(gpu_input, "_told", set())
    if numba == "not installed":
        monkeypatch.setitem(sys.modules, "numba", None)
        monkeypatch.setitem(sys.modules, "numba.cuda", None)
    with caplog.at_level(logging.WARNING):
        detector = load_detector(parrot(tmp_path / "parrot"), "tensorrt")
        for _ in range(2):
            detector.worker().close()
    assert not detector.takes_surfaces
    assert 1 == caplog.text.count("pictures are prepared on the CPU: ")
    assert 0 == len(detector(np.zeros((9, 9, 3), np.uint8)))
    detector.close()
