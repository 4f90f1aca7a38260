"""From a picture's planes to an engine's uint8 input without the CPU: the twins of preprocess.py on a GPU."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement
from streamdet.errors import InferenceFailed, MissingExtra
from streamdet.infer.layouts import flat_planes
from streamdet.infer.preprocess import Letterbox, Plan, Warp
from streamdet.manifest import EngineInput
from streamdet.picture import DevicePlane, Picture

_BLOCK = (32, 8)  # threads: a warp writes 32 neighbours of a row
_TABLES_KEPT = 64  # as many as the CPU's twin keeps plans


def load_library() -> Any:
    """numba's CUDA; MissingExtra where it is not installed or finds no GPU."""
    try:
        from numba import cuda
    except ImportError as error:
        raise MissingExtra("numba-cuda", "gpu", "preparing pictures on a GPU") from error
    if not cuda.is_available():
        missing = MissingExtra("numba-cuda", "gpu", "preparing pictures on a GPU")
        missing.what = "numba finds no CUDA driver or compiler, and preparing pictures on a GPU needs them"
        raise missing
    return cuda


@contextmanager
def numba_failures(where: str) -> Iterator[None]:
    """What numba raises becomes InferenceFailed."""
    from numba.cuda.cudadrv import driver, error, nvvm

    names = ("CudaAPIError", "LinkerError", "CudaSupportError", "CudaDriverError", "CudaRuntimeError", "NvvmError")
    found = (getattr(module, name, None) for module in (driver, error, nvvm) for name in names)
    kinds: tuple[type[Exception], ...] = tuple(kind for kind in found if isinstance(kind, type))
    try:
        yield
    except kinds as failure:
        text = str(failure).strip() or type(failure).__name__
        raise InferenceFailed("preparing pictures on the GPU failed", where=where, got=text[:300]) from failure


@functools.cache
def _kernel(name: str) -> Any:
    """Compiled once per process; numba loads it on each GPU that it is launched on."""
    from streamdet.infer import cuda_kernels

    return load_library().jit(getattr(cuda_kernels, name.upper()))(getattr(cuda_kernels, name))


@dataclass(frozen=True, slots=True)
class _Span:
    """All bytes of a plane on the GPU, gaps between its rows included: what a kernel takes."""

    plane: DevicePlane

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        # No stream is named: the order is kept by Stream.follow_decoders, without a wait.
        shape = (self.plane.span_bytes,)
        return {"version": 3, "shape": shape, "typestr": "|u1", "data": (self.plane.pointer, True), "strides": None}


