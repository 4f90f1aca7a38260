"""Decoding on an NVIDIA GPU, through FFmpeg: tried once on a clip of our own, held against software, then offered."""

from __future__ import annotations

import ctypes
import functools
import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from streamdet.sources.ffmpeg import load

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel

Decode = Literal["auto", "cpu", "cuda"]

LIBRARY = "libnvcuvid.so.1"
_SIZE = 256  # larger than any decoder's smallest picture
_PICTURES = 8
_given_up: dict[int, str] = {}


def accelerator(gpu: int | None = None) -> HWAccel:
    """What av.open is given; what the GPU cannot decode FFmpeg decodes itself.

    Where a GPU is named pictures stay in its memory, in the context that engines use; otherwise they come to the host.
    """
    from av.codec.hwaccel import HWAccel

    # One context for all decoders: FFmpeg would make one for each, some hundred megabytes of the GPU's memory.
    options: dict[str, object] = {"primary_ctx": "1"}
    if gpu is None:
        return HWAccel("cuda", allow_software_fallback=True, options=options)
    try:
        return HWAccel("cuda", device=str(gpu), allow_software_fallback=True, options=options, is_hw_owned=True)
    except TypeError:  # an older PyAV cannot leave pictures there
        return HWAccel("cuda", device=str(gpu), allow_software_fallback=True, options=options)


def give_up(gpu: int | None, reason: str) -> None:
    """That GPU's decoder failed in the middle of a stream: no other is opened there by this process."""
    _given_up[gpu or 0] = reason


def given_up(gpu: int | None) -> str | None:
    """Why that GPU's decoder is not used any more."""
    return _given_up.get(gpu or 0)


@functools.cache
def why_not() -> str | None:
    """None where the GPU decodes a clip to the byte as software does; otherwise what is missing. Asked once."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        return str(error)
    av = load()
    clip = _clip(av)
    expected, _ = _lumas(av, clip, None)
    try:
        found, on_gpu = _lumas(av, clip, accelerator())
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return f"FFmpeg cannot use it: {error}"
    if not on_gpu:
        return "FFmpeg decodes in software all the same"
    if len(found) != len(expected) or any(not np.array_equal(*pair) for pair in zip(expected, found, strict=True)):
        return "it decodes other pictures than software does"
    return None


def _clip(av: Any) -> bytes:
    """A few H.264 pictures of a moving ramp."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        y, x = np.mgrid[:_SIZE, :_SIZE]
        for number in range(_PICTURES):
            gray = ((x + 2 * y + 16 * number) % 256).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode())
    return target.getvalue()


def _lumas(av: Any, clip: bytes, hwaccel: HWAccel | None) -> tuple[list[Any], bool]:
    with av.open(io.BytesIO(clip), hwaccel=hwaccel) as container:
        pictures = [np.array(frame.to_ndarray()[:_SIZE]) for frame in container.decode(video=0)]
        return pictures, bool(container.streams.video[0].codec_context.is_hwaccel)
