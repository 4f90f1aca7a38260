"""A decoder's pictures left in the GPU's memory, lent out a few at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from streamdet.errors import PictureReleased
from streamdet.picture import DevicePlane, Picture, PixelFormat, Plane, Surface
from streamdet.sources.planes import Orientation, borrow, colours

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SURFACES = 24  # of one stream at a time: 75 MB at 1080p
# How NVDEC stores pictures that engines read as they are; 4:4:4 comes to the host and is converted there.
_AS_STORED: dict[str, PixelFormat] = {"nv12": "nv12", "p010le": "p010", "p016le": "p010"}


class Surfaces:
    """Turns what a decoder gives into Pictures.

    FFmpeg copies every picture out of NVDEC's own few surfaces, so that one that is lent holds up no decoder. What
    bounds them is memory: where `limit` of them are lent the next picture comes to the host, and nobody waits.
    """

    def __init__(self, limit: int = SURFACES) -> None:
        self._limit = limit
        self._lent = 0
        self._lock = threading.Lock()

    @property
    def lent(self) -> int:
        """How many are held by someone now."""
        return self._lent

    def picture(self, frame: VideoFrame, orientation: Orientation) -> Picture:
        """The frame as a Picture, on the GPU where it was decoded there and may stay."""
        stored = getattr(frame, "sw_format", None)  # None of a frame on the host
        if stored is None:
            return borrow(frame, orientation)
        format = _AS_STORED.get(stored.name)
        if format is None or orientation.mirrored or not self._take():
            return borrow(downloaded(frame), orientation)
        matrix, full_range = colours(frame, stored.name)
        planes = tuple(_plane(frame, number, format) for number in range(2))
        return Picture(
            Surface(planes, lambda: _on_the_host(frame)),
            format,
            full_range=full_range,
            matrix=matrix,
            rotation=orientation.rotation,
            on_release=self._give_back,
        )

    def _take(self) -> bool:
        with self._lock:
            free = self._lent < self._limit
            self._lent += free
            return free

    def _give_back(self) -> None:
        with self._lock:
            self._lent -= 1


def downloaded(frame: VideoFrame) -> VideoFrame:
    """The same picture in host memory; of twelve bits the upper ten, which swscale alone can tell apart."""
    assert frame.sw_format is not None
    stored = frame.sw_format.name
    return frame.reformat(format="p010le" if stored == "p016le" else stored)


def _on_the_host(frame: VideoFrame) -> tuple[Plane, ...]:
    from av.error import FFmpegError

    try:
        return borrow(downloaded(frame), Orientation()).planes
    except (FFmpegError, OSError) as error:
        raise PictureReleased("the picture was lost with the GPU that held it", got=error) from error


def _plane(frame: VideoFrame, number: int, format: PixelFormat) -> DevicePlane:
    """Its address is what DLPack would name; DLPack itself rounds odd chroma down, and so loses its last samples."""
    plane = frame.planes[number]
    shape = (plane.height, plane.width) if number == 0 else (plane.height, plane.width, 2)
    dtype = np.dtype(np.uint16 if format == "p010" else np.uint8)
    gpu = int(plane.__dlpack_device__()[1])
    return DevicePlane(plane.buffer_ptr, shape, plane.line_size, dtype, gpu, plane)
