"""Time, as everything in the pipeline reads it and waits for it; the test kit has one that is moved by hand."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's own clocks: `now` is monotonic and drives every timer, `wall` only labels."""

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, condition: threading.Condition, timeout_s: float | None = None) -> None:
        """Wait, holding `condition`, until notified or `timeout_s` later; the caller then looks again."""
        condition.wait(timeout_s)
