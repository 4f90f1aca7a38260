"""ONNX Runtime's CUDA and TensorRT providers, bound to memory of ours on the GPU.

A session has a stream of its own, which ONNX Runtime is told to compute in, and pinned and device memory for its input
and outputs. ONNX Runtime would wait at the end of every run; it is told not to, so that copies and kernels go before
and behind its work in the same stream and the host waits once per batch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InferenceFailed, StreamdetError
from streamdet.infer.cuda_calls import Cuda, DeviceBytes, Stream
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


class OnnxGpuNetwork:
    """GpuNetwork over an InferenceSession of its own; see session.GpuNetwork. Used by one thread, closed from any."""

    def __init__(self, backend: OnnxBackend, place: OnnxGpu) -> None:
        self.cuda = place.cuda
        self.cuda.use()
        self._manifest = backend.manifest
        self._errors = backend.failures()
        self._busy = threading.Lock()
        self._closing = False
        self._memory: list[DeviceBytes] = []
        self._bound: dict[int, tuple[Any, dict[str, npt.NDArray[Any]]]] = {}
        self._runtime: Any = None
        self.stream = self.cuda.stream()
        try:
            self._runtime = backend.compiled(1, place.providers(self.stream))
            self._options: Any = backend.run_options()
            self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            self._allocate()
        except StreamdetError:
            self.close()
            raise

    def _allocate(self) -> None:
        """For the largest batch; smaller ones use the front of it. A plain run tells the outputs' shapes."""
        seen = self._manifest.input
        shape = (seen.batch[1], seen.channels, seen.size[1], seen.size[0])
        self.buffer: npt.NDArray[np.uint8] = self.cuda.pinned(int(np.prod(shape))).reshape(shape)
        self.input_pointer = self._on_device(self.buffer.nbytes)
        names = [node.name for node in self._runtime.get_outputs()]
        with _told(self._errors, self._manifest.name):
            arrays = self._runtime.run(names, {seen.name: self.buffer})
        self._outputs: dict[str, npt.NDArray[Any]] = {}
        self._pointers: dict[str, int] = {}
        for name, array in zip(names, arrays, strict=True):
            self._outputs[name] = self.cuda.pinned(array.nbytes).view(array.dtype).reshape(array.shape)
            self._pointers[name] = self._on_device(array.nbytes)

    def _on_device(self, size: int) -> int:
        memory = self.cuda.device_bytes(size)
        self._memory.append(memory)
        return memory.pointer

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """The first n pictures of the buffer through the network; returns when the answers are on the host."""
        return self._run(n, copies_in=True)

    def run_prepared(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """As `run`, on what the stream was given to write at `input_pointer`."""
        return self._run(n, copies_in=False)

    def _run(self, n: int, copies_in: bool) -> Mapping[str, npt.NDArray[Any]]:
        try:
            with self._busy:
                if self._closing:
                    raise InferenceFailed("the session is closed", where=self._manifest.name)
                self.cuda.use()
                size = max(n, self._manifest.input.batch[0])
                if size not in self._bound:
                    self._bound[size] = self._bind(size)
                binding, outputs = self._bound[size]
                if copies_in:
                    self.stream.to_device(self.input_pointer, self.buffer[:size])
                with _told(self._errors, self._manifest.name):
                    self._runtime.run_with_iobinding(binding, self._options)
                for name, array in outputs.items():
                    self.stream.to_host(array, self._pointers[name])
                self.stream.wait()
        except StreamdetError:
            # Work may still be queued that writes into our memory: this session is over.
            self.close()
            raise
        finally:
            if self._closing:
                self._free()
        return outputs if n == size else {name: array[:n] for name, array in outputs.items()}

    def _bind(self, size: int) -> tuple[Any, dict[str, npt.NDArray[Any]]]:
        outputs = {name: array[:size] for name, array in self._outputs.items()}
        binding = self._runtime.io_binding()
        gpu = self.cuda.ordinal
        seen = self.buffer[:size]
        binding.bind_input(self._manifest.input.name, "cuda", gpu, np.uint8, seen.shape, self.input_pointer)
        for name, array in outputs.items():
            binding.bind_output(name, "cuda", gpu, array.dtype.type, array.shape, self._pointers[name])
        return binding, outputs

    def close(self) -> None:
        """Give everything back; idempotent. While a run is under way, that run gives it back when it returns."""
        self._closing = True
        self._free()

    def _free(self) -> None:
        if not self._busy.acquire(blocking=False):
            return  # a run is under way, and frees when it ends
        try:
            memory, self._memory = self._memory, []
            self.cuda.use()
            if self.stream.handle:
                self.stream.wait()
            self._bound.clear()
            self._runtime = None
            for piece in memory:
                piece.free()
            self.stream.close()
        except InferenceFailed:
            # The GPU has lost its context, and with it all that was in it: there is nothing left to give back.
            self._bound.clear()
            self._runtime = None
        finally:
            self._busy.release()


@contextmanager
def _told(errors: tuple[type[Exception], ...], engine: str) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise InferenceFailed("ONNX Runtime failed", where=engine, got=first_line(error)) from error
