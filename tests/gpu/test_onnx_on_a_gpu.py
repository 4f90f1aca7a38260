"""ONNX Runtime's CUDA and TensorRT providers on the pretended GPU: bound to its memory, one wait per batch."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_onnxruntime
import onnxruntime
import pytest
from fake_onnxruntime import FakeOnnxRuntime
from pretended import Machine, MakeMachine
from test_contract import contract
from tiny_engines import parrot

from streamdet.errors import EngineMismatch, InferenceFailed
from streamdet.infer import tensorrt
from streamdet.infer.backends import open_backend
from streamdet.infer.contract import Backend
from streamdet.infer.session import GpuSession

engine = contract.engine
for _name, _test in vars(contract).items():
    if _name.startswith("test_") and "backend" in _test.__code__.co_varnames[: _test.__code__.co_argcount]:
        globals()[_name] = _test


@pytest.fixture
def bench(machine: MakeMachine) -> Machine:
    return machine(devices=2)


@pytest.fixture
def runtime(bench: Machine, monkeypatch: pytest.MonkeyPatch) -> FakeOnnxRuntime:
    made = FakeOnnxRuntime(bench.driver)
    monkeypatch.setitem(sys.modules, "onnxruntime", made)
    return made


@pytest.fixture(params=["onnx-cuda", "onnx-tensorrt"])
def backend(request: pytest.FixtureRequest, engine: Path, runtime: FakeOnnxRuntime) -> Iterator[Backend]:
    opened = open_backend(engine, request.param)
    yield opened
    opened.close()


def test_the_fakes_calls_take_what_the_real_ones_take():
    for kind in ("IOBinding", "InferenceSession"):
        for name in ("bind_input", "bind_output", "run_with_iobinding", "io_binding", "run"):
            if hasattr(getattr(fake_onnxruntime, kind), name):
                ours = inspect.signature(getattr(getattr(fake_onnxruntime, kind), name))
                theirs = inspect.signature(getattr(getattr(onnxruntime, kind), name))
                assert list(theirs.parameters) == list(ours.parameters), name


def test_a_steady_state_allocates_nothing_and_waits_once_per_batch(backend: Backend, bench: Machine):
    session = backend.session()
    for n in (1, 3):
        session.run(n)
    before = bench.driver.allocated()
    bench.driver.calls.clear()
    for n in (3, 1):
        session.run(n)
    assert before == bench.driver.allocated()
    assert 2 == sum("Synchronize" in call for call in bench.driver.calls)
    session.close()
    assert {} == bench.driver.device
    assert {} == bench.driver.streams


def test_each_session_computes_in_a_stream_of_its_own_on_the_gpu_it_was_opened_for(
    engine: Path, runtime: FakeOnnxRuntime, bench: Machine
):
    backend = open_backend(engine, "onnx-cuda", gpu=1)
    one, other = backend.session(), backend.session()
    assert one.stream.handle != other.stream.handle
    assert {0xC0DE + 1} == {state.context for state in bench.driver.streams.values()}
    for session in (one, other):
        assert 1 == len(session.run(1)["count"])
        session.close()


def test_a_run_that_fails_ends_its_session_and_gives_its_memory_back(
    backend: Backend, runtime: FakeOnnxRuntime, bench: Machine
):
    session = backend.session()
    session.run(1)
    runtime.fail = True
    with pytest.raises(InferenceFailed, match="unspecified launch failure"):
        session.run(1)
    assert {} == bench.driver.device
    with pytest.raises(InferenceFailed, match="closed"):
        session.run(1)
    assert 1 == len(backend.session().run(1)["count"])


def test_a_provider_that_is_there_and_does_not_start_is_refused(engine: Path, runtime: FakeOnnxRuntime):
    runtime.starts = False
    with pytest.raises(EngineMismatch, match="installed and failed to start"):
        open_backend(engine, "onnx-cuda")


def test_a_session_that_finds_no_memory_leaves_none_behind(backend: Backend, bench: Machine):
    bench.driver.failures["cuMemAlloc_v2"] = 2
    with pytest.raises(InferenceFailed, match="OUT_OF_MEMORY"):
        backend.session()
    assert {} == bench.driver.device
    assert {} == bench.driver.streams


def test_auto_takes_it_where_tensorrt_is_not_installed(
    tmp_path: Path, runtime: FakeOnnxRuntime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    tensorrt_is_missing = tensorrt.why_not()
    assert tensorrt_is_missing is not None
    backend = open_backend(parrot(tmp_path / "parrot"))
    assert ("onnx-cuda", "cuda") == (backend.name, backend.device)
    assert isinstance(backend.session(), GpuSession)


def test_a_gpu_that_takes_no_memory_back_is_said_and_one_that_lost_its_context_is_not(backend: Backend, bench: Machine):
    refused, lost = backend.session(), backend.session()
    bench.driver.failures["cuMemFree_v2"] = 1
    with pytest.raises(InferenceFailed, match="cuMemFree_v2"):
        refused.close()
    bench.driver.lose()
    lost.close()
