"""ONNX Runtime: on the CPU up to the cut, on CUDA and TensorRT providers the whole graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, InferenceFailed, MissingExtra
from streamdet.infer.cut import before_cut, has_cut, read_model
from streamdet.infer.session import EngineSession, input_buffer
from streamdet.infer.shelf import Engine
from streamdet.infer.tail import Tail
from streamdet.manifest import EngineManifest, Precision

PROVIDERS = {
    "onnx-cpu": "CPUExecutionProvider",
    "onnx-cuda": "CUDAExecutionProvider",
    "onnx-tensorrt": "TensorrtExecutionProvider",
}


def onnxruntime() -> Any:
    """The library, or MissingExtra."""
    try:
        import onnxruntime as library
    except ImportError as error:
        raise MissingExtra("onnxruntime", None, "running an engine on ONNX Runtime") from error
    return library


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes without a common base of their own."""
    state = onnxruntime().capi.onnxruntime_pybind11_state
    found = (getattr(state, name) for name in dir(state))
    return tuple(kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception))


class OnnxBackend:
    """One engine on ONNX Runtime."""

    def __init__(
        self,
        engine: Engine,
        name: str = "onnx-cpu",
        precision: Precision | None = None,
        tail: Literal["auto", "kernel", "graph"] = "auto",
    ) -> None:
        library = onnxruntime()
        self.name = name
        self.device: Literal["cpu", "cuda"] = "cpu" if name == "onnx-cpu" else "cuda"
        self.manifest: EngineManifest = engine.manifest
        file, self._path = engine.model(precision)
        self.precision: str = file.precision
        if PROVIDERS[name] not in library.get_available_providers():
            raise MissingExtra(f"ONNX Runtime with {PROVIDERS[name]}", "gpu", f"backend {name}")
        self._model, self.tail = _model_bytes(engine, self._path, "graph" if self.device == "cuda" else tail)
        # Compiled here once, so that what does not fit is said now and not by the first worker.
        self._first: Any = self._compile(1)

    def session(self, threads: int = 1) -> EngineSession:
        """A session with so many threads inside an operator; none of them spins while it waits."""
        runtime, self._first = (self._first, None) if threads == 1 and self._first else (self._compile(threads), None)
        buffer = input_buffer(self.manifest)
        network = _OnnxNetwork(runtime, buffer, self.manifest, self.device)
        nms = self.manifest.nms
        tail = Tail(nms, len(buffer)) if self.tail == "kernel" and nms else None
        return EngineSession(self.manifest, buffer, network, tail)

    def close(self) -> None:
        """Let the model go; open sessions live on."""
        self._first = None

    def _compile(self, threads: int) -> Any:
        library = onnxruntime()
        options = library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread takes the core from its neighbours: seen, 115 frames a second fell to 40.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        providers = [PROVIDERS[self.name]]
        try:
            runtime = library.InferenceSession(self._model, options, providers=providers)
        except _errors() as error:
            raise EngineMismatch(
                "ONNX Runtime cannot load the model",
                where=self._path,
                expected=f"a graph that ONNX Runtime {library.__version__} runs on {self.name}",
                got=str(error).strip().splitlines()[0][:300],
            ) from error
        if runtime.get_providers()[0] != providers[0]:  # ONNX Runtime falls back in silence
            raise EngineMismatch(
                f"{providers[0]} is installed and failed to start",
                where=self._path,
                expected=providers[0],
                got=", ".join(runtime.get_providers()),
                hint="streamdet doctor shows what CUDA and TensorRT lack here",
            )
        _fits(runtime, self.manifest, self._path)
        return runtime


def _model_bytes(engine: Engine, path: Path, tail: str) -> tuple[Any, Literal["kernel", "graph"]]:
    """What to load, and where the tail runs: as asked, or as a kernel wherever the engine allows it."""
    if tail == "graph" or (tail == "auto" and engine.manifest.nms is None):
        return str(path), "graph"
    model = read_model(path)
    if has_cut(model) and engine.manifest.nms is not None:
        return before_cut(model), "kernel"
    if tail == "kernel":
        raise EngineMismatch(
            "the tail cannot run as a kernel",
            where=path,
            expected="a detector with NMS settings, whose graph names sd_boxes and sd_scores",
            got="a graph without them",
        )
    return str(path), "graph"


def _fits(runtime: Any, manifest: EngineManifest, path: Path) -> None:
    """Refuse a graph whose input or outputs are not those of the manifest; both sides are named."""
    width, height = manifest.input.size
    wanted = f"{manifest.input.name} uint8 [N, {manifest.input.channels}, {height}, {width}]"
    inputs = runtime.get_inputs()
    got = "; ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
    one = inputs[0] if len(inputs) == 1 else None
    if (
        one is None
        or one.name != manifest.input.name
        or one.type != "tensor(uint8)"
        or list(one.shape[1:]) != [manifest.input.channels, height, width]
    ):
        raise EngineMismatch("manifest and model disagree about the input", where=path, expected=wanted, got=got)
    fixed = one.shape[0]
    if isinstance(fixed, int) and fixed != manifest.input.batch[1]:
        raise EngineMismatch(
            "manifest and model disagree about the batch", where=path, expected=manifest.input.batch, got=fixed
        )


@dataclass(slots=True)
class _Bound:
    """Input and outputs of one batch size, bound to their memory once."""

    binding: Any
    outputs: dict[str, npt.NDArray[Any]]


class _OnnxNetwork:
    """Network over an InferenceSession; nothing is allocated per run once a batch size has been seen."""

    def __init__(
        self, runtime: Any, buffer: npt.NDArray[np.uint8], manifest: EngineManifest, device: Literal["cpu", "cuda"]
    ) -> None:
        self._runtime = runtime
        self._buffer = buffer
        self._manifest = manifest
        self._bound: dict[int, _Bound] = {}
        self._errors = _errors()
        fixed = runtime.get_inputs()[0].shape[0]
        self._fixed = fixed if isinstance(fixed, int) else None

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        size = self._fixed or max(n, self._manifest.input.batch[0])
        try:
            bound = self._bound.get(size)
            if bound is None:
                bound = self._bound[size] = self._bind(size)
            self._runtime.run_with_iobinding(bound.binding)
        except self._errors as error:
            raise InferenceFailed(
                "ONNX Runtime failed", where=self._manifest.name, got=str(error).strip().splitlines()[0][:300]
            ) from error
        if n == size:
            return bound.outputs
        return {name: array[:n] for name, array in bound.outputs.items()}

    def _bind(self, size: int) -> _Bound:
        """A first plain run tells the outputs' shapes; from then on ONNX Runtime writes into our arrays."""
        name = self._manifest.input.name
        batch = self._buffer[:size]
        names = [node.name for node in self._runtime.get_outputs()]
        outputs = dict(zip(names, map(np.ascontiguousarray, self._runtime.run(names, {name: batch})), strict=True))
        binding = self._runtime.io_binding()
        binding.bind_input(name, "cpu", 0, np.uint8, batch.shape, batch.ctypes.data)
        for output, array in outputs.items():
            binding.bind_output(output, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return _Bound(binding, outputs)

    def close(self) -> None:
        self._bound.clear()
        self._runtime = None
