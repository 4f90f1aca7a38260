"""Sessions on TensorRT: right answers, nothing allocated, and every way to fail. Driver and TensorRT are fakes here."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from pretended import VERSIONS, MakeMachine
from tiny_engines import parrot, scene

from streamdet.errors import EngineMismatch, InferenceFailed, MissingExtra
from streamdet.infer import cuda_calls, tensorrt
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine, open_engine
from streamdet.infer.tensorrt_build import build_plan, probe
from streamdet.infer.tensorrt_plan import BuildOptions

CLASSES, N = 3, 64


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    found = open_engine(parrot(tmp_path / "parrot"))
    assert isinstance(found, Engine)
    return found


def picture(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    low = random.integers(0, 12, (N, 2))
    boxes = np.concatenate([low, low + random.integers(1, 6, (N, 2))], axis=1).astype(np.uint8)
    return scene(boxes, (random.integers(0, 13, (N, CLASSES)) * 20).astype(np.uint8), N)


def expected(engine: Engine, *pictures: np.ndarray) -> dict[str, np.ndarray]:
    backend = open_backend(engine, "onnx-cpu", tail="graph")
    session = backend.session()
    session.input(len(pictures))[:] = np.stack(pictures)
    return {meaning: np.array(array) for meaning, array in session.run(len(pictures)).items()}


def same(wanted: dict[str, np.ndarray], got: object) -> bool:
    return all(np.array_equal(wanted[meaning], got[meaning]) for meaning in wanted)  # type: ignore[index]


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_equal_those_of_the_cpu_for_every_batch_first_and_later(
    version: str, engine: Engine, machine: MakeMachine
):
    machine(version)
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    for seed, n in enumerate([1, 4, 2, 3, 4, 1, 2]):
        pictures = [picture(seed * 10 + i) for i in range(n)]
        session.input(n)[:] = np.stack(pictures)
        assert same(expected(engine, *pictures), session.run(n))
    session.close()


def test_a_steady_state_allocates_nothing_and_is_one_launch_and_one_wait_per_batch(
    engine: Engine, machine: MakeMachine
):
    bench = machine()
    session = open_backend(engine, "tensorrt").session()
    for n in (1, 4):
        session.run(n)
    before = bench.driver.allocated()
    bench.driver.calls.clear()
    for n in (4, 1, 4):
        session.input(n)[:] = 7
        session.run(n)
    assert before == bench.driver.allocated()
    once = ["cuCtxSetCurrent", "cuGraphLaunch", "cuEventRecord", "cuEventSynchronize"]
    assert once * 3 == bench.driver.calls
    session.close()


def test_everything_is_given_back(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    session.run(2)
    session.close()
    session.close()
    assert (0, 0) == (bench.driver.allocated()[0], len(bench.driver.graphs))
    assert {} == bench.driver.streams
    assert {} == bench.driver.events
    with pytest.raises(InferenceFailed, match="closed"):
        session.run(1)
    del session
    assert {} == bench.driver.pinned


def test_pinned_memory_lives_as_long_as_anyone_looks_at_it(engine: Engine, machine: MakeMachine):
    bench = machine()
    session = open_backend(engine, "tensorrt").session()
    batch = session.input(2)
    answers = dict(session.run(2))
    session.close()
    del session
    batch[:] = 3
    assert (3 == batch).all()
    assert 2 == len(answers["count"])
    del answers, batch
    assert {} == bench.driver.pinned


def test_two_sessions_in_two_threads_do_not_wait_for_each_other(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    first, second = backend.session(), backend.session()
    for session in (first, second):
        session.run(1)
    first.input(1)[0] = picture(1)
    second.input(1)[0] = picture(2)
    bench.faults.hold = held = threading.Event()
    results: dict[str, dict[str, np.ndarray]] = {}
    thread = threading.Thread(target=lambda: results.update(first={k: np.array(v) for k, v in first.run(1).items()}))
    thread.start()
    assert bench.faults.holding.wait(5)
    assert same(expected(engine, picture(2)), second.run(1))
    assert thread.is_alive()
    held.set()
    thread.join()
    assert same(expected(engine, picture(1)), results["first"])


def test_a_session_is_opened_while_another_thread_captures(engine: Engine, machine: MakeMachine):
    machine()
    backend = open_backend(engine, "tensorrt")
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(3):
                session = backend.session()
                for n in (1, 2, 3, 4):
                    session.run(n)
                session.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures


def test_closing_a_stuck_session_returns_at_once_and_its_run_cleans_up_when_it_ends(
    engine: Engine, machine: MakeMachine
):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    session.run(1)
    bench.faults.hold = held = threading.Event()
    thread = threading.Thread(target=session.run, args=(1,))
    thread.start()
    assert bench.faults.holding.wait(5)
    session.close()
    backend.close()
    assert 1 == len(bench.driver.streams)  # still in use
    held.set()
    thread.join(5)
    assert {} == bench.driver.streams
    assert {} == bench.driver.device


def test_a_run_that_passes_its_deadline_is_abandoned_and_the_next_session_answers(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    stuck = backend.session()
    stuck.run(1)
    bench.faults.hold = held = threading.Event()
    thread = threading.Thread(target=stuck.run, args=(1,), daemon=True)
    thread.start()
    assert bench.faults.holding.wait(5)
    other = backend.session()
    other.input(1)[0] = picture(4)
    assert same(expected(engine, picture(4)), other.run(1))
    held.set()
    thread.join(5)


def test_a_failed_enqueue_is_an_error_with_tensorrts_words_and_ends_the_session(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    bench.faults.enqueue = True
    with pytest.raises(InferenceFailed, match="kernel launch failed"):
        session.run(1)
    with pytest.raises(InferenceFailed, match="closed"):
        session.run(1)
    assert {} == bench.driver.device
    assert 1 == len(backend.session().run(1)["count"])


def test_a_lost_context_fails_this_and_every_later_run_and_close_does_not_raise(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    session.run(1)
    bench.faults.lose_context = True
    with pytest.raises(InferenceFailed, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        session.run(1)
    session.close()
    with pytest.raises(InferenceFailed):
        backend.session()


@pytest.mark.parametrize("call", ["cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate"])
def test_out_of_memory_at_any_place_is_a_message_and_leaves_nothing_behind(
    call: str, engine: Engine, machine: MakeMachine
):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    bench.driver.failures[call] = 2
    with pytest.raises(InferenceFailed, match="CUDA_ERROR_OUT_OF_MEMORY"):
        backend.session()
    assert {} == bench.driver.device
    assert {} == bench.driver.pinned
    assert {} == bench.driver.streams
    assert 1 == len(backend.session().run(1)["count"])


def test_a_gpu_that_is_full_is_a_message(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    bench.driver.memory_bytes = 6000
    with pytest.raises(InferenceFailed, match="OUT_OF_MEMORY"):
        backend.session()
    assert {} == bench.driver.device


def test_missing_shapes_are_named(engine: Engine, machine: MakeMachine):
    bench = machine()
    session = open_backend(engine, "tensorrt").session()
    bench.faults.missing = ["mask_hint"]
    with pytest.raises(InferenceFailed, match="shapes of mask_hint are missing"):
        session.run(1)


def test_no_context_and_no_binding_are_errors_with_their_place(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    bench.faults.address = True
    with pytest.raises(InferenceFailed, match="binding picture"):
        session.run(1)
    bench.faults.contexts = True
    with pytest.raises(InferenceFailed, match="out of memory"):
        backend.session()
    assert {} == bench.driver.device


def test_outputs_that_depend_on_the_pictures_are_refused(engine: Engine, machine: MakeMachine):
    bench = machine()
    backend = open_backend(engine, "tensorrt")
    bench.faults.data_dependent = True
    with pytest.raises(EngineMismatch, match="depend on the pictures"):
        backend.session()


def test_what_cannot_be_captured_runs_all_the_same_and_is_said(
    engine: Engine, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine()
    bench.faults.capture = True
    session = open_backend(engine, "tensorrt").session()
    for seed in range(3):
        session.input(1)[0] = picture(seed)
        assert same(expected(engine, picture(seed)), session.run(1))
    assert 1 == caplog.text.count("cannot be captured")
    assert {} == bench.driver.graphs


def test_a_plan_for_fewer_pictures_narrows_what_the_backend_promises(engine: Engine, machine: MakeMachine):
    machine()
    _, here = probe()
    build_plan(engine, BuildOptions(batch=(2, 2, 3)), here)
    backend = open_backend(engine, "tensorrt")
    assert (2, 3) == backend.manifest.input.batch
    session = backend.session()
    with pytest.raises(InferenceFailed, match="1 to 3"):
        session.input(4)
    session.input(1)[0] = picture(9)  # fewer than the smallest: the rest of the batch is run and left out
    assert same(expected(engine, picture(9)), session.run(1))


def test_a_shape_outside_of_the_profile_is_an_error(engine: Engine, machine: MakeMachine):
    machine()
    backend = open_backend(engine, "tensorrt")
    session = backend.session()
    with pytest.raises(InferenceFailed, match="lies outside of the profile"):
        session._network._prepare(9, copies_in=True)  # type: ignore[union-attr]


def test_a_missing_driver_is_a_message_and_tensorrt_is_never_touched(
    machine: MakeMachine, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    machine()
    monkeypatch.undo()
    monkeypatch.setattr(cuda_calls, "LIBRARY", "libcuda-that-is-not-there.so.1")
    assert "NVIDIA driver is not installed" in (tensorrt.why_not() or "")
    with pytest.raises(MissingExtra, match="NVIDIA driver"):
        open_backend(engine, "tensorrt")


def test_a_driver_without_a_gpu_is_a_message(machine: MakeMachine, engine: Engine):
    bench = machine()
    bench.driver.failures["cuInit"] = 100
    assert "CUDA_ERROR_NO_DEVICE" in (tensorrt.why_not() or "")
    bench.driver.devices = 0
    assert "no such GPU" in (tensorrt.why_not() or "")
    assert "no such GPU" in (cuda_calls.why_not() or "")
    bench.driver.devices = 1
    assert None is tensorrt.why_not()


def test_a_driver_that_lacks_a_call_is_too_old(machine: MakeMachine):
    bench = machine()
    del bench.driver.cuGraphInstantiateWithFlags
    assert "too old" in (tensorrt.why_not() or "")


def test_a_missing_tensorrt_says_where_to_get_it(machine: MakeMachine, monkeypatch: pytest.MonkeyPatch):
    machine()
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    assert "pip install tensorrt-cu13" in (tensorrt.why_not() or "")


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "12.0.0"])
def test_a_tensorrt_that_nobody_read_is_refused(version: str, machine: MakeMachine):
    machine(version)
    assert f"got: {version}" in (tensorrt.why_not() or "")


def test_auto_takes_tensorrt_where_it_works_and_says_why_where_it_does_not(
    engine: Engine, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine()
    assert "tensorrt" == open_backend(engine).name
    bench.faults.reject_plans = 9
    with caplog.at_level(logging.WARNING):
        assert open_backend(engine).name in ("onnx-cpu", "openvino")
    assert "rejects the plan" in caplog.text
