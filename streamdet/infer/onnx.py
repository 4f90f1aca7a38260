"""ONNX Runtime: on the CPU up to the cut, on the CUDA and TensorRT providers the whole graph (see onnx_gpu.py)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, InferenceFailed, MissingExtra
from streamdet.infer.cut import TailPlace, model_for
from streamdet.infer.session import EngineSession, Port, input_buffer, refuse_misfit
from streamdet.infer.shelf import Engine
from streamdet.infer.tail import CUT_SCORES
from streamdet.manifest import EngineManifest, Precision

if TYPE_CHECKING:
    from streamdet.infer.onnx_gpu import OnnxGpu

Providers = Sequence[str | tuple[str, dict[str, str]]]
OnnxName = Literal["onnx-cpu", "onnx-cuda", "onnx-tensorrt"]
PROVIDERS: dict[OnnxName, str] = {
    "onnx-cpu": "CPUExecutionProvider",
    "onnx-cuda": "CUDAExecutionProvider",
    "onnx-tensorrt": "TensorrtExecutionProvider",
}


def why_not(name: OnnxName) -> str | None:
    """None where this backend can be tried here; otherwise what is missing."""
    try:
        library = _library(name)
    except MissingExtra as error:
        return error.line
    if PROVIDERS[name] in library.get_available_providers():
        return None
    return _no_provider(name).line


def _library(name: OnnxName) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", None if name == "onnx-cpu" else "gpu", f"backend {name}") from error
    return onnxruntime


def _no_provider(name: OnnxName) -> MissingExtra:
    return MissingExtra(f"ONNX Runtime with {PROVIDERS[name]}", "gpu", f"backend {name}")


class OnnxBackend:
    """One engine on ONNX Runtime."""

    def __init__(
        self,
        engine: Engine,
        name: OnnxName = "onnx-cpu",
        precision: Precision | None = None,
        tail: TailPlace = "auto",
        gpu: int = 0,
    ) -> None:
        self._library = _library(name)
        if PROVIDERS[name] not in self._library.get_available_providers():
            raise _no_provider(name)
        self.name: str = name
        self.device: Literal["cpu", "cuda"] = "cpu" if name == "onnx-cpu" else "cuda"
        self.manifest: EngineManifest = engine.manifest
        self._provider = PROVIDERS[name]
        file, self._path = engine.model(precision)
        self.precision: str = file.precision
        # On a GPU the whole graph runs there: the tail costs nothing beside the way back of all candidates.
        place: TailPlace = tail if self.device == "cpu" else "graph"
        self._model, self.tail = model_for(engine.manifest, self._path, place)
        self._lock = threading.Lock()
        self._errors = errors_of(self._library)
        self._gpu: OnnxGpu | None = None
        if name != "onnx-cpu":
            from streamdet.infer.onnx_gpu import OnnxGpu

            self._gpu = OnnxGpu(name, gpu)
        self._shared: Any = self.compiled(1, self._gpu.providers(None) if self._gpu else [self._provider])
        if self._gpu is not None:
            # That showed whether it can be had. A session on a GPU compiles one of its own, for its own stream.
            self._shared = self._gpu

    def session(self, threads: int = 1) -> EngineSession:
        """A session with so many threads inside an operator; none of them spins while it waits.

        Sessions of one thread share one compiled graph, which ONNX Runtime then runs on the caller's own thread.
        """
        with self._lock:
            if self._shared is None:
                raise InferenceFailed("the backend is closed", where=self.manifest.name)
            if self._gpu is not None:
                return self._gpu.session(self)
            runtime = self._shared if threads == 1 else self.compiled(threads, [self._provider])
        buffer = input_buffer(self.manifest)
        network = _OnnxNetwork(runtime, buffer, self.manifest, self._errors)
        return EngineSession(self.manifest, buffer, network, with_tail=self.tail == "kernel")

    def close(self) -> None:
        """Let the model go; open sessions live on."""
        with self._lock:
            self._shared = None

    def compiled(self, threads: int, providers: Providers) -> Any:
        """The model, loaded anew."""
        options = self._library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread takes the core from its neighbours: seen, 115 frames a second fell to 40.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            runtime = self._library.InferenceSession(self._model, options, providers=providers)
        except self._errors as error:
            raise EngineMismatch(
                "ONNX Runtime cannot load the model",
                where=self._path,
                expected=f"a graph that ONNX Runtime {self._library.__version__} runs on {self.name}",
                got=first_line(error),
            ) from error
        if runtime.get_providers()[0] != self._provider:  # ONNX Runtime falls back in silence
            raise EngineMismatch(
                f"{self._provider} is installed and failed to start",
                where=self._path,
                expected=self._provider,
                got=", ".join(runtime.get_providers()),
                hint="streamdet doctor shows what CUDA and TensorRT lack here",
            )
        inputs, outputs = ([_port(node) for node in nodes] for nodes in (runtime.get_inputs(), runtime.get_outputs()))
        refuse_misfit(self.manifest, self._path, inputs, outputs, CUT_SCORES if self.tail == "kernel" else None)
        return runtime

    def failures(self) -> tuple[type[Exception], ...]:
        """What ONNX Runtime raises."""
        return self._errors

    def run_options(self) -> Any:
        """A record of how one run goes."""
        return self._library.RunOptions()


@dataclass(frozen=True, slots=True)
class _Bound:
    """Input and outputs of one batch size, bound to their memory once."""

    binding: Any
    outputs: dict[str, npt.NDArray[Any]]


class _OnnxNetwork:
    """Network over an InferenceSession; nothing is allocated per run once a batch size has been seen."""

    def __init__(
        self,
        runtime: Any,
        buffer: npt.NDArray[np.uint8],
        manifest: EngineManifest,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._runtime = runtime
        self._buffer = buffer
        self._manifest = manifest
        self._errors = errors
        self._bound: dict[int, _Bound] = {}

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        size = max(n, self._manifest.input.batch[0])
        try:
            bound = self._bound.get(size)
            if bound is None:
                bound = self._bound[size] = self._bind(size)
            self._runtime.run_with_iobinding(bound.binding)
        except self._errors as error:
            raise InferenceFailed("ONNX Runtime failed", where=self._manifest.name, got=first_line(error)) from error
        return bound.outputs if n == size else {name: array[:n] for name, array in bound.outputs.items()}

    def _bind(self, size: int) -> _Bound:
        """A first plain run tells the outputs' shapes; from then on ONNX Runtime writes into our arrays."""
        name = self._manifest.input.name
        batch = self._buffer[:size]
        names = [node.name for node in self._runtime.get_outputs()]
        arrays = self._runtime.run(names, {name: batch})
        outputs = {output: np.ascontiguousarray(array) for output, array in zip(names, arrays, strict=True)}
        binding = self._runtime.io_binding()
        binding.bind_input(name, "cpu", 0, np.uint8, batch.shape, batch.ctypes.data)
        for output, array in outputs.items():
            binding.bind_output(output, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return _Bound(binding, outputs)

    def close(self) -> None:
        self._bound.clear()
        self._runtime = None


def _port(node: Any) -> Port:
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape) if node.shape else None
    return Port(node.name, dtype, shape)


def errors_of(library: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: many classes, without a base of their own."""
    state = library.capi.onnxruntime_pybind11_state
    found = (getattr(state, name) for name in dir(state))
    return tuple(kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception))


def first_line(error: Exception) -> str:
    """Of what it says; the rest is where in its source code."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
