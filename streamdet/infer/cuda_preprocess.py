"""From a picture's planes to an engine's uint8 input without the CPU: the twins of preprocess.py on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement
from streamdet.errors import MissingExtra
from streamdet.frames import Picture
from streamdet.infer.layouts import flat_planes
from streamdet.infer.preprocess import Letterbox, Plan, Warp
from streamdet.manifest import EngineInput

_BLOCK = (32, 8)  # threads: a warp writes 32 neighbours of a row


def _library() -> Any:
    try:
        from numba import cuda
    except ImportError as error:
        raise MissingExtra("numba-cuda", "gpu", "preparing pictures on a GPU") from error
    return cuda


class _Planes:
    """Room on the GPU for the planes of one picture after the other; copies, and never allocates twice for a size."""

    def __init__(self, library: Any) -> None:
        self._cuda = library
        self._room: list[Any] = [library.device_array(1, np.uint8) for _ in range(3)]

    def upload(self, picture: Picture, stream: Any) -> tuple[Any, Any, Any]:
        flat = [plane for plane, _ in flat_planes(picture)]
        placed = []
        for place, plane in enumerate(flat):
            if self._room[place].size != plane.size:
                self._room[place] = self._cuda.device_array(plane.size, np.uint8)
            self._room[place].copy_to_device(plane, stream=stream)
            placed.append(self._room[place])
        return (*placed, *placed, *placed)[:3]  # the kernel always takes three


class CudaLetterbox:
    """Letterbox on a GPU. One per thread and stream: pictures go through the same memory one after the other."""

    def __init__(self, engine_input: EngineInput, stream: Any = 0) -> None:
        self._cuda = _library()
        from streamdet.infer import cuda_kernels

        self._kernel = self._cuda.jit(cuda_kernels.LETTERBOX)(cuda_kernels.letterbox)
        self._input = engine_input
        self._stream = stream
        self._on_host = Letterbox(engine_input)
        self._planes = _Planes(self._cuda)
        self._tables: dict[int, tuple[Plan, list[Any]]] = {}
        self._matrices: dict[bytes, Any] = {}

    def write(self, picture: Picture, out: Any) -> Placement:
        """Queue: fill `out`, a device array [C, H, W], with the picture and padding; where the picture will lie."""
        plan = self._on_host.plan(picture, tuple(stride for _, stride in flat_planes(picture)))
        placement = plan.placement
        matrix = self._on_host.matrix(picture)
        if matrix.tobytes() not in self._matrices:
            self._matrices[matrix.tobytes()] = self._cuda.to_device(matrix)
        self._kernel[_grid(out), _BLOCK, self._stream](
            *self._planes.upload(picture, self._stream),
            *self._uploaded(plan),
            self._matrices[matrix.tobytes()],
            out,
            placement.left_px,
            placement.top_px,
            picture.rotation,
            self._input.fit.pad,
        )
        return placement

    def _uploaded(self, plan: Plan) -> list[Any]:
        """The plan's tables on the GPU, in 32 bits; kept as long as the plan is the same."""
        known = self._tables.get(id(plan))
        if known is None or known[0] is not plan:
            tables = (plan.rows, plan.row_weight, plan.columns, plan.column_weight, plan.components)
            uploaded = [self._cuda.to_device(np.ascontiguousarray(table, np.int32)) for table in tables]
            if len(self._tables) > 64:
                self._tables.clear()
            known = self._tables[id(plan)] = (plan, uploaded)
        return known[1]


class CudaWarp:
    """Warp on a GPU. One per thread and stream."""

    def __init__(self, warp: Warp, stream: Any = 0) -> None:
        self._cuda = _library()
        from streamdet.infer import cuda_kernels

        self._kernel = self._cuda.jit(cuda_kernels.WARP)(cuda_kernels.warp)
        self._on_host = warp
        self._stream = stream
        self._planes = _Planes(self._cuda)

    def write(self, picture: Picture, corners: npt.NDArray[np.float32], out: Any) -> bool:
        """Queue: fill `out`, a device array [C, h, w], from four corners; False where there is no such view."""
        view = self._on_host.view(picture, corners)
        if view is None:
            return False
        tables = [
            self._cuda.to_device(np.ascontiguousarray(table, dtype), stream=self._stream)
            for table, dtype in (
                (view.plane_shape, np.int32),
                (view.components, np.int32),
                (view.homography, np.float32),
                (view.matrix, np.float32),
            )
        ]
        planes = self._planes.upload(picture, self._stream)
        self._kernel[_grid(out), _BLOCK, self._stream](*planes, *tables, view.across, view.down, out)
        return True


def _grid(out: Any) -> tuple[int, int]:
    _, height, width = out.shape
    return -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
