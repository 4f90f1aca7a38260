"""Folders and globs of pictures: each for itself, or the frames of one film."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from streamdet.errors import EndOfStream, SourceLost
from streamdet.frames import Frame
from streamdet.picture import Picture
from streamdet.sources.classify import loss
from streamdet.sources.exif import orientation
from streamdet.sources.ffmpeg import load, scrub
from streamdet.sources.options import SourceOptions
from streamdet.sources.planes import Orientation, borrow

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SEQUENCE_FPS = 25.0

_log = logging.getLogger(__name__)


def naturally(path: Path) -> list[tuple[int, int | str]]:
    """A sort key by which frame_9 precedes frame_10."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


class ImagesSource:
    """Pictures from files, in natural order.

    Unrelated pictures carry their `path`, which tells later stations that nothing moves from one to the next; they
    stand a second apart, for want of a time. With `sequence` they are one film of `fps` frames per second. A picture
    that cannot be read is skipped, counted as suspect and logged; if none can be read the source is lost.
    """

    live = False

    def __init__(self, name: str, paths: Sequence[Path], options: SourceOptions | None = None) -> None:
        self.name = name
        self.paths = sorted(paths, key=naturally)
        self.options = options or SourceOptions()
        self.deadline_s = self.options.deadline_s
        self.duration_s: float | None = None
        self._interval_s = 1 / (self.options.fps or _SEQUENCE_FPS)
        self._next: int | None = None  # position in paths; None while closed
        self._round = 0
        self._read_any = False
        self._suspects = 0

    def open(self) -> None:
        """Begin with the first picture."""
        if not self.paths:
            raise loss("not_found", where=self.name, got="no pictures")
        self._next, self._round, self._read_any, self._suspects = 0, 0, False, 0
        if self.options.sequence:
            self.duration_s = len(self.paths) * self._interval_s

    def read(self) -> Frame:
        """The next picture that can be read, or EndOfStream."""
        if self._next is None:
            raise SourceLost("failed", "the source was read before it was opened", where=self.name)
        while True:
            if self._next == len(self.paths):
                self._end_of_round()
            position, self._next = self._next, self._next + 1
            path = self.paths[position]
            try:
                picture = read_picture(path)
            except SourceLost as error:
                self._suspects += 1
                if len(self.paths) == 1:
                    raise
                _log.warning("%s: picture skipped: %s", self.name, error.line)
                continue
            self._read_any = True
            return self._frame(position, path, picture)

    def _end_of_round(self) -> None:
        if not self._read_any:
            raise SourceLost("codec", f"none of {len(self.paths)} pictures can be read", where=self.paths[0].parent)
        if not self.options.loop:
            raise EndOfStream
        self._next = 0
        self._round += 1

    def _frame(self, position: int, path: Path, picture: Picture) -> Frame:
        if self.options.sequence:
            return Frame(self.name, position, position * self._interval_s, picture, self._round)
        return Frame(self.name, position, float(position), picture, self._round, path=str(path))

    def suspects(self) -> int:
        """Pictures skipped since the last call."""
        fresh, self._suspects = self._suspects, 0
        return fresh

    def close(self) -> None:
        """Nothing stays open between two pictures."""
        self._next = None


def read_picture(path: Path) -> Picture:
    """One picture file as a Picture, turned as its EXIF says; SourceLost says why not."""
    av = load()
    try:
        content = path.read_bytes()
    except OSError as error:
        cause: str = error.strerror or "unreadable"
        raise SourceLost("not_found", "the picture cannot be read", where=path, got=cause) from error
    if not content:
        raise SourceLost("codec", "the picture is empty", where=path)
    if _cut_short(content):
        raise SourceLost("codec", "the picture is cut short", where=path)
    try:
        with av.logging.Capture(), av.open(io.BytesIO(content), metadata_errors="replace") as container:
            frame = next(container.decode(video=0))
    except (av.error.FFmpegError, OSError, ValueError, IndexError, StopIteration) as error:
        scrub(error)
        raise SourceLost("codec", "the picture cannot be decoded", where=path, got=_words(error)) from error
    if frame.is_corrupt:
        raise SourceLost("codec", "the picture is damaged", where=path)
    rotation, mirrored = orientation(content)
    return borrow(frame, Orientation(rotation, mirrored))


def _cut_short(content: bytes) -> bool:
    """A JPEG without its end decodes to a picture with a grey part, and no decoder says so."""
    return content[:2] == b"\xff\xd8" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or "not a picture that FFmpeg can read"
