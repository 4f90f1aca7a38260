"""`auto`: measured once, remembered, and never a precision that was not proven."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_engines import parrot

from streamdet.errors import ConfigError, EngineMismatch
from streamdet.infer import backends
from streamdet.infer.backends import CATALOGUE, available, open_backend


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("streamdet.infer.fastest._MEASURE_S", 0.02)
    return tmp_path / "cache" / "streamdet"


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return parrot(tmp_path / "parrot")


def prove(folder: Path, *labels: str, **fields: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0] |= {"proven_on": labels, **fields}
    path.write_text(json.dumps(manifest))


def measured(cache: Path) -> dict[str, float]:
    (answer,) = json.loads((cache / "fastest.json").read_text()).values()
    return answer["measured_ms"]


def test_it_measures_what_is_installed_and_remembers(engine: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    chosen = open_backend(engine)
    names = [found.name for found in available() if found.usable and found.name in ("onnx-cpu", "openvino")]
    assert set(names) == set(measured(own_cache))
    assert chosen.name == min(measured(own_cache), key=measured(own_cache).__getitem__)
    monkeypatch.setattr("streamdet.infer.fastest.seconds_per_run", None)  # a second measurement would fail
    assert chosen.name == open_backend(engine).name


def test_what_is_remembered_decides_and_nonsense_in_the_file_does_not(engine: Path, own_cache: Path):
    open_backend(engine)
    path = own_cache / "fastest.json"
    (key,) = json.loads(path.read_text())
    for name in ("onnx-cpu", "openvino"):
        path.write_text(json.dumps({key: {"fastest": name}}))
        if CATALOGUE[name].why_not() is None:
            assert name == open_backend(engine).name
    for nonsense in ("not json", "[]", json.dumps({key: {"fastest": "gone"}}), json.dumps({key: 3})):
        path.write_text(nonsense)
        assert open_backend(engine).name in ("onnx-cpu", "openvino")


def test_without_a_place_to_write_it_still_chooses(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert open_backend(engine).name in ("onnx-cpu", "openvino")


def test_bf16_is_a_candidate_only_where_it_was_proven(engine: Path, own_cache: Path):
    pytest.importorskip("openvino")
    open_backend(engine)
    assert {"onnx-cpu", "openvino"} == set(measured(own_cache))
    (own_cache / "fastest.json").unlink()
    prove(engine, "onnx-cpu", "openvino", "openvino-bf16")
    open_backend(engine)
    assert {"onnx-cpu", "openvino", "openvino-bf16"} == set(measured(own_cache))


def test_a_precision_that_nobody_proved_is_never_chosen_but_may_be_named(engine: Path):
    prove(engine, precision="int8-u8")
    with pytest.raises(EngineMismatch, match="unproven"):
        open_backend(engine)
    assert "int8-u8" == open_backend(engine, "onnx-cpu", "int8-u8").precision


def test_a_gpu_that_does_not_start_is_logged_and_the_cpu_answers(
    engine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fails(*_: object) -> None:
        raise EngineMismatch("CUDAExecutionProvider is installed and failed to start", got="CPUExecutionProvider")

    there = replace(CATALOGUE["onnx-cuda"], why_not=lambda: None, open=fails)
    monkeypatch.setitem(backends.CATALOGUE, "onnx-cuda", there)
    with caplog.at_level(logging.WARNING):
        assert "cpu" == open_backend(engine).device
    assert "failed to start" in caplog.text
    with pytest.raises(EngineMismatch, match="failed to start"):
        open_backend(engine, "onnx-cuda")


def test_an_unknown_backend_lists_the_known_ones(engine: Path):
    with pytest.raises(ConfigError, match="auto, onnx-cpu, onnx-cuda"):
        open_backend(engine, "tensorflow")


def test_bf16_with_the_tail_in_the_graph_is_refused(engine: Path):
    pytest.importorskip("openvino")
    with pytest.raises(EngineMismatch, match="move boxes"):
        open_backend(engine, "openvino", "bf16", tail="graph")
    assert "bf16" == open_backend(engine, "openvino", "bf16").precision
