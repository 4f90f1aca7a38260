"""Building a plan, or finding one that fits: beside the model, or in the cache where that folder is read-only."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamdet.errors import ConfigError, EngineMismatch, MissingExtra
from streamdet.infer.cache import writable_folder
from streamdet.infer.cuda_calls import Cuda
from streamdet.infer.shelf import Engine
from streamdet.infer.tensorrt_plan import (
    AMPERE,
    PRECISIONS,
    BuildOptions,
    Machine,
    PlanCard,
    StoredPlan,
    folder_to_write,
    plan_name,
    store,
    stored_plans,
)
from streamdet.manifest import EngineFile

Watcher = Callable[[str, float], None]  # what it is doing, and how far it is, 0 to 1

OLDEST = (10, 1)  # with the memory calls that the sessions use
NEWEST_MAJOR = 11
_TOLD_EVERY_S = 10.0
_log = logging.getLogger(__name__)


def probe(gpu: int = 0) -> tuple[Cuda, Machine]:
    """That GPU, current in this thread, and what a plan must fit there; an error says what is missing.

    The driver is asked first: TensorRT without one takes the process down.
    """
    cuda = Cuda(gpu)
    try:
        from streamdet.infer import tensorrt_calls
    except (ImportError, OSError, RuntimeError) as error:  # its loader raises what its libraries raise
        missing = MissingExtra("tensorrt", None, "backend tensorrt")
        missing.got = str(error) or type(error).__name__
        missing.hint = "on a server: pip install tensorrt-cu13 (or -cu12, as the driver); on a Jetson it is JetPack's"
        raise missing from error
    numbers = tuple(int(part) for part in tensorrt_calls.VERSION.split(".")[:2])
    if numbers < OLDEST or numbers[0] > NEWEST_MAJOR:
        raise EngineMismatch(
            "this TensorRT is not one that streamdet knows",
            expected=f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST_MAJOR}.x",
            got=tensorrt_calls.VERSION,
        )
    return cuda, Machine(tensorrt_calls.VERSION, cuda.gpu.name, cuda.gpu.compute_capability)


def model_file(engine: Engine, options: BuildOptions) -> tuple[EngineFile, Path]:
    """The engine's file of that precision; the first that TensorRT takes where none is named."""
    precision = options.precision
    if precision is None:
        ours = [file.precision for file in engine.manifest.files if file.precision in PRECISIONS]
        precision = ours[0] if ours else PRECISIONS[0]
    return engine.model(precision)


def find_or_build(
    engine: Engine, options: BuildOptions, here: Machine, watcher: Watcher | None = None
) -> tuple[StoredPlan, bool]:
    """The newest plan that fits, or else a new one; and whether it was built just now."""
    file, _ = model_file(engine, options)
    found = _fitting(engine, file, options, here)
    if found is not None:
        return found, False
    return build_plan(engine, options, here, watcher), True


def build_plan(
    engine: Engine, options: BuildOptions, here: Machine, watcher: Watcher | None = None, *, anew: bool = False
) -> StoredPlan:
    """Build and store a plan; of several processes that want the same one builds and the others wait for it.

    `anew` builds even where a plan that fits has meanwhile been stored.
    """
    file, model = model_file(engine, options)
    batch = options.batch_for(engine)
    if options.all_gpus and here.compute_capability < AMPERE:
        raise ConfigError(
            "a plan for all GPUs is built on Ampere or later", expected="compute capability 8.0", got=str(here)
        )
    path = folder_to_write(engine) / plan_name(file.precision, options, batch, here)
    with _only_one(path):
        meanwhile = None if anew else _fitting(engine, file, options, here)
        if meanwhile is not None:
            return meanwhile
        _log.info("building %s for %s; this takes minutes, once", path.name, here)
        return _built(engine, file, model, options, batch, here, path, watcher or _told_now_and_then(path.name))


def _built(
    engine: Engine,
    file: EngineFile,
    model: Path,
    options: BuildOptions,
    batch: tuple[int, int, int],
    here: Machine,
    path: Path,
    watcher: Watcher,
) -> StoredPlan:
    from streamdet.infer import tensorrt_calls

    seen = engine.manifest.input
    width, height = seen.size
    smallest, best, largest = ((n, seen.channels, height, width) for n in batch)
    recipe = tensorrt_calls.Recipe(
        seen.name,
        (smallest, best, largest),
        options.level,
        None if options.workspace_mib is None else options.workspace_mib << 20,
        options.version_compatible,
        options.all_gpus,
    )
    folder = writable_folder("tensorrt")
    cache = None if folder is None else folder / f"{here.slug}.trt-{here.tensorrt}.timing"
    started = time.perf_counter()
    content, timing = tensorrt_calls.build(
        model, recipe, cache.read_bytes() if cache is not None and cache.exists() else b"", watcher
    )
    if cache is not None and timing:
        cache.write_bytes(timing)
    took_s = round(time.perf_counter() - started, 1)
    card = PlanCard(
        schema="streamdet.plan/1",
        engine=engine.manifest.name,
        precision=file.precision,
        onnx_sha256=file.sha256,
        plan_sha256=hashlib.sha256(content).hexdigest(),
        batch=batch,
        tensorrt=here.tensorrt,
        gpu=here.gpu,
        compute_capability=here.compute_capability,
        system=here.system,
        level=options.level,
        workspace_mib=options.workspace_mib,
        version_compatible=options.version_compatible,
        all_gpus=options.all_gpus,
        took_s=took_s,
    )
    _log.info("built %s in %.0f s, %.1f MB", path.name, took_s, len(content) / 1e6)
    return store(path, content, card)


def _fitting(engine: Engine, file: EngineFile, options: BuildOptions, here: Machine) -> StoredPlan | None:
    for plan in stored_plans(engine, file.precision):
        misfits = plan.card.misfits(here, file.sha256)
        if options.batch is not None and plan.card.batch != options.batch:
            misfits.append(f"for batches {plan.card.batch}, wanted are {options.batch}")
        if not misfits:
            return plan
        _log.info("%s is not used: %s", plan.path.name, "; ".join(misfits))
    return None


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Among processes. The lock goes with the process that holds it; its empty file stays: two could hold one each."""
    with path.with_name(f".{path.name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _told_now_and_then(name: str) -> Watcher:
    """A watcher for where nobody looks at a progress bar: a log line every ten seconds, with what is left."""
    started = told = time.perf_counter()

    def watch(phase: str, fraction: float) -> None:
        nonlocal told
        now = time.perf_counter()
        if now - told >= _TOLD_EVERY_S and fraction > 0:
            told = now
            left_s = (now - started) * (1 - fraction) / fraction
            _log.info("building %s: %.0f %%, %s; about %.0f s left", name, 100 * fraction, phase, left_s)

    return watch
