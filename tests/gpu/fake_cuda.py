"""A CUDA driver without a GPU: the C calls of libcuda that streamdet makes, on host memory.

Streams are as lazy as the standard allows: what is queued runs when somebody waits for it, and not before, so that a
forgotten wait reads stale memory and a buffer written too early is seen to be. Pointers are checked to be what each
call wants: device memory on one side of a copy, pinned memory on the other. Contexts are per thread. While a thread
captures it may neither allocate nor wait, as with the real driver.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Work = Callable[[], None]

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY = 0, 1, 2
INVALID_CONTEXT, ILLEGAL_ADDRESS, CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 201, 700, 900, 901
PRIMARY_CONTEXT_ACTIVE = 708
DEFAULT_STREAM = 1
_CONTEXT = 0xC0DE  # of the first GPU; those of the others follow
NAMES = {
    INVALID_VALUE: "CUDA_ERROR_INVALID_VALUE",
    OUT_OF_MEMORY: "CUDA_ERROR_OUT_OF_MEMORY",
    INVALID_CONTEXT: "CUDA_ERROR_INVALID_CONTEXT",
    ILLEGAL_ADDRESS: "CUDA_ERROR_ILLEGAL_ADDRESS",
    CAPTURE_UNSUPPORTED: "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
    CAPTURE_INVALIDATED: "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
    100: "CUDA_ERROR_NO_DEVICE",
}


class Call:
    """One exported function; takes argtypes and restype as a ctypes function does, and converts by them."""

    def __init__(self, driver: FakeDriver, name: str, does: Callable[..., int]) -> None:
        self._driver, self._name, self._does = driver, name, does
        self.argtypes: tuple[Any, ...] = ()
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int:
        assert len(self.argtypes) == len(arguments), f"{self._name} takes {len(self.argtypes)}, got {len(arguments)}"
        plain = []
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            converted = kind.from_param(argument)  # raises what ctypes would
            if isinstance(argument, int | type(None)):
                plain.append(argument)
            else:
                plain.append(getattr(argument, "_obj", argument))  # what byref points at
            del converted
        with self._driver.lock:
            self._driver.calls.append(self._name)
            status = self._driver.failures.pop(self._name, None)
        return self._does(*plain) if status is None else status


class StreamState:
    def __init__(self, context: int = 0) -> None:
        self.context = context
        self.queue: deque[Work] = deque()
        self.running = threading.Lock()
        self.capturing: list[Work] | None = None
        self.captured_by: int | None = None
        self.invalidated = False


class FakeDriver:
    """GPUs that are all alike. `failures` maps a call to the status that its next use returns.

    Memory, streams and the loss of a context belong to one GPU each: a stream refuses what another GPU's context is
    current for. The default stream (1) is where decoders write: `decode` puts work there.
    """

    def __init__(self, *, name: str = "NVIDIA L4", capability: tuple[int, int] = (8, 9), devices: int = 1) -> None:
        self.name, self.capability, self.devices = name, capability, devices
        self.memory_bytes = 24 << 30
        self.lock = threading.RLock()
        self.calls: list[str] = []
        self.failures: dict[str, int] = {}
        self.lost: set[int] = set()  # contexts: after an illegal address every call fails, as with the real ones
        self.flags: dict[int, int] = {}  # of each GPU's context
        self.active: set[int] = set()
        self.decoders: dict[int, deque[Work]] = {}  # the default stream of each context
        self.waits: list[tuple[int, int]] = []  # (stream, event) that a stream was told to wait for
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.streams: dict[int, StreamState] = {}
        self.events: dict[int, tuple[int, int] | None] = {}
        self.graphs: dict[int, list[Work]] = {}
        self._numbers = itertools.count(0x1000, 8)
        self._current = threading.local()
        for attribute in dir(type(self)):
            if attribute.startswith("_cu"):
                setattr(self, attribute[1:], Call(self, attribute[1:], getattr(self, attribute)))

    # ---- what the fake TensorRT needs

    def enqueue(self, handle: int, work: Work) -> None:
        """Put work into a stream, or into the graph that it captures."""
        state = self.streams[handle]
        (state.queue if state.capturing is None else state.capturing).append(work)

    def allocated(self) -> tuple[int, int, int, int]:
        """Pieces of device memory, of pinned memory, streams and graphs alive."""
        return len(self.device), len(self.pinned), len(self.streams), len(self.graphs)

    def is_device(self, pointer: int, size: int) -> bool:
        return _within(self.device, pointer, size)

    def lose(self, gpu: int | None = None) -> None:
        """What a broken kernel does to a context: that of a GPU, or the calling thread's."""
        self.lost.add(self._current.context if gpu is None else _CONTEXT + gpu)

    def decode(self, gpu: int, work: Work) -> None:
        """What a decoder queues: a picture that is written some time later, in the default stream."""
        self.decoders.setdefault(_CONTEXT + gpu, deque()).append(work)

    def current_gpu(self) -> int:
        """Whose context is the calling thread's."""
        return int(self._current.context) - _CONTEXT

    def _context(self) -> int | None:
        return getattr(self._current, "context", None)

    def _ready(self, stream: int | None = None) -> int:
        context = self._context()
        if context is None or (stream is not None and self.streams[stream].context != context):
            return INVALID_CONTEXT
        return ILLEGAL_ADDRESS if context in self.lost else SUCCESS

    def _forbidden(self) -> int:
        """What must not happen in a thread that captures; it spoils the capture."""
        status = self._ready()
        me = threading.get_ident()
        for state in self.streams.values():
            if state.captured_by == me:
                state.invalidated = True
                status = status or CAPTURE_UNSUPPORTED
        return status

    # ---- the driver and its device

    def _cuInit(self, flags: int) -> int:
        return SUCCESS if flags == 0 else INVALID_VALUE

    def _cuDriverGetVersion(self, version: Any) -> int:
        version.value = 13000
        return SUCCESS

    def _cuGetErrorName(self, status: int, text: Any) -> int:
        text.value = NAMES.get(status, "CUDA_ERROR_UNKNOWN").encode()
        return SUCCESS

    def _cuGetErrorString(self, status: int, text: Any) -> int:
        text.value = f"what {status} means".encode()
        return SUCCESS

    def _cuDeviceGetCount(self, count: Any) -> int:
        count.value = self.devices
        return SUCCESS

    def _cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device.value = ordinal
        return SUCCESS if 0 <= ordinal < self.devices else INVALID_VALUE

    def _cuDeviceGetName(self, name: Any, length: int, device: int) -> int:
        name.value = self.name.encode()[: length - 1]
        return SUCCESS

    def _cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:
        if attribute not in (75, 76):
            return INVALID_VALUE
        value.value = self.capability[attribute - 75]
        return SUCCESS

    def _cuDeviceTotalMem_v2(self, size: Any, device: int) -> int:
        size.value = self.memory_bytes
        return SUCCESS

    def _cuDevicePrimaryCtxSetFlags_v2(self, device: int, flags: int) -> int:
        if device in self.active and self.flags.get(device) != flags:
            return PRIMARY_CONTEXT_ACTIVE
        self.flags[device] = flags
        return SUCCESS

    def _cuDevicePrimaryCtxRetain(self, context: Any, device: int) -> int:
        context.value = _CONTEXT + device
        self.active.add(device)
        return SUCCESS

    def _cuCtxSetCurrent(self, context: int | None) -> int:
        self._current.context = context
        return ILLEGAL_ADDRESS if context in self.lost else SUCCESS

    # ---- memory

    def _cuMemAlloc_v2(self, pointer: Any, size: int) -> int:
        status = self._forbidden()
        if status:
            return status
        if size == 0:
            return INVALID_VALUE
        if size + sum(len(piece) for piece in self.device.values()) > self.memory_bytes:
            return OUT_OF_MEMORY
        pointer.value = self._new(self.device, size)
        return SUCCESS

    def _cuMemFree_v2(self, pointer: int) -> int:
        status = self._forbidden()
        return status or (SUCCESS if self.device.pop(pointer, None) is not None else INVALID_VALUE)

    def _cuMemHostAlloc(self, pointer: Any, size: int, flags: int) -> int:
        status = self._forbidden()
        if status or size == 0:
            return status or INVALID_VALUE
        pointer.value = self._new(self.pinned, size)
        return SUCCESS

    def _cuMemFreeHost(self, pointer: int) -> int:
        return SUCCESS if self.pinned.pop(pointer, None) is not None else INVALID_VALUE

    def _new(self, where: dict[int, Any], size: int) -> int:
        piece = ctypes.create_string_buffer(b"\xa5" * size, size)  # never zeros by luck
        address = ctypes.addressof(piece)
        with self.lock:
            where[address] = piece
        return address

    def _cuMemcpyHtoDAsync_v2(self, target: int, source: int, size: int, stream: int) -> int:
        if not (_within(self.device, target, size) and _within(self.pinned, source, size)):
            return INVALID_VALUE
        return self._queued(stream, lambda: ctypes.memmove(target, source, size) and None)

    def _cuMemcpyDtoHAsync_v2(self, target: int, source: int, size: int, stream: int) -> int:
        if not (_within(self.pinned, target, size) and _within(self.device, source, size)):
            return INVALID_VALUE
        return self._queued(stream, lambda: ctypes.memmove(target, source, size) and None)

    # ---- streams, events, graphs

    def _queued(self, stream: int, work: Work) -> int:
        status = self._ready(stream)
        if status == SUCCESS:
            self.enqueue(stream, work)
        return status

    def _cuStreamCreate(self, stream: Any, flags: int) -> int:
        status = self._ready()
        if status == SUCCESS:
            stream.value = next(self._numbers)
            self.streams[stream.value] = StreamState(self._current.context)
        return status

    def _cuStreamDestroy_v2(self, stream: int) -> int:
        return SUCCESS if self.streams.pop(stream, None) is not None else INVALID_VALUE

    def _cuStreamSynchronize(self, stream: int) -> int:
        return self._forbidden() or self._drain(stream)

    def _drain(self, stream: int) -> int:
        state = self.streams[stream]
        with state.running:
            while state.queue:
                if state.context in self.lost:
                    return ILLEGAL_ADDRESS
                state.queue.popleft()()
        return ILLEGAL_ADDRESS if state.context in self.lost else SUCCESS

    def _cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> int:
        status = self._ready(stream) or (SUCCESS if event in self.events and flags == 0 else INVALID_VALUE)
        recorded = self.events.get(event)
        if status == SUCCESS and recorded is not None and recorded[0] == DEFAULT_STREAM:
            decoder = self.decoders.get(self.streams[stream].context, deque())
            due = [decoder.popleft() for _ in range(len(decoder))]
            self.enqueue(stream, lambda: [work() for work in due] and None)
        return status

    def _cuStreamBeginCapture_v2(self, stream: int, mode: int) -> int:
        status = self._ready(stream)
        state = self.streams[stream]
        if status or mode != 1 or state.capturing is not None:
            return status or INVALID_VALUE
        state.capturing, state.captured_by, state.invalidated = [], threading.get_ident(), False
        return SUCCESS

    def _cuStreamEndCapture(self, stream: int, graph: Any) -> int:
        state = self.streams[stream]
        captured, state.capturing, state.captured_by = state.capturing, None, None
        if captured is None or state.invalidated:
            graph.value = None
            return CAPTURE_INVALIDATED
        graph.value = next(self._numbers)
        self.graphs[graph.value] = captured
        return SUCCESS

    def _cuGraphInstantiateWithFlags(self, ready: Any, graph: int, flags: int) -> int:
        ready.value = next(self._numbers)
        self.graphs[ready.value] = list(self.graphs[graph])
        return SUCCESS

    def _cuGraphLaunch(self, ready: int, stream: int) -> int:
        status = self._ready(stream)
        if status == SUCCESS:
            self.streams[stream].queue.extend(self.graphs[ready])
        return status

    def _cuGraphDestroy(self, graph: int) -> int:
        return SUCCESS if self.graphs.pop(graph, None) is not None else INVALID_VALUE

    def _cuGraphExecDestroy(self, ready: int) -> int:
        return SUCCESS if self.graphs.pop(ready, None) is not None else INVALID_VALUE

    def _cuEventCreate(self, event: Any, flags: int) -> int:
        event.value = next(self._numbers)
        self.events[event.value] = None
        return SUCCESS

    def _cuEventRecord(self, event: int, stream: int) -> int:
        if stream == DEFAULT_STREAM or self.streams[stream].capturing is None:
            self.events[event] = (stream, 0)
        return self._ready(None if stream == DEFAULT_STREAM else stream)

    def _cuEventSynchronize(self, event: int) -> int:
        recorded = self.events[event]
        return self._forbidden() or (SUCCESS if recorded is None else self._drain(recorded[0]))

    def _cuEventDestroy_v2(self, event: int) -> int:
        return SUCCESS if self.events.pop(event, 0) != 0 else INVALID_VALUE


def _within(pieces: dict[int, Any], pointer: int, size: int) -> bool:
    return any(start <= pointer and pointer + size <= start + len(piece) for start, piece in list(pieces.items()))
