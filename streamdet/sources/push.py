"""Frames that the user's own program hands over."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ConfigError, EndOfStream, SourceLost
from streamdet.frames import Frame
from streamdet.picture import Picture, PixelFormat
from streamdet.sources.timeline import Timeline

_LIVE_SLOTS = 1
_RECORDED_SLOTS = 8


class PushSource:
    """A source that other threads feed: `push` pictures, `finish` when there are no more.

        source = PushSource("press")
        source.push(bgr, pts_s=1.20)  # [h, w, 3] as OpenCV has it, or [h, w]; copied at once
        source.finish()

    A live one keeps the newest picture only; what that passes over counts in `passed_over`. With `recorded=True` every
    picture is kept and `push` waits while the pipeline is behind. `close` ends it from either side at once: a waiting
    `read` and a waiting `push` return. Without a push for `deadline_s` a live source counts as stalled.
    """

    duration_s: float | None = None

    def __init__(
        self, name: str, *, recorded: bool = False, deadline_s: float = 5.0, format: PixelFormat = "bgr24"
    ) -> None:
        if format not in ("bgr24", "rgb24"):
            raise ConfigError("pushed pictures are bgr24 or rgb24", got=format)
        self.name = name
        self.live = not recorded
        self.deadline_s = (
            math.inf if recorded else deadline_s
        )  # a recording's next picture may take as long as it likes
        self.passed_over = 0
        self._format: PixelFormat = format
        self._patience_s = None if recorded else deadline_s
        self._slots = _RECORDED_SLOTS if recorded else _LIVE_SLOTS
        self._waiting: deque[tuple[Picture, float | None, float]] = deque()
        self._changed = threading.Condition()
        self._timeline = Timeline()
        self._finished = False
        self._opened = False
        self._closed = False

    def push(self, picture: npt.NDArray[Any], pts_s: float | None = None) -> None:
        """Hand over one picture, from any thread. Without `pts_s` its time is now."""
        own = self._copied(picture)
        arrived_at = time.time()
        stamp_s = time.monotonic() if pts_s is None else float(pts_s)
        with self._changed:
            while not self.live and len(self._waiting) >= self._slots and not self._over():
                self._changed.wait()
            if self._over():
                raise EndOfStream(f"{self.name} takes no more pictures")
            if len(self._waiting) >= self._slots:
                self._waiting.popleft()
                self.passed_over += 1
            self._waiting.append((own, stamp_s, arrived_at))
            self._changed.notify_all()

    def finish(self) -> None:
        """No more pictures will come; those handed over are still read."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def open(self) -> None:
        """Ready to read; pictures pushed before are waiting."""
        with self._changed:
            self._opened, self._closed = True, False
            self._timeline = Timeline()

    def read(self) -> Frame:
        """The next picture; EndOfStream after `finish` or `close`."""
        with self._changed:
            if not self._opened:
                raise SourceLost("failed", "the source was read before it was opened", where=self.name)
            arrived = self._changed.wait_for(lambda: self._waiting or self._over(), self._patience_s)
            if self._closed or (arrived and not self._waiting):
                raise EndOfStream
            if not arrived:
                raise SourceLost("stalled", f"nothing was pushed for {self.deadline_s:g} s", where=self.name)
            picture, stamp_s, arrived_at = self._waiting.popleft()
            self._changed.notify_all()
        stamp = self._timeline.stamp(stamp_s)
        return Frame(
            self.name, stamp.index, stamp.pts_s, picture, stamp.epoch, captured_at=arrived_at, time_source="push"
        )

    def suspects(self) -> int:
        """None: pushed pictures are taken as they are."""
        return 0

    def close(self) -> None:
        """End it at once; pictures that still wait are given up and count in `passed_over`."""
        with self._changed:
            self._closed = True
            self.passed_over += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()

    def _over(self) -> bool:
        return self._finished or self._closed

    def _copied(self, picture: npt.NDArray[Any]) -> Picture:
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
            raise ConfigError(
                "that cannot be pushed as a picture",
                where=self.name,
                expected="uint8 [height, width, 3] or [height, width]",
                got=f"{picture.dtype} {list(picture.shape)}",
            )
        if picture.size == 0:
            raise ConfigError("an empty picture cannot be pushed", where=self.name, got=list(picture.shape))
        own = np.array(picture)
        own.flags.writeable = False
        if own.ndim == 2:
            return Picture((own,), "gray", full_range=True)
        return Picture((own,), self._format, full_range=True)
