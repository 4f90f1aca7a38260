"""A picture's planes, upright and as yuv420p of even size: the one copy that is drawn on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.drawing.canvas import Bytes, Canvas
from streamdet.picture import ColourMatrix, Picture

_TURNS = {90: "ROTATE_90_CLOCKWISE", 180: "ROTATE_180", 270: "ROTATE_90_COUNTERCLOCKWISE"}


def even_size(picture: Picture) -> tuple[int, int]:
    """The canvas that a picture needs: an odd width or height gets one more column or row, so nothing is cut off."""
    return picture.width + picture.width % 2, picture.height + picture.height % 2


def colours_of(picture: Picture) -> tuple[ColourMatrix, bool]:
    """Matrix and full range of the canvas made from this picture."""
    if picture.format in ("rgb24", "bgr24"):
        return "bt601", False  # what the conversion below writes
    if picture.format == "gray":
        return "bt601", True
    return picture.matrix, picture.full_range


def canvas_of(picture: Picture) -> Canvas:
    """A new canvas that shows the picture."""
    width, height = even_size(picture)
    matrix, full_range = colours_of(picture)
    half = (height // 2, width // 2)
    canvas = Canvas(
        np.empty((height, width), np.uint8), np.empty(half, np.uint8), np.empty(half, np.uint8), matrix, full_range
    )
    lay_down(picture, canvas)
    return canvas


def lay_down(picture: Picture, canvas: Canvas) -> None:
    """Copy the picture onto a canvas of `even_size`, turned upright; the row or column too many repeats the last."""
    for source, target in zip(_yuv420p(picture), (canvas.y, canvas.u, canvas.v), strict=True):
        _turn_into(source, picture.rotation, target)


def _turn_into(source: npt.NDArray[np.uint8], rotation: int, target: Bytes) -> None:
    import cv2

    height, width = source.shape if rotation in (0, 180) else source.shape[::-1]
    shown = target[:height, :width]
    if rotation:
        cv2.rotate(source, getattr(cv2, _TURNS[rotation]), dst=shown)
    else:
        np.copyto(shown, source)
    if height < target.shape[0]:
        target[height:, :width] = target[height - 1, :width]
    if width < target.shape[1]:
        target[:, width:] = target[:, width - 1 : width]


def _yuv420p(picture: Picture) -> tuple[Bytes, Bytes, Bytes]:
    """Y [h, w], U and V [⌈h/2⌉, ⌈w/2⌉], not yet turned; views where the format allows."""
    import cv2

    planes: tuple[npt.NDArray[Any], ...] = picture.planes
    if picture.format == "yuv420p":
        return planes[0], planes[1], planes[2]
    if picture.format in ("nv12", "p010"):
        if picture.format == "p010":  # the upper eight of ten bits
            planes = tuple((plane >> 8).astype(np.uint8) for plane in planes)
        u, v = cv2.split(planes[1])
        return planes[0], u, v
    if picture.format == "yuv422p":
        return planes[0], _halved_down(planes[1]), _halved_down(planes[2])
    if picture.format == "gray":
        grey = np.full(((planes[0].shape[0] + 1) // 2, (planes[0].shape[1] + 1) // 2), 128, np.uint8)
        return planes[0], grey, grey
    return _from_rgb(planes[0], picture.format == "bgr24")


def _halved_down(chroma: Bytes) -> Bytes:
    import cv2

    if chroma.shape[0] % 2:
        chroma = np.concatenate([chroma, chroma[-1:]])
    halved: Bytes = cv2.resize(chroma, (chroma.shape[1], chroma.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return halved.reshape(-1, chroma.shape[1])


def _from_rgb(pixels: Bytes, blue_first: bool) -> tuple[Bytes, Bytes, Bytes]:
    import cv2

    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    stacked = cv2.cvtColor(
        np.ascontiguousarray(pixels), cv2.COLOR_BGR2YUV_I420 if blue_first else cv2.COLOR_RGB2YUV_I420
    )
    rows, columns = pixels.shape[0], pixels.shape[1]
    chroma = stacked[rows:].reshape(2, rows // 2, columns // 2)
    return stacked[:height, :width], chroma[0], chroma[1]
