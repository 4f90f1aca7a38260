"""Every call of TensorRT, and only calls that 10 and 11 share; imported by constructors, after the driver answered.

Without a driver TensorRT's `Runtime` and `Builder` crash the process instead of raising; whoever imports this module
has asked `cuda_calls.Cuda` first. Precision is never set here: networks are strongly typed, which 11 always does and
10 does when told, so that it lies in the ONNX file alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tensorrt as trt

from streamdet.errors import EngineMismatch, InferenceFailed
from streamdet.infer.session import Port

VERSION = str(trt.__version__)
_MAJOR = int(VERSION.split(".")[0])
_LINES_KEPT = 20

# TensorRT's names of element types → numpy's
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}

Watcher = Callable[[str, float], None]  # what it is doing, and how far it is, 0 to 1


class Logger(trt.ILogger):
    """Keeps TensorRT's last warnings and errors, from whatever thread they come."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._lock = threading.Lock()
        self._errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT."""
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            with self._lock:
                self._errors = [*self._errors, msg.strip()][-_LINES_KEPT:]

    def reason(self) -> str:
        """What it complained of since the last time it was asked."""
        with self._lock:
            errors, self._errors = self._errors, []
        return " · ".join(errors[-3:])[:600] or "TensorRT gave no reason"


class _Progress(trt.IProgressMonitor):
    """Folds TensorRT's nested phases into one number that only grows."""

    def __init__(self, watcher: Watcher) -> None:
        trt.IProgressMonitor.__init__(self)
        self._watcher = watcher
        self._lock = threading.Lock()  # phases report from several threads
        self._phases: dict[str, tuple[str | None, int, int]] = {}  # name → its parent, steps done, steps in all
        self._farthest = 0.0
        self.cancelled = False

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: Any) -> None:
        """Called by TensorRT."""
        with self._lock:
            self._phases[phase_name] = (parent_phase, 0, max(int(num_steps), 1))

    def step_complete(self, phase_name: str, step: Any) -> bool:
        """Called by TensorRT; False stops the build."""
        try:
            with self._lock:
                parent, _, steps = self._phases.get(phase_name, (None, 0, 1))
                self._phases[phase_name] = (parent, min(int(step) + 1, steps), steps)
                self._farthest = max(self._farthest, self._fraction())
                farthest = self._farthest
            self._watcher(phase_name, farthest)
        except KeyboardInterrupt:  # must not travel through TensorRT; the build stops, then it is raised again
            self.cancelled = True
        return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        """Called by TensorRT."""
        with self._lock:
            self._phases.pop(phase_name, None)

    def _fraction(self) -> float:
        """Of the outermost phase: its own steps, and of the step it is in what the phase inside has done."""
        fraction, parent, depth_share = 0.0, None, 1.0
        while True:
            inside = [(done, steps) for above, done, steps in self._phases.values() if (above or None) == parent]
            names = [name for name, (above, _, _) in self._phases.items() if (above or None) == parent]
            if not inside:
                return min(fraction, 1.0)
            done, steps = inside[0]
            fraction += depth_share * done / steps
            depth_share /= steps
            parent = names[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a plan is built with. Shapes are [batch, channels, height, width]: smallest, best, largest."""

    input_name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    level: int
    workspace_bytes: int | None
    version_compatible: bool
    all_gpus: bool


def build(model: Path, recipe: Recipe, timing: bytes, watcher: Watcher) -> tuple[bytes, bytes]:
    """The plan of an ONNX file, and the timing cache after it; EngineMismatch where TensorRT refuses it."""
    logger = Logger()
    builder = trt.Builder(logger)
    # 11 is always strongly typed, and its flag deprecated.
    flags = 0 if _MAJOR >= 11 else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        told = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise _refused(model, " · ".join(told)[:600] or logger.reason())
    progress = _Progress(watcher)
    config = _configured(builder, recipe, timing, logger, model)
    config.progress_monitor = progress
    plan = builder.build_serialized_network(network, config)
    if progress.cancelled:
        raise KeyboardInterrupt
    if plan is None:
        raise _refused(model, logger.reason())
    cache = config.get_timing_cache()
    return _bytes(plan), b"" if cache is None else _bytes(cache.serialize())


def _configured(builder: trt.Builder, recipe: Recipe, timing: bytes, logger: Logger, model: Path) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = recipe.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if recipe.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_bytes)
    if recipe.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if recipe.all_gpus:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    # A cache of another version or GPU is refused; then an empty one is begun.
    if not config.set_timing_cache(config.create_timing_cache(timing), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    profile = builder.create_optimization_profile()
    profile.set_shape(recipe.input_name, *(trt.Dims(shape) for shape in recipe.shapes))
    if config.add_optimization_profile(profile) < 0:
        raise _refused(model, f"the batch profile {[shape[0] for shape in recipe.shapes]}: {logger.reason()}")
    return config


def _refused(model: Path, reason: str) -> EngineMismatch:
    return EngineMismatch(
        "TensorRT cannot build the model",
        where=model,
        expected=f"a graph that TensorRT {VERSION} takes",
        got=reason,
        hint="streamdet engine check NAME lists what its lint says of the graph",
    )


class LoadedPlan:
    """A plan in the GPU's memory, shared by all sessions of a backend."""

    def __init__(self, plan: bytes, *, allow_host_code: bool) -> None:
        self._logger = Logger()
        self._lock = threading.Lock()
        self._runtime = trt.Runtime(self._logger)
        self._runtime.engine_host_code_allowed = allow_host_code
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineMismatch(
                "TensorRT rejects the plan", expected=f"one for TensorRT {VERSION} and this GPU", got=self.reason()
            )
        self._engine = engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        modes = {name: engine.get_tensor_mode(name) for name in names}
        self.inputs = [self._port(name) for name in names if modes[name] == trt.TensorIOMode.INPUT]
        self.outputs = [self._port(name) for name in names if modes[name] == trt.TensorIOMode.OUTPUT]
        self.scratch_bytes = int(engine.get_device_memory_size_for_profile_v2(0))

    def batch(self) -> tuple[int, int, int]:
        """Smallest, best and largest batch of the plan's one profile."""
        shapes = self._engine.get_tensor_profile_shape(self.inputs[0].name, 0)
        smallest, best, largest = (_sizes(shape)[0] for shape in shapes)
        return smallest, best, largest

    def context(self) -> Context:
        """A new way to run it; contexts may be made and used in different threads."""
        with self._lock:
            made = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if made is None:
            raise InferenceFailed("TensorRT cannot make an execution context", got=self.reason())
        return Context(made, self)

    def reason(self) -> str:
        """TensorRT's last complaints."""
        return self._logger.reason()

    def _port(self, name: str) -> Port:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise EngineMismatch("an input or output has a type that numpy lacks", where=name, got=kind)
        sizes = _sizes(self._engine.get_tensor_shape(name))
        return Port(name, _DTYPES[kind], tuple(size if size >= 0 else None for size in sizes))


class Context:
    """One shape of one plan, bound to its memory: after `bind` it can only be run, so that a captured graph stays true.

    Memory for what lies between the layers is given from outside: contexts of one stream share it, as they never run at
    once.
    """

    def __init__(self, made: trt.IExecutionContext, plan: LoadedPlan) -> None:
        self._made = made
        self._plan = plan

    def shape(self, stream: int, name: str, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Fix the input's shape; the shapes of all outputs, by name."""
        self._must(self._made.set_optimization_profile_async(0, stream), "choosing the profile")
        self._must(self._made.set_input_shape(name, tuple(shape)), f"the shape {list(shape)} of {name}")
        shapes = {port.name: _sizes(self._made.get_tensor_shape(port.name)) for port in self._plan.outputs}
        unknown = {name: list(found) for name, found in shapes.items() if min(found, default=0) < 0}
        if unknown:
            raise EngineMismatch(
                "the plan has outputs whose shapes depend on the pictures",
                expected="shapes that follow from the batch, as streamdet engine import makes them",
                got=unknown,
            )
        return shapes

    def bind(self, scratch: tuple[int, int], addresses: dict[str, int]) -> None:
        """Say where everything lies: scratch memory (pointer, size) and each input and output."""
        if scratch[1]:
            self._made.set_device_memory(*scratch)
        for name, address in addresses.items():
            self._must(self._made.set_tensor_address(name, address), f"binding {name}")
        missing = self._made.infer_shapes()
        self._must(not missing, f"shapes of {', '.join(missing)} are missing")

    def enqueue(self, stream: int) -> None:
        """Queue one run."""
        self._must(self._made.execute_async_v3(stream), "enqueueing a run")

    def close(self) -> None:
        """Destroy it now, whoever still holds this object; nothing may be running."""
        del self._made

    def _must(self, worked: bool, what: str) -> None:
        if not worked:
            raise InferenceFailed("TensorRT failed", where=what, got=self._plan.reason())


def _sizes(dims: trt.Dims) -> tuple[int, ...]:
    return tuple(int(dims[i]) for i in range(len(dims)))


def _bytes(memory: object) -> bytes:
    """Of an IHostMemory, which is a buffer, though its bindings' types do not say so."""
    return bytes(memoryview(cast(Any, memory)))
