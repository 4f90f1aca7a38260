"""OpenVINO on the CPU: f32 unless asked otherwise, and bf16 only for the part before the cut."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, InferenceFailed, MissingExtra
from streamdet.infer.cache import writable_folder
from streamdet.infer.cut import TailPlace, model_for
from streamdet.infer.session import EngineSession, Port, input_buffer, refuse_misfit
from streamdet.infer.shelf import Engine
from streamdet.infer.tail import CUT_SCORES
from streamdet.manifest import EngineManifest, Precision

OpenVinoPrecision = Precision | Literal["bf16"]

NAME = "openvino"


def why_not() -> str | None:
    """None where OpenVINO can be tried here; otherwise what is missing."""
    try:
        _library()
    except MissingExtra as error:
        return error.line
    return None


def _library() -> Any:
    # Importing OpenVINO reports home through this package where that is installed; a name bound to None cannot be
    # imported, and OpenVINO then does without.
    modules: dict[str, Any] = sys.modules
    loaded_before = modules.setdefault("openvino_telemetry", None)
    try:
        import openvino
    except ImportError as error:
        raise MissingExtra("openvino", "openvino", "backend openvino") from error
    finally:
        if loaded_before is None:
            del modules["openvino_telemetry"]
    return openvino


class OpenVinoBackend:
    """One engine on OpenVINO. A dynamic batch is run picture by picture: on a CPU batches gain nothing."""

    def __init__(self, engine: Engine, precision: OpenVinoPrecision | None = None, tail: TailPlace = "auto") -> None:
        self._openvino = _library()
        self.name = NAME
        self.device: Literal["cpu", "cuda"] = "cpu"
        self.manifest: EngineManifest = engine.manifest
        file, self._path = engine.model("fp32" if precision == "bf16" else precision)
        self.precision: str = "bf16" if precision == "bf16" else file.precision
        model, self.tail = model_for(engine.manifest, self._path, tail)
        if precision == "bf16" and self.tail == "graph" and engine.manifest.kind == "detector":
            raise EngineMismatch(
                "bf16 would also reach the suppression inside the graph, and move boxes by hundreds of pixels",
                where=self._path,
                expected="an engine with the named cut, and the tail as a kernel",
                got="the tail in the graph",
            )
        self._core = self._openvino.Core()
        try:
            self._model: Any = self._core.read_model(model)
        except RuntimeError as error:
            raise self._refused(error) from error
        self._step = self._fix_batch()
        self._first: Any = self._compile(1)

    def session(self, threads: int = 1) -> EngineSession:
        """A session with its own compiled model: requests of one model would wait for each other's threads."""
        compiled, self._first = (self._first, None) if threads == 1 else (None, self._first)
        compiled = compiled or self._compile(threads)
        buffer = input_buffer(self.manifest)
        network = _OpenVinoNetwork(self._openvino, compiled, buffer, self._step, self.manifest.name)
        return EngineSession(self.manifest, buffer, network, with_tail=self.tail == "kernel")

    def close(self) -> None:
        """Let the model go; open sessions live on."""
        self._first = self._model = None

    def _fix_batch(self) -> int:
        """Refuse what does not fit, then give the batch a number: OpenVINO runs fixed shapes faster."""
        inputs, outputs = ([_port(node) for node in nodes] for nodes in (self._model.inputs, self._model.outputs))
        refuse_misfit(self.manifest, self._path, inputs, outputs, CUT_SCORES if self.tail == "kernel" else None)
        smallest, largest = self.manifest.input.batch
        step = largest if smallest == largest else 1
        width, height = self.manifest.input.size
        self._model.reshape([step, self.manifest.input.channels, height, width])
        return step

    def _compile(self, threads: int) -> Any:
        options: dict[str, object] = {
            # OpenVINO's own choice on newer CPUs is bf16.
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several pinned sessions, or processes, would share one core
        }
        folder = writable_folder("openvino")
        if folder is not None:
            options["CACHE_DIR"] = str(folder)
        if self._model is None:
            raise InferenceFailed("the backend is closed", where=self.manifest.name)
        try:
            return self._core.compile_model(self._model, "CPU", options)
        except RuntimeError as error:
            raise self._refused(error) from error

    def _refused(self, error: RuntimeError) -> EngineMismatch:
        return EngineMismatch(
            "OpenVINO cannot load the model",
            where=self._path,
            expected=f"a graph that OpenVINO {self._openvino.__version__} runs on this CPU",
            got=_last_line(error),
        )


class _OpenVinoNetwork:
    """Network over one infer request, which reads and writes our own memory."""

    def __init__(self, library: Any, compiled: Any, buffer: npt.NDArray[np.uint8], step: int, engine: str) -> None:
        self._request: Any = compiled.create_infer_request()
        self._engine = engine
        self._step = step
        self._outputs: dict[str, npt.NDArray[Any]] = {}
        places = []
        for node in compiled.outputs:
            shape = tuple(node.shape)
            array = np.zeros((len(buffer), *shape[1:]), node.element_type.to_dtype())
            # Where a node only renames, OpenVINO gives its tensor both names.
            self._outputs |= dict.fromkeys(node.get_names(), array)
            places.append((node, array))
        # One set of tensors per place in the batch, made once.
        self._tensors = [
            (
                library.Tensor(buffer[start : start + step], shared_memory=True),
                [(node, library.Tensor(array[start : start + step], shared_memory=True)) for node, array in places],
            )
            for start in range(0, len(buffer), step)
        ]

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        try:
            for start in range(0, n, self._step):
                picture, outputs = self._tensors[start // self._step]
                self._request.set_input_tensor(picture)
                for node, tensor in outputs:
                    self._request.set_tensor(node, tensor)
                self._request.infer()
        except RuntimeError as error:
            raise InferenceFailed("OpenVINO failed", where=self._engine, got=_last_line(error)) from error
        return {name: array[:n] for name, array in self._outputs.items()}

    def close(self) -> None:
        self._tensors.clear()
        self._request = None


def _port(node: Any) -> Port:
    dtype = {"u8": "uint8"}.get(node.element_type.get_type_name(), node.element_type.get_type_name())
    partial = node.partial_shape
    if partial.rank.is_dynamic:
        return Port(node.get_any_name(), dtype, None)
    shape = tuple(None if size.is_dynamic else size.get_length() for size in partial)
    return Port(node.get_any_name(), dtype, shape)


def _last_line(error: RuntimeError) -> str:
    """OpenVINO prints its own source lines first and the reason last."""
    return (str(error).strip().splitlines() or ["no reason given"])[-1][:300]
