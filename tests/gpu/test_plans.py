"""Plans: built on first use, found again, refused or rebuilt where they do not fit. TensorRT is a fake here."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from pretended import VERSIONS, MakeMachine
from tiny_engines import parrot

from streamdet.errors import ConfigError, EngineMismatch
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine, open_engine
from streamdet.infer.tensorrt_build import build_plan, find_or_build, probe
from streamdet.infer.tensorrt_plan import BuildOptions, PlanCard, card_path, stored_plans


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    found = open_engine(parrot(tmp_path / "parrot"))
    assert isinstance(found, Engine)
    return found


def only_plan(engine: Engine) -> tuple[Path, PlanCard]:
    (stored,) = stored_plans(engine, "fp32")
    return stored.path, stored.card


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_use_builds_a_plan_and_says_so_and_the_second_finds_it(
    version: str, engine: Engine, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine(version)
    with caplog.at_level(logging.INFO):
        open_backend(engine, "tensorrt").close()
    assert "this takes minutes, once" in caplog.text
    open_backend(engine, "tensorrt").close()
    assert 1 == bench.builds
    path, card = only_plan(engine)
    assert f"model.fp32.nvidia-l4.sm_89.trt-{version}.b1-4-4.plan" == path.name
    assert (version, "NVIDIA L4", (8, 9), (1, 4, 4)) == (card.tensorrt, card.gpu, card.compute_capability, card.batch)
    assert engine.manifest.files[0].sha256 == card.onnx_sha256


def test_options_reach_tensorrt_and_the_card(engine: Engine, machine: MakeMachine):
    machine()
    _, here = probe()
    options = BuildOptions(
        batch=(1, 2, 3), workspace_mib=64, level=5, version_compatible=True, all_gpus=True, precision="fp32"
    )
    stored = build_plan(engine, options, here)
    header = json.loads(stored.content().splitlines()[1])
    assert [1, 3, 64, 7] == header["profile"]["picture"][0]
    assert [1, 2, 3] == [shape[0] for shape in header["profile"]["picture"]]
    assert (64 << 20, 5, True, True) == (
        header["workspace"],
        header["level"],
        header["compatible"],
        header["any_gpu"],
    )
    assert "model.fp32.ampere-or-later.trt-11.4.0.106-or-later.b1-2-3.plan" == stored.path.name
    assert stored.card == PlanCard.model_validate_json(card_path(stored.path).read_text())


@pytest.mark.parametrize("batch", [(0, 1, 2), (2, 1, 4), (1, 2, 99)])
def test_a_batch_that_the_engine_does_not_promise_is_refused(batch, engine: Engine, machine: MakeMachine):
    bench = machine()
    _, here = probe()
    with pytest.raises(EngineMismatch, match="1 <= MIN <= OPT <= MAX <= 4"):
        build_plan(engine, BuildOptions(batch=batch), here)
    assert 0 == bench.builds


def test_a_plan_for_all_gpus_needs_ampere(engine: Engine, machine: MakeMachine):
    machine(name="Tesla T4", capability=(7, 5))
    _, here = probe()
    with pytest.raises(ConfigError, match="Ampere or later"):
        build_plan(engine, BuildOptions(all_gpus=True), here)


def test_another_gpu_or_version_gets_a_plan_of_its_own_beside_the_first(engine: Engine, machine: MakeMachine):
    machine(VERSIONS[0])
    open_backend(engine, "tensorrt").close()
    machine(VERSIONS[1])
    open_backend(engine, "tensorrt").close()
    machine(VERSIONS[1], name="NVIDIA L40S")
    open_backend(engine, "tensorrt").close()
    assert 3 == len(stored_plans(engine, "fp32"))


def test_a_version_compatible_plan_of_10_runs_on_11_and_not_the_other_way(engine: Engine, machine: MakeMachine):
    machine(VERSIONS[0])
    _, here = probe()
    build_plan(engine, BuildOptions(version_compatible=True), here)
    bench = machine(VERSIONS[1])
    open_backend(engine, "tensorrt").close()
    assert 0 == bench.builds
    _, newer = probe()
    card = only_plan(engine)[1].model_copy(update={"tensorrt": newer.tensorrt})
    assert [f"built by TensorRT {VERSIONS[1]}, here is {VERSIONS[0]}"] == card.misfits(here, card.onnx_sha256)


def test_a_plan_for_all_gpus_runs_on_another_one_and_not_on_turing(engine: Engine, machine: MakeMachine):
    machine()
    _, here = probe()
    build_plan(engine, BuildOptions(all_gpus=True), here)
    bench = machine(name="NVIDIA A10", capability=(8, 6))
    open_backend(engine, "tensorrt").close()
    assert 0 == bench.builds
    machine(name="Tesla T4", capability=(7, 5))
    _, turing = probe()
    card = only_plan(engine)[1]
    assert ["built for NVIDIA L4 (sm_89), here is Tesla T4 (sm_75)"] == card.misfits(turing, card.onnx_sha256)


def test_a_new_model_makes_its_old_plan_unfit_and_the_message_names_both(
    engine: Engine, machine: MakeMachine, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    bench = machine()
    open_backend(engine, "tensorrt").close()
    old = engine.manifest.files[0].sha256
    path = engine.folder / "manifest.json"
    other = open_engine(parrot(tmp_path / "other", n_classes=3, nms=engine.manifest.nms, n_candidates=64, batch=(1, 3)))
    (engine.folder / "model.onnx").write_bytes((other.folder / "model.onnx").read_bytes() + b"")
    fields = json.loads(path.read_text())
    import onnx

    model = onnx.load(engine.folder / "model.onnx")
    model.doc_string = "trained once more"
    onnx.save(model, engine.folder / "model.onnx")
    from streamdet.manifest import sha256_of

    new = fields["files"][0]["sha256"] = sha256_of(engine.folder / "model.onnx")
    path.write_text(json.dumps(fields))
    with caplog.at_level(logging.INFO):
        open_backend(engine.folder, "tensorrt").close()
    assert 2 == bench.builds
    assert f"built from model {old[:12]}, the engine's is {new[:12]}" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "rejected"])
def test_a_plan_that_cannot_be_used_is_built_anew_once(
    damage: str, engine: Engine, machine: MakeMachine, caplog: pytest.LogCaptureFixture
):
    bench = machine()
    open_backend(engine, "tensorrt").close()
    if damage == "truncated":
        path, _ = only_plan(engine)
        path.write_bytes(path.read_bytes()[:-100])
    else:
        bench.faults.reject_plans = 1
    backend = open_backend(engine, "tensorrt")
    assert 2 == bench.builds
    assert "is built anew" in caplog.text
    backend.session().close()


def test_a_plan_that_is_rejected_right_after_it_was_built_is_refused_with_both_sides(
    engine: Engine, machine: MakeMachine
):
    bench = machine()
    bench.faults.reject_plans = 2
    with pytest.raises(EngineMismatch, match="rejects the plan that it has just built") as raised:
        open_backend(engine, "tensorrt")
    assert "NVIDIA L4" in raised.value.expected
    assert "safeVersionRead" in raised.value.got
    assert 1 == bench.builds


@pytest.mark.parametrize(
    ("fault", "said"), [("parser", "unsupported operator Foo"), ("build", "could not find any implementation")]
)
def test_what_tensorrt_says_of_a_model_that_it_refuses_is_passed_on(
    fault: str, said: str, engine: Engine, machine: MakeMachine
):
    setattr(machine().faults, fault, said)
    with pytest.raises(EngineMismatch, match=said):
        open_backend(engine, "tensorrt")
    assert [] == stored_plans(engine, "fp32")


def test_a_read_only_shelf_gets_its_plans_in_the_cache(
    engine: Engine, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    bench = machine()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != engine.folder)
    open_backend(engine, "tensorrt").close()
    open_backend(engine, "tensorrt").close()
    assert 1 == bench.builds
    assert tmp_path / "cache" / "streamdet" / "plans" / "parrot" == only_plan(engine)[0].parent


def test_the_timing_cache_is_kept_and_one_of_another_version_is_begun_anew(
    engine: Engine, machine: MakeMachine, tmp_path: Path
):
    machine()
    _, here = probe()
    folder = tmp_path / "cache" / "streamdet" / "tensorrt"
    build_plan(engine, BuildOptions(), here)
    (kept,) = folder.iterdir()
    assert "nvidia-l4.sm_89.trt-11.4.0.106.timing" == kept.name
    assert b"after 1 builds" in kept.read_bytes()
    kept.write_bytes(b"of another machine")
    build_plan(engine, BuildOptions(), here, anew=True)
    assert b"after 2 builds" in kept.read_bytes()


def test_progress_grows_to_the_end_and_is_told_with_what_is_left(
    engine: Engine, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    machine()
    _, here = probe()
    seen: list[float] = []
    build_plan(engine, BuildOptions(), here, lambda phase, fraction: seen.append(fraction))
    assert sorted(seen) == seen
    assert seen[0] == pytest.approx(1 / 8)
    assert seen[-1] == pytest.approx(1.0)
    monkeypatch.setattr("streamdet.infer.tensorrt_build._TOLD_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO):
        build_plan(engine, BuildOptions(), here, anew=True)
    assert "s left" in caplog.text


def test_an_interrupt_stops_the_build_inside_tensorrt_and_leaves_no_plan(engine: Engine, machine: MakeMachine):
    bench = machine()
    _, here = probe()

    def interrupted(phase: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(engine, BuildOptions(), here, interrupted)
    assert bench.faults.cancel_seen
    assert [] == stored_plans(engine, "fp32")


def test_a_plan_for_another_batch_is_not_taken_where_a_batch_is_named(engine: Engine, machine: MakeMachine):
    bench = machine()
    _, here = probe()
    first, built = find_or_build(engine, BuildOptions(batch=(1, 1, 2)), here)
    again, built_again = find_or_build(engine, BuildOptions(batch=(1, 2, 2)), here)
    assert (True, True) == (built, built_again)
    assert first.path != again.path
    assert 2 == bench.builds
