"""`streamdet engine`: what its verbs print, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import toy_networks
from typer.testing import CliRunner

from streamdet.cli.engine import engine_app
from streamdet.errors import ConfigError, EngineNotFound

RUN = CliRunner()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, its ./engines being the shelf."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    onnx.save(toy_networks.yolov8(names="{0: 'ant', 1: 'bee', 2: 'cat', 3: 'dog'}"), tmp_path / "raw.onnx")
    return tmp_path / "engines"


def test_a_model_is_imported_listed_shown_and_measured(shelf):
    done = RUN.invoke(engine_app, ["import", "raw.onnx", "--name", "pets"], catch_exceptions=False)
    assert 0 == done.exit_code
    assert "0 missing" in done.output
    listed = RUN.invoke(engine_app, ["list"], catch_exceptions=False).output
    assert "pets" in listed
    assert "64x64" in listed
    card = RUN.invoke(engine_app, ["show", "pets"], catch_exceptions=False).output
    for fact in ("family yolov8", "64x64 rgb", "4: ant, bee, cat, dog", "IoU 0.45", "raw.onnx", "onnx-cpu"):
        assert fact in card
    measured = RUN.invoke(engine_app, ["bench", "pets", "--backend", "onnx-cpu", "--seconds", "0.1"])
    assert 0 == measured.exit_code
    assert "network fps" in measured.output


def test_a_broken_engine_is_listed_as_such(shelf):
    (shelf / "old").mkdir(parents=True)
    (shelf / "old" / "manifest.json").write_text("{}")
    assert "broken" in RUN.invoke(engine_app, ["list"], catch_exceptions=False).output


def test_a_suite_is_shown_by_its_parts(shelf):
    (shelf / "both").mkdir(parents=True)
    (shelf / "both" / "manifest.json").write_text(
        '{"schema": "streamdet.engine/1", "name": "both", "kind": "suite", "detect": "finder", "read": "reader"}'
    )
    assert "finder" in RUN.invoke(engine_app, ["show", "both"], catch_exceptions=False).output
    assert "finder then reader" in RUN.invoke(engine_app, ["list"], catch_exceptions=False).output


def test_an_unknown_engine_is_an_error_for_the_caller_to_print(shelf):
    with pytest.raises(EngineNotFound):
        RUN.invoke(engine_app, ["check", "nobody"], catch_exceptions=False)


@pytest.mark.parametrize("told", [["--size", "big"], ["--size", "1x2x3"], ["--colour", "yuv"]])
def test_a_flag_that_makes_no_sense_is_refused(shelf, told):
    with pytest.raises(ConfigError):
        RUN.invoke(engine_app, ["import", "raw.onnx", "--name", "pets", *told], catch_exceptions=False)
    assert not shelf.exists()
