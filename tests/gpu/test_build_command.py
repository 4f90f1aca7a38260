"""`streamdet engine build`, on the pretended machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pretended import MakeMachine
from tiny_engines import parrot
from typer.testing import CliRunner

from streamdet.cli.engine import engine_app
from streamdet.errors import ManifestInvalid, MissingExtra


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return parrot(tmp_path / "parrot")


def said(*arguments: object) -> str:
    run = CliRunner().invoke(engine_app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert 0 == run.exit_code, run.output
    return " ".join(run.output.split())


def test_it_builds_says_for_what_and_finds_the_plan_the_next_time(engine: Path, machine: MakeMachine):
    bench = machine()
    first = said("build", engine, "--batch", 1, 2, 3, "--workspace", 64)
    assert "parrot for TensorRT 11.4.0.106, NVIDIA L4 (sm_89)" in first
    assert "model.fp32.nvidia-l4.sm_89.trt-11.4.0.106.b1-2-3.plan: " in first
    assert "built in 0 s" in first
    assert "a plan that fits is there already" in said("build", engine, "--batch", 1, 2, 3)
    assert "built in 0 s" in said("build", engine, "--batch", 1, 2, 3, "--force")
    assert 2 == bench.builds


def test_int8_means_the_symmetric_file(engine: Path, machine: MakeMachine):
    machine()
    with pytest.raises(ManifestInvalid, match="no int8-sym file"):
        said("build", engine, "--precision", "int8")


def test_without_a_driver_it_is_one_message(engine: Path, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streamdet.infer.cuda_calls.LIBRARY", "libcuda-that-is-not-there.so.1")
    with pytest.raises(MissingExtra, match="NVIDIA driver"):
        said("build", engine)
