"""The ledger of a stream: captured = emitted + dropped{reason} + in flight, at every moment."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from streamdet.metrics import Meter

DropReason = Literal[
    "superseded",  # live: a newer frame came before this one was looked at
    "stale",  # live: too old when its turn came
    "max_fps",  # above the rate asked for
    "removed",  # its stream was taken out
    "stopped",  # the drain's deadline came first
]


@dataclass(frozen=True, slots=True)
class Balance:
    """One look at the books."""

    captured: int
    emitted: int
    unknown: int  # of the emitted ones: without an answer
    dropped: dict[str, int]
    in_flight: int

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing counted twice."""
        return self.in_flight >= 0 and self.captured == self.emitted + sum(self.dropped.values()) + self.in_flight


class Ledger:
    """Each frame enters once by `capture` and leaves once, by `emit` or `drop`."""

    def __init__(self, stream: str, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._emitted = 0
        self._unknown = 0
        self._dropped: Counter[str] = Counter()
        self._in_flight = 0
        self._captured_total = meter.frames_captured.labels(stream)
        self._known_total = meter.frames_emitted.labels(stream, "known")
        self._unknown_total = meter.frames_emitted.labels(stream, "unknown")
        self._dropped_totals = {reason: meter.frames_dropped.labels(stream, reason) for reason in get_args(DropReason)}
        self._in_flight_now = meter.frames_in_flight.labels(stream)

    def capture(self) -> None:
        """A source handed a frame over."""
        with self._lock:
            self._captured += 1
            self._in_flight += 1
        self._captured_total.inc()

    def emit(self, *, known: bool) -> None:
        """A frame's result left the lane."""
        with self._lock:
            self._emitted += 1
            self._unknown += not known
            self._in_flight -= 1
        (self._known_total if known else self._unknown_total).inc()

    def drop(self, reason: DropReason) -> None:
        """A frame was given up."""
        with self._lock:
            self._dropped[reason] += 1
            self._in_flight -= 1
        self._dropped_totals[reason].inc()

    def balance(self) -> Balance:
        """All figures, taken at one moment."""
        with self._lock:
            balance = Balance(self._captured, self._emitted, self._unknown, dict(self._dropped), self._in_flight)
        self._in_flight_now.set(balance.in_flight)
        return balance
