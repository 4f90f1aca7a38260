"""The CUDA driver, as much of it as a session needs, by ctypes and without any library to install.

The driver API rather than the runtime's Python package: libcuda comes with every driver, on a server as on a Jetson,
its calls have been stable for years, and thirty of them are enough. Its objects are those of TensorRT, numba and ONNX
Runtime too, because all of them use the GPU's one primary context.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InferenceFailed, MissingExtra

LIBRARY = "libcuda.so.1"

# CUresult f(…) of cuda.h, CUDA 11.4 and later; a test holds the sizes against the header where one is installed.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamWaitEvent": (c_void_p, c_void_p, c_uint),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
    "cuEventCreate": (POINTER(c_void_p), c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventSynchronize": (c_void_p,),
    "cuEventDestroy_v2": (c_void_p,),
}

_SLEEP = 4  # CU_CTX_SCHED_BLOCKING_SYNC
_IS_ACTIVE = 708  # CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE
_DEFAULT_STREAM = 1  # CU_STREAM_LEGACY
_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream
_NO_TIMING = 2  # CU_EVENT_DISABLE_TIMING
_SLEEP_AND_NO_TIMING = 1 | _NO_TIMING  # with CU_EVENT_BLOCKING_SYNC
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """What kind of GPU it is."""

    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    driver_cuda: str  # the newest CUDA that the driver knows: "13.0"

    @property
    def sm(self) -> str:
        """As compilers call it: sm_89."""
        major, minor = self.compute_capability
        return f"sm_{major}{minor}"

    def __str__(self) -> str:
        return f"{self.name} ({self.sm})"


def load_driver() -> Any:
    """The driver's library; MissingExtra where none is installed."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        missing = MissingExtra("an NVIDIA driver", "gpu", "running on a GPU")
        missing.got, missing.hint = str(error), "install the driver of the GPU; in a container: --gpus all"
        raise missing from error


def why_not() -> str | None:
    """None where a GPU answers; otherwise what is missing. Nothing else of NVIDIA's may be touched before this."""
    try:
        Cuda()
    except (MissingExtra, InferenceFailed) as error:
        return error.line
    return None


def gpu_count() -> int:
    """How many GPUs this process may use: CUDA_VISIBLE_DEVICES hides some. 0 where none answers."""
    try:
        return Cuda().count
    except (MissingExtra, InferenceFailed):
        return 0


class Cuda:
    """One GPU and its primary context. What is made here keeps it alive.

    The context is retained and never given back: TensorRT and numba live in the same one until the process ends.
    """

    def __init__(self, ordinal: int = 0) -> None:
        library = load_driver()
        self._calls: dict[str, Callable[..., int]] = {}
        for name, arguments in SIGNATURES.items():
            function = getattr(library, name, None)
            if function is None:
                raise InferenceFailed("the NVIDIA driver is too old", where=LIBRARY, expected=name, got="no such call")
            function.argtypes, function.restype = arguments, c_int
            self._calls[name] = function
        self.call("cuInit", 0)
        found = c_int()
        self.call("cuDeviceGetCount", byref(found))
        if ordinal >= found.value:
            raise InferenceFailed("there is no such GPU", expected=f"one of {found.value}", got=ordinal)
        device = c_int()
        self.call("cuDeviceGet", byref(device), ordinal)
        self.ordinal = ordinal
        self.count = found.value
        self.gpu = self._describe(device.value)
        self._let_waits_sleep(device.value)
        context = c_void_p()
        self.call("cuDevicePrimaryCtxRetain", byref(context), device.value)
        self._context = context.value
        self.use()

    def call(self, name: str, *arguments: Any) -> None:
        """One call of the driver; InferenceFailed with its own words where it fails."""
        status = self._calls[name](*arguments)
        if status:
            raise InferenceFailed("CUDA failed", where=name, got=self._reason(status))

    def use(self) -> None:
        """Make this GPU the calling thread's; every thread says it before anything else."""
        self.call("cuCtxSetCurrent", self._context)

    def device_bytes(self, size: int) -> DeviceBytes:
        """Memory on the GPU."""
        return DeviceBytes(self, size)

    def pinned(self, size: int) -> npt.NDArray[np.uint8]:
        """Page-locked host memory [size], zeroed, which the GPU copies by itself; freed with the last view of it."""
        return np.asarray(_Pinned(self, size))

    def stream(self) -> Stream:
        """A queue of work of its own."""
        return Stream(self)

    def _let_waits_sleep(self, device: int) -> None:
        """Before anybody makes the context: FFmpeg's decoder refuses to share one whose waits spin."""
        status = self._calls["cuDevicePrimaryCtxSetFlags_v2"](device, _SLEEP)
        if status == _IS_ACTIVE:
            _log.debug("the GPU's context was made before by someone else, and stays as it is")
        elif status:
            raise InferenceFailed("CUDA failed", where="cuDevicePrimaryCtxSetFlags_v2", got=self._reason(status))

    def _describe(self, device: int) -> Gpu:
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), device)
        parts = [c_int(), c_int()]
        for attribute, part in zip(_COMPUTE_CAPABILITY, parts, strict=True):
            self.call("cuDeviceGetAttribute", byref(part), attribute, device)
        memory, driver = c_size_t(), c_int()
        self.call("cuDeviceTotalMem_v2", byref(memory), device)
        self.call("cuDriverGetVersion", byref(driver))
        version = f"{driver.value // 1000}.{driver.value % 1000 // 10}"
        return Gpu(name.value.decode(errors="replace"), (parts[0].value, parts[1].value), memory.value, version)

    def _reason(self, status: int) -> str:
        words = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            if self._calls[name](status, byref(text)) == 0 and text.value:
                words.append(text.value.decode(errors="replace"))
        return f"error {status}" + (f", {': '.join(words)}" if words else "")


