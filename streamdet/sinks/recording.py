"""Recording: one MP4 file of one size, playable at every moment of its making."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streamdet.drawing.canvas import Canvas
from streamdet.drawing.planes import colours_of, even_size
from streamdet.errors import MissingExtra, SinkLost
from streamdet.picture import Picture
from streamdet.sinks.fragments import keep_whole_fragments
from streamdet.sinks.loss import sink_lost

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.plane import VideoPlane

TIME_BASE = Fraction(1, 90_000)  # every usual frame rate is a whole number of these ticks

_ACTION = "video cannot be written"
# Fragments while it is written, an ordinary MP4 once it is closed: a kill costs the last fragment, never the file.
# Without flush_packets, finished fragments would still wait in FFmpeg's buffer.
_CONTAINER = {"movflags": "hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
_ROOM_BYTES = 4_000_000  # a fragment at a high bit rate
_THREADS = min(os.cpu_count() or 1, 4)  # x264 would take half as many again as there are cores, for every stream


class Recording:
    """Takes canvases with rising times and writes them as H.264.

    Draw on `canvas`, then `add` it. The first frame stands at time 0; the others keep their distance to it, to the
    tick of 1/90000 s. Without B-frames, so that decoding and showing times agree and nothing waits in the encoder.
    """

    def __init__(self, path: Path, picture: Picture, *, crf: int, preset: str, bitrate_kbps: int | None) -> None:
        """A file for pictures like this one; SinkLost where it cannot be made."""
        try:
            import av
        except ImportError as error:  # pragma: no cover - a base dependency
            raise MissingExtra("av", None, "writing video") from error
        self.path = path
        self.frames = 0
        self._first_s = 0.0
        self._last_tick = -1
        width, height = even_size(picture)
        matrix, full_range = colours_of(picture)
        self._require_room()
        options = {"preset": preset, "bf": "0", "threads": str(_THREADS)}
        if bitrate_kbps is None:
            options["crf"] = str(crf)
        with self._losses():
            self._container = av.open(str(path), "w", format="mp4", options=dict(_CONTAINER))
            try:
                self._stream = self._container.add_stream("libx264", options=options)
                encoder = self._stream.codec_context
                encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
                encoder.time_base = self._stream.time_base = TIME_BASE
                encoder.framerate = Fraction(25)  # for rate control alone; the true times go with the frames
                encoder.gop_size = 50
                if bitrate_kbps is not None:
                    encoder.bit_rate = bitrate_kbps * 1000
                encoder.color_range = 2 if full_range else 1
                encoder.colorspace = 1 if matrix == "bt709" else 6
                encoder.color_primaries = encoder.color_trc = 1 if matrix == "bt709" else 6
                self._container.start_encoding()
            except BaseException:
                self.abandon()
                raise
        self._frame: VideoFrame = av.VideoFrame(width, height, "yuv420p")
        self._frame.time_base = TIME_BASE
        self._colours = matrix, full_range

    @property
    def canvas(self) -> Canvas:
        """The planes of the next frame, to be filled; they hold what the last one held."""
        self._frame.make_writable()  # copies only where the encoder still reads the last frame
        y, u, v = (_plane(plane) for plane in self._frame.planes)
        return Canvas(y, u, v, *self._colours)

    def add(self, pts_s: float) -> None:
        """Encode the canvas as the frame of that time."""
        if self.frames == 0:
            self._first_s = pts_s
        tick = max(round((pts_s - self._first_s) / TIME_BASE), self._last_tick + 1)
        self._frame.pts = tick
        with self._losses():
            for packet in self._stream.encode(self._frame):
                self._container.mux(packet)
        self._last_tick = tick
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds and finish the file; SinkLost where that fails."""
        try:
            with self._losses():
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
                self._container.close()
        except SinkLost:
            self.abandon()
            raise

    def abandon(self) -> bool:
        """Let go of a file that could not be written; its whole fragments stay playable. False: there was none."""
        import av

        # The loss was raised already; these would be its echoes.
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()
        with contextlib.suppress(OSError):
            if keep_whole_fragments(self.path):
                return True
            self.path.unlink()
        return False

    def _require_room(self) -> None:
        # A full disk is found out a fragment later than the frames were taken: better not to begin at all.
        with self._losses():
            if shutil.disk_usage(self.path.parent).free < _ROOM_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def _losses(self) -> Iterator[None]:
        import av

        try:
            yield
        except (av.FFmpegError, OSError) as error:
            cause = error if isinstance(error, OSError) else OSError(getattr(error, "errno", None), str(error))
            raise sink_lost(_ACTION, self.path, cause) from error


def _plane(plane: VideoPlane) -> npt.NDArray[np.uint8]:
    rows: npt.NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
