"""The rows of `engine bench`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_engines import parrot

from streamdet.infer.bench import Load, bench_engine, standard_backends, standard_loads
from streamdet.infer.shelf import Engine, open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    found = open_engine(parrot(tmp_path / "parrot"))
    assert isinstance(found, Engine)
    return found


def test_loads_are_one_thread_all_cores_parallel_sessions_and_a_batch():
    assert [Load(1, 1, 1), Load(1, 8, 1), Load(8, 1, 1), Load(1, 8, 4)] == standard_loads(8, (1, 32))
    assert [Load(1, 1, 1)] == standard_loads(1, (1, 1))
    assert [Load(1, 1, 3), Load(1, 2, 3), Load(2, 1, 3)] == standard_loads(2, (3, 3))


def test_each_row_holds_the_detectors_figures_beside_the_sessions(engine: Engine):
    rows = list(bench_engine(engine, [("onnx-cpu", "fp32")], [Load(1, 1, 1), Load(2, 1, 2)], budget_s=0.02))
    assert [Load(1, 1, 1), Load(2, 1, 2)] == [row.load for row in rows]
    for row in rows:
        assert row.why_not is None
        assert 0 < row.network_ms <= row.latency_ms
        assert 0 < row.frames_per_s <= row.network_frames_per_s


def test_what_cannot_run_is_a_row_that_says_why(engine: Engine):
    (row,) = bench_engine(engine, [("onnx-cpu", "fp16")], [Load(1, 1, 1)], budget_s=0.02)
    assert "no fp16 file" in (row.why_not or "")


def test_every_precision_of_every_backend_here_is_measured(engine: Engine):
    pytest.importorskip("openvino")
    assert {("onnx-cpu", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")} <= set(standard_backends(engine))
