"""Short films of every kind, made on the spot by PyAV."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]

QUIET: dict[str, dict[str, str]] = {"libx265": {"x265-params": "log-level=none"}, "libx264": {"preset": "ultrafast"}}


def four_corners(width: int, height: int) -> Rgb:
    """Red, green, blue and yellow quarters, clockwise from the upper left, on soft edges: codecs keep them."""
    rgb = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    rgb[:top, :left] = (200, 30, 30)
    rgb[:top, left:] = (30, 180, 30)
    rgb[top:, left:] = (40, 40, 200)
    rgb[top:, :left] = (200, 200, 40)
    return rgb


def counting(width: int, height: int) -> Callable[[int], Rgb]:
    """Frame k is a grey of brightness 16 + 6 k: what was decoded tells which it was."""
    return lambda k: np.full((height, width, 3), 16 + 6 * k % 220, np.uint8)


def film(
    path: Path,
    codec: str = "libx264",
    *,
    frames: int = 12,
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    b_frames: int = 0,
    full_range: bool | None = None,
    picture: Callable[[int], Rgb] | None = None,
    fps: int = 25,
) -> Path:
    """Encode `picture(k)` for each frame and return the path. Range and matrix are flagged only if asked for."""
    width, height = size
    picture = picture or counting(width, height)
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        stream: Any = out.add_stream(codec, rate=fps, options={**QUIET.get(codec, {}), **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.max_b_frames = b_frames
        if full_range is not None:
            stream.codec_context.color_range = 2 if full_range else 1
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_color_range=2 if full_range else None)
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[k], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def sound(path: Path, container: str | None = None) -> Path:
    """A second of silence and nothing to see."""
    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream("pcm_s16le" if path.suffix == ".wav" else "aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def turned(path: Path, clockwise: int, mirrored: bool = False) -> Path:
    """Write a display matrix into an MP4: players turn it by so many degrees, after a left-right flip."""
    one = 1 << 16
    a, b, c, d = {0: (one, 0, 0, one), 90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[
        clockwise
    ]
    if mirrored:
        a, b = -a, -b
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # behind the box's own fields, version 0
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    return path


def joined(path: Path, *parts: Path) -> Path:
    """One MPEG stream after another: a resolution that changes in mid-stream."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