class DeviceBytes:
    """Memory on the GPU, until `free`."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda = cuda
        pointer = c_uint64()
        cuda.call("cuMemAlloc_v2", byref(pointer), size)
        self.pointer = pointer.value
        self.size = size

    def free(self) -> None:
        """Idempotent. Nothing may be running that reads it."""
        pointer, self.pointer = self.pointer, 0
        if pointer:
            self._cuda.call("cuMemFree_v2", pointer)


class _Pinned:
    """The owner behind the arrays of `Cuda.pinned`: they hold it, and the memory goes when the last of them does."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        pointer = c_void_p()
        cuda.call("cuMemHostAlloc", byref(pointer), size, 0)
        assert pointer.value is not None
        ctypes.memset(pointer.value, 0, size)
        self.__array_interface__ = {"version": 3, "shape": (size,), "typestr": "|u1", "data": (pointer.value, False)}
        # Not at exit: the process takes it along anyway, and a GPU that hangs would keep it from ending.
        weakref.finalize(self, _free_pinned, cuda, pointer.value).atexit = False


def _free_pinned(cuda: Cuda, pointer: int) -> None:
    try:
        cuda.use()
        cuda.call("cuMemFreeHost", pointer)
    except InferenceFailed as error:  # the GPU has lost its context, and nobody is there who could be told
        _log.debug("pinned memory is lost: %s", error.line)


class Stream:
    """A queue of work on the GPU. `wait` sleeps until all of it is done."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        stream, event, decoded = c_void_p(), c_void_p(), c_void_p()
        cuda.call("cuStreamCreate", byref(stream), _NON_BLOCKING)
        self.handle: int = stream.value or 0
        self._event = self._decoded = None
        try:
            cuda.call("cuEventCreate", byref(event), _SLEEP_AND_NO_TIMING)
            self._event = event.value
            cuda.call("cuEventCreate", byref(decoded), _NO_TIMING)
            self._decoded = decoded.value
        except InferenceFailed:
            self.close()
            raise

    def to_device(self, target: int, source: npt.NDArray[Any]) -> None:
        """Queue a copy of contiguous pinned memory."""
        self._cuda.call("cuMemcpyHtoDAsync_v2", target, source.ctypes.data, source.nbytes, self.handle)

    def to_host(self, target: npt.NDArray[Any], source: int) -> None:
        """Queue a copy into contiguous pinned memory."""
        self._cuda.call("cuMemcpyDtoHAsync_v2", target.ctypes.data, source, target.nbytes, self.handle)

    def follow_decoders(self) -> None:
        """What is queued from here on waits, on the GPU, for what the default stream was given until now: decoders
        write their pictures there. The host does not wait."""
        self._cuda.call("cuEventRecord", self._decoded, _DEFAULT_STREAM)
        self._cuda.call("cuStreamWaitEvent", self.handle, self._decoded, 0)

    def wait(self) -> None:
        """Until everything queued is done; the thread sleeps, where cuStreamSynchronize would spin on a core."""
        self._cuda.call("cuEventRecord", self._event, self.handle)
        self._cuda.call("cuEventSynchronize", self._event)

    def capture(self, queue_work: Callable[[], None]) -> Graph:
        """What `queue_work` puts into this stream, as a graph that is launched by one call."""
        self._cuda.call("cuStreamBeginCapture_v2", self.handle, _CAPTURE_THREAD_LOCAL)
        template = c_void_p()
        try:
            queue_work()
        except BaseException:
            # The stream must leave its capture, whatever state that is in; what went wrong is already on its way up.
            self._cuda._calls["cuStreamEndCapture"](self.handle, byref(template))
            if template.value:
                self._cuda.call("cuGraphDestroy", template.value)
            raise
        self._cuda.call("cuStreamEndCapture", self.handle, byref(template))
        return Graph(self._cuda, template.value)

    def close(self) -> None:
        """Idempotent."""
        handle, events = self.handle, (self._event, self._decoded)
        self.handle, self._event, self._decoded = 0, None, None
        if handle:
            for event in events:
                if event is not None:
                    self._cuda.call("cuEventDestroy_v2", event)
            self._cuda.call("cuStreamDestroy_v2", handle)


class Graph:
    """Captured work, ready to be launched again and again."""

    def __init__(self, cuda: Cuda, template: int | None) -> None:
        self._cuda = cuda
        ready = c_void_p()
        try:
            cuda.call("cuGraphInstantiateWithFlags", byref(ready), template, 0)
        finally:
            cuda.call("cuGraphDestroy", template)
        self._ready = ready.value

    def launch(self, stream: Stream) -> None:
        """Queue all of it."""
        self._cuda.call("cuGraphLaunch", self._ready, stream.handle)

    def close(self) -> None:
        """Idempotent."""
        ready, self._ready = self._ready, None
        if ready:
            self._cuda.call("cuGraphExecDestroy", ready)
