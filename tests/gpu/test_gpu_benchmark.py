"""benchmarks/gpu.py runs everywhere: `not seen` without a GPU, and its TensorRT part on the pretended machine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pretended import MakeMachine
from tiny_engines import parrot

from streamdet.infer.shelf import Engine, open_engine

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules["gpu_benchmark"] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        spec.loader.exec_module(made)
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    found = open_engine(parrot(tmp_path / "parrot"))
    assert isinstance(found, Engine)
    return found


def test_without_a_gpu_every_section_says_what_it_has_not_seen_and_why(
    benchmark: ModuleType, engine: Engine, tmp_path: Path
):
    if benchmark.machine()["gpu"].__class__ is not str:
        pytest.skip("this machine has a GPU: run benchmarks/gpu.py itself")
    command = [sys.executable, str(SCRIPT), "--engine", str(engine.folder), "--out", str(tmp_path / "gpu.json")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert 0 == run.returncode, run.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    sections = ["kernels", "NVDEC", "tensorrt", "onnx-cuda", "suppression", "torch graph", "synchronisation"]
    assert [*sections, "whole road", *["targets"] * 4] == [row["section"] for row in rows]
    assert all(row["value"] is None and row["why"] for row in rows)
    assert len(rows) == run.stdout.count("not seen")


def test_each_target_is_judged_by_its_worst_figure(benchmark: ModuleType):
    def row(section: str, what: str, value: float, met: bool) -> object:
        return benchmark.Row(section, what, value, "%", ">= 60", met)

    rows = [
        row("kernels", "letterbox nv12: of copy bandwidth", 71.0, True),
        row("kernels", "letterbox p010: of copy bandwidth", 55.0, False),
        row("suppression", "of the network's time, batch 16", 3.0, True),
        benchmark.Row("synchronisation", "everything", None, why="numba finds no CUDA"),
    ]
    told = benchmark.verdicts(rows)
    assert [(55.0, False), (3.0, True), (None, None), (None, None)] == [(each.value, each.met) for each in told]
    assert "numba finds no CUDA" == told[2].why
    table = benchmark.table(told)
    assert [1, 1, 2] == [table.count(word) for word in ("**missed**", " met ", "not seen")]


def test_the_torch_graph_computes_what_the_engine_does(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import onnx
    import onnxruntime
    from torch_graph import Lacking, TorchGraph

    for model_path in (engine.folder / "model.onnx", SCRIPT.parents[1] / "engines" / "plate-detector" / "model.onnx"):
        model = onnx.load(model_path)
        port = model.graph.input[0]
        shape = [size.dim_value or 2 for size in port.type.tensor_type.shape.dim]
        pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        with torch.inference_mode():
            found = TorchGraph(model, "cpu")(torch.from_numpy(pictures))
        expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {port.name: pictures})
        for (name, got), wanted in zip(found.items(), expected, strict=True):
            rows = (
                each.reshape(*each.shape[:2], -1) if each.ndim > 1 else each[:, None, None]
                for each in (wanted, got.numpy())
            )
            one, other = (each.astype(np.float64) for each in rows)
            # Noise gives many rows whose scores differ by less than rounding does: their order is anybody's.
            apart = np.abs(one[:, :, None] - other[:, None]).max(axis=3).min(axis=2)
            assert apart.max() < 1e-2, name
        cut = TorchGraph(model, "cpu", ("sd_boxes", "sd_scores"))
        assert len(cut._nodes) < len(model.graph.node)
    model.graph.node[0].op_type = "Einsum"
    with pytest.raises(Lacking, match="Einsum"):
        TorchGraph(model, "cpu")


def test_the_suppressions_share_is_measured_between_two_plans(
    benchmark: ModuleType, engine: Engine, machine: MakeMachine
):
    bench = machine()
    (row,) = benchmark.suppression(engine, 0.001)
    assert ("%", 2) == (row.unit, bench.builds)
    assert row.value is not None
    assert 0 == bench.driver.allocated()[0]


def test_latency_is_measured_for_every_batch_that_the_plan_takes(
    benchmark: ModuleType, engine: Engine, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
):
    machine()
    monkeypatch.setattr("streamdet.graft.check.check_engine", lambda engine: type("Report", (), {"rows": ()}))
    rows = list(benchmark.runtime(engine, "tensorrt", 0.001))
    assert ["fp32, batch 1: latency", "fp32, batch 4: latency"] == [row.what for row in rows if row.unit == "ms"]
    assert all(row.value for row in rows)
