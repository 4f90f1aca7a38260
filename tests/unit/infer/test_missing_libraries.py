"""Each library missing in turn: everything else works, and the message names what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_engines import parrot, scene

from streamdet.errors import MissingExtra
from streamdet.infer.backends import available, open_backend
from streamdet.infer.detector import load_detector


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return parrot(tmp_path / "parrot")


def block(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)


def looks(engine: Path, backend: str) -> int:
    picture = scene(np.array([[1, 1, 5, 5], [20, 1, 25, 5]], np.uint8), np.full((2, 3), 200, np.uint8), 64)
    detector = load_detector(engine, backend)
    try:
        return len(detector(np.ascontiguousarray(picture.transpose(1, 2, 0))))
    finally:
        detector.close()


@pytest.mark.parametrize(
    ("library", "backend", "other", "command"),
    [
        ("openvino", "openvino", "onnx-cpu", "pip install 'streamdet[openvino]'"),
        ("onnxruntime", "onnx-cpu", "openvino", "pip install 'streamdet'"),
    ],
)
def test_a_runtime_that_is_missing_is_named_and_the_other_one_runs(
    engine: Path, monkeypatch: pytest.MonkeyPatch, library: str, backend: str, other: str, command: str
):
    pytest.importorskip(library)
    pytest.importorskip("openvino")
    block(monkeypatch, library)
    with pytest.raises(MissingExtra, match=library) as caught:
        open_backend(engine, backend)
    assert command in str(caught.value)
    reasons = {found.name: found.why_not for found in available()}
    assert command in (reasons[backend] or "")
    assert reasons[other] is None
    assert 2 == looks(engine, other)
    assert 2 == looks(engine, "auto")


def test_without_any_runtime_the_message_says_so(engine: Path, monkeypatch: pytest.MonkeyPatch):
    block(monkeypatch, "openvino")
    block(monkeypatch, "onnxruntime")
    with pytest.raises(MissingExtra, match="onnxruntime"):
        open_backend(engine)


def test_a_gpu_provider_that_is_missing_names_the_extra(engine: Path):
    if "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("it is not missing here")
    for name in ("onnx-cuda", "onnx-tensorrt"):
        with pytest.raises(MissingExtra, match=r"streamdet\[gpu\]"):
            open_backend(engine, name)


def test_without_onnx_the_tail_stays_in_the_graph_only_when_asked(engine: Path, monkeypatch: pytest.MonkeyPatch):
    block(monkeypatch, "onnx")
    with pytest.raises(MissingExtra, match="onnx"):
        open_backend(engine, "onnx-cpu")
    open_backend(engine, "onnx-cpu", tail="graph").close()


WITHOUT_NUMBA = """
import logging, sys
sys.modules["numba"] = None
logging.basicConfig(level=logging.WARNING)
import numpy as np
from streamdet.infer.detector import load_detector
picture = np.load(sys.argv[2])
detector = load_detector(sys.argv[1], "onnx-cpu")
print(detector(picture).xyxy.tolist())
assert "streamdet.infer.kernels" not in sys.modules
"""


def test_without_numba_the_twins_give_the_same_answer_and_say_that_they_are_slow(engine: Path, tmp_path: Path):
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    np.save(tmp_path / "picture.npy", picture)
    command = [sys.executable, "-c", WITHOUT_NUMBA, str(engine), str(tmp_path / "picture.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr
    detector = load_detector(engine, "onnx-cpu")
    assert str(detector(picture).xyxy.tolist()) == done.stdout.strip()
    assert "numba cannot be used" in done.stderr
    detector.close()


def test_loading_openvino_tells_nobody():
    program = (
        "import sys, threading\n"
        "from streamdet.infer.openvino import why_not\n"
        "from streamdet.infer import openvino\n"
        "assert why_not() is None\n"
        "openvino._library()\n"
        "assert 'openvino' in sys.modules\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
        "assert 1 == threading.active_count(), threading.enumerate()\n"
    )
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
