"""Results for the tests of sinks and drawing."""

from __future__ import annotations

import numpy as np

from streamdet.frames import Detections, Frame, Result, Tracks
from streamdet.picture import Picture


def make_picture(width: int, height: int, shade: int) -> Picture:
    """A grey picture, darker on its left half."""
    half = ((height + 1) // 2, (width + 1) // 2)
    luma = np.full((height, width), shade, np.uint8)
    luma[:, : width // 2] //= 2
    return Picture((luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)), "yuv420p")


def make_result(
    index: int = 0,
    *,
    stream: str = "gate",
    epoch: int = 0,
    pts_s: float | None = None,
    size: tuple[int, int] = (64, 48),
    objects: int = 2,
    known: bool = True,
    tracked: bool = True,
    path: str | None = None,
    picture: Picture | None = None,
) -> Result:
    """A result with a picture and a row of plates."""
    picture = picture or make_picture(*size, shade=40 + index * 7 % 200)
    frame = Frame(stream, index, index / 25 if pts_s is None else pts_s, picture, epoch=epoch, path=path)
    if not known:
        return Result(frame, None, None, "timeout")
    left = np.arange(objects, dtype=np.float32) * 10 + 2.25
    xyxy = np.stack([left, left + 4, left + 16, left + 24], axis=1)
    score = np.linspace(0.93, 0.5, objects, dtype=np.float32)
    found = Detections(xyxy, score, np.zeros(objects, np.int32), ("plate",))
    if not tracked:
        return Result(frame, found)
    ids = np.arange(objects, dtype=np.int64) + 7
    return Result(frame, found, Tracks(ids, xyxy + 0.5, np.full(objects, 2, np.uint8)))
