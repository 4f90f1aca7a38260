"""ONNX Runtime with its CUDA provider, without a GPU: the real one on the CPU computes, on memory of the fake driver.

It runs in the stream that it was given and waits for nothing there, as the real one with
`disable_synchronize_execution_providers`; whoever does not wait reads stale memory. `bind_input`, `bind_output` and
`run_with_iobinding` take what the real ones take: a test compares the signatures.
"""

from __future__ import annotations

import ctypes
import types
from typing import Any

import numpy as np
import onnxruntime as real
from fake_cuda import FakeDriver

PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


class IOBinding:
    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver
        self.input: tuple[str, Any, tuple[int, ...], int] | None = None
        self.outputs: dict[str, tuple[Any, tuple[int, ...], int]] = {}

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):  # type: ignore[no-untyped-def]
        self._check(device_type, element_type, shape, buffer_ptr)
        self.input = (name, element_type, tuple(shape), buffer_ptr)

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None):  # type: ignore[no-untyped-def]
        self._check(device_type, element_type, shape, buffer_ptr)
        self.outputs[name] = (element_type, tuple(shape), buffer_ptr)

    def _check(self, device_type: str, element_type: Any, shape: Any, pointer: int) -> None:
        assert "cuda" == device_type
        size = int(np.prod(shape)) * np.dtype(element_type).itemsize
        assert self._driver.is_device(pointer, size), "what is bound lies on the GPU"


class InferenceSession:
    def __init__(self, world: FakeOnnxRuntime, model: Any, options: Any, providers: list[Any]) -> None:
        self._world = world
        self._cpu = real.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._providers = [each if isinstance(each, str) else each[0] for each in providers]
        self._options = {each[0]: each[1] for each in providers if not isinstance(each, str)}
        assert all(type(value) is str for each in self._options.values() for value in each.values())
        world.sessions += 1

    def get_providers(self) -> list[str]:
        return self._providers if self._world.starts else ["CPUExecutionProvider"]

    def get_inputs(self) -> Any:
        return self._cpu.get_inputs()

    def get_outputs(self) -> Any:
        return self._cpu.get_outputs()

    def io_binding(self) -> IOBinding:
        return IOBinding(self._world.driver)

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        return self._cpu.run(output_names, input_feed, run_options)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: Any = None) -> None:
        if self._world.fail:
            self._world.fail = False
            raise real.capi.onnxruntime_pybind11_state.RuntimeException("CUDA failure 719: unspecified launch failure")
        assert "1" == run_options.get_run_config_entry("disable_synchronize_execution_providers")
        stream = int(self._options[self._providers[0]]["user_compute_stream"])
        assert 0 == self._world.driver._ready(stream), "the stream is of the GPU that is current"
        self._world.driver.enqueue(stream, lambda: self._execute(iobinding))

    def _execute(self, binding: IOBinding) -> None:
        assert binding.input is not None
        name, element_type, shape, pointer = binding.input
        size = int(np.prod(shape)) * np.dtype(element_type).itemsize
        picture = np.frombuffer(ctypes.string_at(pointer, size), element_type).reshape(shape)
        names = list(binding.outputs)
        for output, array in zip(names, self._cpu.run(names, {name: picture}), strict=True):
            wanted, bound, target = binding.outputs[output]
            assert (np.dtype(wanted), bound) == (array.dtype, array.shape)
            ctypes.memmove(target, np.ascontiguousarray(array).tobytes(), array.nbytes)


class FakeOnnxRuntime(types.ModuleType):
    """To stand for `onnxruntime`."""

    def __init__(self, driver: FakeDriver) -> None:
        super().__init__("onnxruntime")
        self.driver = driver
        self.starts = True  # False: the provider is there and does not start
        self.fail = False  # the next run
        self.sessions = 0
        self.capi, self.SessionOptions, self.RunOptions = real.capi, real.SessionOptions, real.RunOptions
        self.__version__ = real.__version__

    def get_available_providers(self) -> list[str]:
        return PROVIDERS

    def InferenceSession(self, model: Any, options: Any, providers: list[Any]) -> Any:
        if providers == ["CPUExecutionProvider"]:
            return real.InferenceSession(model, options, providers=providers)
        return InferenceSession(self, model, options, providers)
