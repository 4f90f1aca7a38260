"""A decoder's frame → a Picture on its planes, without a copy where the format is one of ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streamdet.picture import PIXEL_FORMATS, ColourMatrix, Picture, PixelFormat, Plane, Rotation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

# FFmpeg's names for formats that are ours in other words; the yuvj ones say "full range" in the name
_AS_DECODED: dict[str, PixelFormat] = {
    **{name: name for name in PIXEL_FORMATS if name != "p010"},
    "p010le": "p010",
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
}
_CHANNELS: dict[PixelFormat, tuple[int, ...]] = {  # samples per pixel, plane by plane
    "yuv420p": (1, 1, 1),
    "nv12": (1, 2),
    "yuv422p": (1, 1, 1),
    "p010": (1, 2),
    "rgb24": (3,),
    "bgr24": (3,),
    "gray": (1,),
}
_WIDENED = ((np.arange(256) - 16) * (255 / 219)).round().clip(0, 255).astype(np.uint8)  # 16..235 → 0..255
_SPC_RGB, _SPC_UNSPECIFIED, _SPC_YCGCO = 0, 2, 8
_BT601_SPACES = (4, 5, 6)  # FCC, BT.470 BG, SMPTE 170M: the same coefficients to the third digit
_UNSPECIFIED_RANGE, _FULL_RANGE = 0, 2
_MPEG, _JPEG = 1, 2  # FFmpeg's words for limited and full range
_TURNS: tuple[Rotation, ...] = (0, 90, 180, 270)
_HD_HEIGHT_PX = 720  # unlabelled video from here on is BT.709, below it BT.601, as every player assumes


class Orientation:
    """How a stream's pictures have to be turned: clockwise degrees, after a left-right flip where it is mirrored."""

    def __init__(self, rotation: Rotation = 0, mirrored: bool = False) -> None:
        self.rotation: Rotation = rotation
        self.mirrored = mirrored

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read from the display matrix that a phone or a camera leaves with its pictures."""
        from av.sidedata.sidedata import SideDataContainer, Type

        contained: Any = SideDataContainer
        try:
            # Not `frame.side_data`: that leaves frame and container holding each other, and with them a whole decoded
            # picture, until the garbage collector comes by.
            data: Any = contained(frame).get(Type.DISPLAYMATRIX)
        except ValueError:  # PyAV knows no name for some newer side data (EXIF), and then shows none of it
            return cls.upright_after(-frame.rotation, mirrored=False)
        if data is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
        mirrored = a * d - b * c < 0
        if mirrored:
            a, b = -a, -b
        return cls.upright_after(math.degrees(math.atan2(b, a)), mirrored)

    @classmethod
    def upright_after(cls, clockwise_degrees: float, mirrored: bool) -> Orientation:
        """By any angle, of which the nearest quarter turn is taken."""
        return cls(_TURNS[round(clockwise_degrees / 90) % 4], mirrored)


def borrow(frame: VideoFrame, orientation: Orientation) -> Picture:
    """A Picture on the frame's own memory, which lives as long as its planes do."""
    name, buffers = frame.format.name, frame.planes  # PyAV makes both anew whenever they are asked for
    matrix, full_range = colours(frame, name)
    if name not in _AS_DECODED or _stands_on_its_head(buffers):
        frame, full_range = _converted(frame, matrix, full_range)
        name, buffers = frame.format.name, frame.planes
    format = _AS_DECODED[name]
    dtype: type[np.uint8] | type[np.uint16] = np.uint16 if format == "p010" else np.uint8
    planes = tuple(_view(plane, channels, dtype) for plane, channels in zip(buffers, _CHANNELS[format], strict=True))
    if format == "gray" and not full_range:
        planes, full_range = (_read_only(_WIDENED[planes[0]]),), True
    if orientation.mirrored:  # too rare to burden every reader with: one copy here
        planes = tuple(_read_only(np.ascontiguousarray(plane[:, ::-1])) for plane in planes)
    return Picture(planes, format, full_range=full_range, matrix=matrix, rotation=orientation.rotation)


def colours(frame: VideoFrame, name: str) -> tuple[ColourMatrix, bool]:
    """Matrix, and whether its range is full, of a frame whose format has that name."""
    full_range = frame.color_range == _FULL_RANGE or name.startswith("yuvj")
    if name.startswith("gray") and frame.color_range == _UNSPECIFIED_RANGE:
        full_range = True
    if frame.colorspace in (_SPC_UNSPECIFIED, _SPC_RGB):
        return ("bt709" if frame.height >= _HD_HEIGHT_PX else "bt601"), full_range
    return ("bt601" if frame.colorspace in _BT601_SPACES else "bt709"), full_range


def _stands_on_its_head(planes: tuple[VideoPlane, ...]) -> bool:
    """Bottom-up pictures (raw AVI) have a negative stride, which a buffer cannot express; all planes or none."""
    return planes[0].line_size < 0


def _converted(frame: VideoFrame, matrix: ColourMatrix, full_range: bool) -> tuple[VideoFrame, bool]:
    """The nearest of our formats, once; range and matrix stay what they were, save that RGB has full range."""
    wanted = _nearest(frame)
    source_range = _JPEG if full_range else _MPEG
    if wanted in ("rgb24", "bgr24"):
        space = "ITU601" if matrix == "bt601" else "ITU709"
        turned = frame.reformat(
            format=wanted, src_colorspace=space, src_color_range=source_range, dst_color_range=_JPEG
        )
        return turned, True
    return frame.reformat(format=wanted, src_color_range=source_range, dst_color_range=source_range), full_range


def _nearest(frame: VideoFrame) -> PixelFormat:
    format = frame.format
    name = format.name
    if _stands_on_its_head(frame.planes):
        return "bgr24" if name != "bgr24" else "rgb24"  # a change of format is what makes swscale turn it over
    if name.startswith(("gray", "ya", "mono")):
        return "gray"
    if format.is_rgb or format.has_palette or format.is_bayer or frame.colorspace in (_SPC_RGB, _SPC_YCGCO):
        return "rgb24"
    return "yuv420p" if format.chroma_height(16) < 16 else "yuv422p"


def _view(plane: VideoPlane, channels: int, dtype: type[np.uint8] | type[np.uint16]) -> Plane:
    """[h, w] or [h, w, c] onto the plane's memory; the padding at the end of each line stays outside."""
    lines: npt.NDArray[Any] = np.frombuffer(plane, dtype)  # type: ignore[call-overload]
    lines = lines.reshape(plane.height, -1)[:, : plane.width * channels]
    if channels > 1:
        lines = lines.reshape(plane.height, plane.width, channels)
    return _read_only(lines)


def _read_only(array: npt.NDArray[Any]) -> Plane:
    array.flags.writeable = False
    return array