class _Room:
    """Room on the GPU and as much pinned memory, through which arrays are copied; it grows with the largest of them.

    What was put must have been read, and the stream waited for, before the next is put.
    """

    def __init__(self, library: Any, stream: Any) -> None:
        self._cuda = library
        self._stream = stream
        self._there: Any = None
        self._here: npt.NDArray[Any] = np.zeros(0, np.uint8)
        self._views: dict[tuple[object, ...], tuple[npt.NDArray[Any], Any]] = {}  # numba takes its time to make one

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Queue the copy; the array on the GPU."""
        key = (array.shape, array.dtype)
        if key not in self._views:
            self._make_room(array.nbytes)
            here, there = (room[: array.nbytes].view(array.dtype) for room in (self._here, self._there))
            self._views[key] = here.reshape(array.shape), there.reshape(array.shape)
        here, there = self._views[key]
        np.copyto(here, array)
        there.copy_to_device(here, stream=self._stream)
        return there

    def _make_room(self, size: int) -> None:
        if len(self._views) >= _TABLES_KEPT or size > self._here.size:
            self._views.clear()
        if size > self._here.size:
            self._here = self._cuda.pinned_array((size,), np.uint8)
            self._there = self._cuda.device_array((size,), np.uint8)


class GpuPlanes:
    """The planes of one picture as a kernel takes them: where they lie on the GPU, or uploaded."""

    def __init__(self, library: Any, stream: Any = 0, gpu: int | None = None) -> None:
        self._cuda = library
        self._gpu = gpu
        self._rooms = [_Room(library, stream) for _ in range(3)]

    def of(self, picture: Picture) -> tuple[tuple[Any, Any, Any], tuple[int, ...]]:
        """Three arrays, some of them twice, and the strides of those that there are."""
        surface = picture.surface if picture.device == self._gpu else None  # another GPU's goes by way of the host
        if surface is not None:
            arrays = [self._cuda.as_cuda_array(_Span(plane), sync=False) for plane in surface.planes]
            strides = tuple(plane.stride_bytes for plane in surface.planes)
        else:
            flat = flat_planes(picture)
            arrays = [room.put(plane) for room, (plane, _) in zip(self._rooms, flat, strict=False)]
            strides = tuple(stride for _, stride in flat)
        return (*arrays, *arrays, *arrays)[:3], strides  # the kernel always takes three


class CudaLetterbox:
    """Letterbox on a GPU. One per thread and stream."""

    def __init__(self, engine_input: EngineInput, stream: Any = 0) -> None:
        self._cuda = load_library()
        self._kernel = _kernel("letterbox")
        self._input = engine_input
        self._stream = stream
        self._on_host = Letterbox(engine_input)
        self._tables: dict[int, tuple[Plan, list[Any]]] = {}
        self._matrices: dict[bytes, Any] = {}

    def write(self, picture: Picture, out: Any, planes: GpuPlanes) -> Placement:
        """Queue: fill `out`, a device array [C, H, W], with the picture and padding; where the picture will lie."""
        arrays, strides = planes.of(picture)
        plan = self._on_host.plan(picture, strides)
        placement = plan.placement
        self._kernel[_grid(out), _BLOCK, self._stream](
            *arrays,
            *self._uploaded(plan),
            self._matrix(picture),
            out,
            *map(np.int32, (placement.left_px, placement.top_px, picture.rotation, self._input.fit.pad)),
        )
        return placement

    def _uploaded(self, plan: Plan) -> list[Any]:
        """The plan's tables on the GPU, in 32 bits; kept as long as the plan is the same."""
        known = self._tables.get(id(plan))
        if known is None or known[0] is not plan:
            tables = (plan.rows, plan.row_weight, plan.columns, plan.column_weight, plan.components)
            if len(self._tables) > _TABLES_KEPT:
                self._tables.clear()
            known = self._tables[id(plan)] = (plan, [self._to_gpu(table) for table in tables])
        return known[1]

    def _matrix(self, picture: Picture) -> Any:
        matrix = self._on_host.matrix(picture)
        key = matrix.tobytes()
        if key not in self._matrices:
            self._matrices[key] = self._to_gpu(matrix)
        return self._matrices[key]

    def _to_gpu(self, table: npt.NDArray[Any]) -> Any:
        # In the stream that reads it: a copy in the default stream may not have arrived when the kernel starts.
        return self._cuda.to_device(np.ascontiguousarray(table, np.int32), stream=self._stream)


class CudaWarp:
    """Warp on a GPU, of one crop at a time until the stream was waited for. One per thread and place in a batch."""

    def __init__(self, warp: Warp, stream: Any = 0) -> None:
        library = load_library()
        self._kernel = _kernel("warp")
        self._on_host = warp
        self._stream = stream
        self._rooms = [_Room(library, stream) for _ in range(4)]

    def write(self, picture: Picture, corners: npt.NDArray[np.float32], out: Any, planes: GpuPlanes) -> bool:
        """Queue: fill `out`, a device array [C, h, w], from four corners; False where there is no such view."""
        arrays, strides = planes.of(picture)
        view = self._on_host.view(picture, corners, strides)
        if view is None:
            return False
        tables = (
            view.plane_shape.astype(np.int32),
            view.components.astype(np.int32),
            view.homography.astype(np.float32),
            view.matrix.astype(np.float32),
        )
        uploaded = [room.put(table) for room, table in zip(self._rooms, tables, strict=True)]
        self._kernel[_grid(out), _BLOCK, self._stream](
            *arrays, *uploaded, np.int32(view.across), np.int32(view.down), out
        )
        return True


def _grid(out: Any) -> tuple[int, int]:
    _, height, width = out.shape
    return -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
