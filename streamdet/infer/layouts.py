"""Where the samples of a picture lie: its planes as flat bytes, and each colour component as a path through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.picture import Picture, PixelFormat, yuv_to_rgb

FlatPlane = tuple[npt.NDArray[np.uint8], int]  # the bytes of a plane, read-only, and the distance between its rows
ColourOrder = Literal["rgb", "bgr", "gray"]

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Component:
    """One of Y, U, V or R, G, B: its sample x of a row is the byte `offset + x · step` of plane `plane`."""

    plane: int
    offset: int
    step: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How a pixel format spreads its components over planes."""

    components: tuple[Component, ...]
    coarser: tuple[tuple[int, int], ...]  # of each plane: pixels per sample, across and down
    is_yuv: bool


LAYOUTS: dict[PixelFormat, Layout] = {
    "yuv420p": Layout(
        (Component(0, 0, 1), Component(1, 0, 1), Component(2, 0, 1)), ((1, 1), (2, 2), (2, 2)), is_yuv=True
    ),
    "yuv422p": Layout(
        (Component(0, 0, 1), Component(1, 0, 1), Component(2, 0, 1)), ((1, 1), (2, 1), (2, 1)), is_yuv=True
    ),
    "nv12": Layout((Component(0, 0, 1), Component(1, 0, 2), Component(1, 1, 2)), ((1, 1), (2, 2)), is_yuv=True),
    # Ten bits on top of sixteen, little-endian: the second byte of each pair holds the upper eight.
    "p010": Layout((Component(0, 1, 2), Component(1, 1, 4), Component(1, 3, 4)), ((1, 1), (2, 2)), is_yuv=True),
    "rgb24": Layout((Component(0, 0, 3), Component(0, 1, 3), Component(0, 2, 3)), ((1, 1),), is_yuv=False),
    "bgr24": Layout((Component(0, 2, 3), Component(0, 1, 3), Component(0, 0, 3)), ((1, 1),), is_yuv=False),
    "gray": Layout((Component(0, 0, 1),), ((1, 1),), is_yuv=False),
}


def flat_planes(picture: Picture) -> tuple[FlatPlane, ...]:
    """The planes of a picture as flat bytes, without a copy where their rows are contiguous.

    Every plane becomes the same type (1-d, contiguous, read-only), so that a compiled kernel has one signature.
    """
    return tuple(_flat(plane) for plane in picture.planes)


def _flat(plane: npt.NDArray[Any]) -> FlatPlane:
    if plane.flags.c_contiguous and not plane.flags.writeable:  # nearly always; the rest costs five times as much
        return plane.reshape(-1).view(np.uint8), plane.strides[0]
    row_bytes = plane[0].size * plane.itemsize
    stride = plane.strides[0]
    if stride < 0 or not plane[0].flags.c_contiguous:
        plane = np.ascontiguousarray(plane)
        stride = row_bytes
    rows = plane.shape[0]
    span = (rows - 1) * stride + row_bytes  # the last row may end before a whole stride does
    flat = np.lib.stride_tricks.as_strided(plane[0].reshape(-1).view(np.uint8), (span,), (1,), writeable=False)
    return flat, stride


def component_matrix(picture: Picture, colour: ColourOrder) -> npt.NDArray[np.float32]:
    """[C, 4]: out = m[:, :3] @ components + m[:, 3], from the picture's components to the engine's colour order."""
    layout = LAYOUTS[picture.format]
    if len(layout.components) == 1:
        matrix = np.zeros((1 if colour == "gray" else 3, 4), np.float32)
        matrix[:, 0] = 1
        return matrix
    rgb = yuv_to_rgb(picture.matrix, picture.full_range) if layout.is_yuv else np.eye(3, 4, dtype=np.float32)
    if colour == "gray":
        if layout.is_yuv:  # luma is grey already, but for its range
            return np.array([[rgb[0, 0], 0, 0, -rgb[0, 0] * (0 if picture.full_range else 16)]], np.float32)
        return np.asarray(_GRAY @ rgb, np.float32)[None]
    return rgb if colour == "rgb" else np.ascontiguousarray(rgb[::-1])
