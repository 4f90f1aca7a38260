"""Where a stream's frames wait for a detector: one newest-wins slot for a live stream, a queue by credit for a file."""

from __future__ import annotations

import threading
from collections import deque

from streamdet.frames import Frame
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.ledger import DropReason, Ledger
from streamdet.pipeline.stream import Stream


class Credits:
    """How many frames a recorded stream may have in flight. The source waits here, never a worker."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = self._free = limit
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False

    def take(self) -> bool:
        """Wait for a credit; False once closed."""
        with self._changed:
            while self._free <= 0 and not self._closed:
                self._clock.wait(self._changed)
            if self._closed:
                return False
            self._free -= 1
            return True

    @property
    def all_home(self) -> bool:
        """No frame of the stream is anywhere in the pipeline, nor waits for a sink that must have it."""
        with self._changed:
            return self._free >= self._limit

    def give_back(self) -> None:
        """A frame left the pipeline."""
        with self._changed:
            # Never above the limit: a source that turned out to be a recording has frames that were lent none.
            self._free = min(self._free + 1, self._limit)
            self._changed.notify()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Inlet:
    """The frames of one stream that no detector has taken yet. Every call is made under the batcher's lock."""

    def __init__(self, stream: Stream, ledger: Ledger) -> None:
        self._stream = stream
        self._ledger = ledger
        self._waiting: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, frame: Frame) -> None:
        """The newest frame; on a live stream it replaces the one that nobody had looked at."""
        if self._stream.source.live and self._waiting:
            self._drop(self._waiting.popleft(), "superseded")
        self._waiting.append(frame)

    def take(self, now_s: float) -> Frame | None:
        """The next frame worth looking at."""
        while self._waiting:
            frame = self._waiting.popleft()
            if self._stream.source.live and now_s - frame.decoded_s > self._stream.stale_s:
                self._drop(frame, "stale")
                continue
            return frame
        return None

    def oldest_s(self) -> float | None:
        """When the frame whose turn is next was decoded."""
        return self._waiting[0].decoded_s if self._waiting else None

    def clear(self, reason: DropReason) -> int:
        """Drop everything that waits."""
        dropped = len(self._waiting)
        while self._waiting:
            self._drop(self._waiting.popleft(), reason)
        return dropped

    def _drop(self, frame: Frame, reason: DropReason) -> None:
        frame.picture.release()
        self._ledger.drop(reason)
