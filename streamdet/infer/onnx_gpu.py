"""ONNX Runtime's CUDA and TensorRT providers, bound to memory of ours on the GPU.

A session has a stream of its own, which ONNX Runtime is told to compute in. ONNX Runtime would wait at the end of every
run; it is told not to, so that copies and kernels go before and behind its work in the same stream and the host waits
once per batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from streamdet.errors import InferenceFailed
from streamdet.infer.cuda_calls import Cuda, Stream
from streamdet.infer.gpu_network import Answer, GpuNetwork
from streamdet.infer.onnx import first_line
from streamdet.infer.session import GpuSession

if TYPE_CHECKING:
    from streamdet.infer.onnx import OnnxBackend, OnnxName, Providers


class OnnxGpu:
    """Where a backend's sessions run."""

    def __init__(self, name: OnnxName, gpu: int) -> None:
        self._name = name
        self.ordinal = gpu
        self.cuda = Cuda(gpu)

    def providers(self, stream: Stream | None) -> Providers:
        """What ONNX Runtime is told: this GPU, and the stream to compute in where one is given."""
        options = {"device_id": str(self.ordinal)}
        if stream is not None:
            options["user_compute_stream"] = str(stream.handle)
        cuda: tuple[str, dict[str, str]] = ("CUDAExecutionProvider", options)
        # What TensorRT does not take runs on CUDA, and what that does not, on the CPU.
        first = [("TensorrtExecutionProvider", options)] if self._name == "onnx-tensorrt" else []
        return [*first, cuda, "CPUExecutionProvider"]

    def session(self, backend: OnnxBackend) -> GpuSession:
        """A session with a stream and memory of its own."""
        return GpuSession(backend.manifest, OnnxGpuNetwork(backend, self))


class OnnxGpuNetwork(GpuNetwork):
    """A GpuNetwork over an InferenceSession of its own."""

    def __init__(self, backend: OnnxBackend, place: OnnxGpu) -> None:
        self._backend = backend
        self._place = place
        self._errors = backend.failures()
        self._runtime: Any = None
        self._bindings: dict[int, Any] = {}
        super().__init__(backend.manifest, place.cuda)

    def _load(self) -> dict[str, Answer]:
        """A plain run tells the outputs' shapes."""
        self._runtime = self._backend.compiled(1, self._place.providers(self.stream))
        self._options: Any = self._backend.run_options()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        names = [node.name for node in self._runtime.get_outputs()]
        with _told(self._errors, self._manifest.name):
            arrays = self._runtime.run(names, {self._manifest.input.name: self.buffer})
        return {name: Answer(array.dtype, array.shape) for name, array in zip(names, arrays, strict=True)}

    def _queue(self, size: int, copies_in: bool) -> None:
        if size not in self._bindings:
            self._bindings[size] = self._bind(size)

        def compute() -> None:
            with _told(self._errors, self._manifest.name):
                self._runtime.run_with_iobinding(self._bindings[size], self._options)

        self._queue_between_copies(size, copies_in, compute)

    def _bind(self, size: int) -> Any:
        binding = self._runtime.io_binding()
        gpu = self.cuda.ordinal
        seen = self.buffer[:size]
        binding.bind_input(self._manifest.input.name, "cuda", gpu, np.uint8, seen.shape, self.input_pointer)
        for name, array in self._first(size).items():
            binding.bind_output(name, "cuda", gpu, array.dtype.type, array.shape, self._pointers[name])
        return binding

    def _release(self) -> None:
        self._bindings.clear()
        self._runtime = None


@contextmanager
def _told(errors: tuple[type[Exception], ...], engine: str) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise InferenceFailed("ONNX Runtime failed", where=engine, got=first_line(error)) from error
