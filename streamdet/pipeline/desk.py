"""Where crops wait for a reader: one desk per reader, shared by every lane."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamdet.frames import Frame
from streamdet.metrics import Meter
from streamdet.pipeline.clock import Clock
from streamdet.plates.reader import PlateView

if TYPE_CHECKING:
    from streamdet.pipeline.batcher import Wanted
    from streamdet.pipeline.lane import Lane, Ticket


@dataclass(slots=True, eq=False)
class Errand:
    """One frame's crops for one reader; the frame stays in its lane, and its picture held, until they are read."""

    lane: Lane
    ticket: Ticket
    stage: int  # which of the stream's readers
    frame: Frame
    views: Sequence[PlateView]
    rows: Sequence[int]  # of the detections, one per view
    asked_s: float
    given_up: bool = False


class Desk:
    """First come, first served: a lane has one errand at a time for each of its readers, so nobody waits for long."""

    def __init__(self, reader: str, clock: Clock, meter: Meter, *, limit: int) -> None:
        self._limit = limit  # errands in a batch
        self._clock = clock
        self._changed = threading.Condition()
        self._errands: deque[Errand] = deque()
        self._closed = False
        self._served_s: float | None = None  # since when a worker is there
        self._batch_frames = meter.batch_frames.labels(reader)
        self._batch_wait_seconds = meter.batch_wait_seconds.labels(reader)
        self._depth_gauge = meter.queue_depth.labels(f"batcher:{reader}")

    def put(self, errand: Errand) -> None:
        """Crops that are due."""
        with self._changed:
            self._errands.append(errand)
            self._changed.notify()

    def take(self, wanted: Wanted) -> list[tuple[Errand, int]] | None:
        """The next errands that anybody still waits for; None when the worker should go home."""
        with self._changed:
            if self._served_s is None:
                self._served_s = self._clock.now()
            while True:
                if wanted.gone:
                    return None
                batch: list[tuple[Errand, int]] = []
                while self._errands and len(batch) < self._limit:
                    errand = self._errands.popleft()
                    if not errand.given_up:
                        batch.append((errand, errand.stage))
                if batch:
                    self._note(batch)
                    return batch
                if self._closed:
                    return None
                self._clock.wait(self._changed)

    def waited_s(self, errand: Errand, now_s: float) -> float:
        """How long an errand has been waiting while there was somebody to do it: a reader may take long to start."""
        return 0.0 if self._served_s is None else now_s - max(errand.asked_s, self._served_s)

    def _note(self, batch: list[tuple[Errand, int]]) -> None:
        now = self._clock.now()
        self._batch_frames.observe(sum(len(errand.views) for errand, _ in batch))
        for errand, _ in batch:
            self._batch_wait_seconds.observe(max(now - errand.asked_s, 0.0))

    def serve(self, gpus: tuple[int, ...]) -> None:
        """Workers have changed: each looks at its own fate."""
        with self._changed:
            self._changed.notify_all()

    def depth(self) -> int:
        """Errands waiting."""
        with self._changed:
            depth = len(self._errands)
        self._depth_gauge.set(depth)
        return depth

    def close(self) -> None:
        """Workers leave once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
