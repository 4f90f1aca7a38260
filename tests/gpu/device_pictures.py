"""Pictures in the memory of a pretended GPU: what a decoder leaves there, and how often it is copied back."""

from __future__ import annotations

import ctypes
from ctypes import c_uint64
from typing import Any

import numpy as np
from fake_cuda import FakeDriver

from streamdet.frames import Frame
from streamdet.picture import DevicePlane, Picture, Plane, Surface


class Memory:
    """What keeps a surface's memory: freed with the last who holds it."""

    def __init__(self, driver: FakeDriver, content: bytes) -> None:
        self._driver = driver
        pointer = c_uint64()
        driver._cuCtxSetCurrent(0xC0DE)
        assert 0 == driver._cuMemAlloc_v2(pointer, len(content))
        self.pointer = pointer.value
        ctypes.memmove(self.pointer, content, len(content))

    def __del__(self) -> None:
        self._driver.device.pop(self.pointer, None)


class OnGpu:
    """A copy of a picture on a pretended GPU. `downloads` counts the ways back; `lost` fails them."""

    def __init__(self, driver: FakeDriver, picture: Picture, gpu: int = 0, pitch: int = 64) -> None:
        self.downloads = 0
        self.released = 0
        self.lost = False
        self._host = picture
        planes = tuple(self._uploaded(driver, plane, gpu, pitch) for plane in picture.planes)
        self.picture = Picture(
            Surface(planes, self._download),
            picture.format,
            full_range=picture.full_range,
            matrix=picture.matrix,
            rotation=picture.rotation,
            on_release=self._on_release,
        )

    def frame(self, number: int = 0) -> Frame:
        return Frame("s", number, number / 25, self.picture)

    def _uploaded(self, driver: FakeDriver, plane: Plane, gpu: int, pitch: int) -> DevicePlane:
        row_bytes = plane[0].size * plane.itemsize
        stride = -(-row_bytes // pitch) * pitch
        rows: Any = np.full((plane.shape[0], stride), 0xEE, np.uint8)
        rows[:, :row_bytes] = np.ascontiguousarray(plane).reshape(plane.shape[0], -1).view(np.uint8)
        memory = Memory(driver, rows.tobytes())
        return DevicePlane(memory.pointer, plane.shape, stride, plane.dtype, gpu, memory)

    def _download(self) -> tuple[Plane, ...]:
        if self.lost:
            raise OSError("CUDA_ERROR_ILLEGAL_ADDRESS")
        self.downloads += 1
        return tuple(plane.copy() for plane in self._host.planes)

    def _on_release(self) -> None:
        self.released += 1
