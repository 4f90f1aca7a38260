"""Who has taken a result."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Receipts:
    """Calls back once, when the last of so many sinks has taken the result; at once where none was to."""

    __slots__ = ("_done", "_lock", "_missing")

    def __init__(self, missing: int, done: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._missing = missing
        self._done = done
        if missing == 0:
            done()

    def __call__(self) -> None:
        with self._lock:
            self._missing -= 1
            last = self._missing == 0
        if last:
            self._done()
