"""A clock that is moved by hand, or moves by itself to the next thing that anybody waits for."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from streamdet.pipeline.clock import Clock

_LOOK_S = 0.0005  # how often, in real time, the clock looks whether everybody waits


class ManualClock(Clock):
    """Time for tests: hours of back-off pass in milliseconds, and deadlines mean what they say.

    Used as a context manager it moves by itself: once nobody has asked for the time during two looks, everybody waits,
    and time jumps to the earliest deadline. Without `with`, only `advance` moves it.
    """

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now = start_s
        self._lock = threading.Lock()
        self._asked = 0
        self._waiting: dict[int, tuple[float, threading.Condition]] = {}
        self._running = False
        self._thread: threading.Thread | None = None

    def now(self) -> float:
        """The hands' position."""
        with self._lock:
            self._asked += 1
            return self._now

    def wall(self) -> float:
        """The same, as if 1970 had been a while ago."""
        return 1_700_000_000.0 + self._now

    def wait(self, condition: threading.Condition, timeout_s: float | None = None) -> None:
        """Until notified, or until the hands have moved by `timeout_s`."""
        if timeout_s is None:
            condition.wait()
            return
        me = threading.get_ident()
        with self._lock:
            self._asked += 1
            self._waiting[me] = (self._now + max(timeout_s, 0.0), condition)
        condition.wait(5.0)  # real seconds: a test that forgets to move the clock shall not hang for ever
        with self._lock:
            self._asked += 1
            self._waiting.pop(me, None)

    def advance(self, seconds: float) -> None:
        """Move the hands and wake whoever is due."""
        with self._lock:
            self._now += seconds
            due = [condition for deadline, condition in self._waiting.values() if deadline <= self._now]
        for condition in due:
            with condition:
                condition.notify_all()

    def __enter__(self) -> ManualClock:
        self._running = True
        self._thread = threading.Thread(target=self._tick, name="manual-clock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        quiet, asked = 0, -1
        while self._running:
            time.sleep(_LOOK_S)
            with self._lock:
                quiet = quiet + 1 if self._asked == asked else 0
                asked = self._asked
                earliest = min((deadline for deadline, _ in self._waiting.values()), default=None)
            if quiet >= 2 and earliest is not None:
                self.advance(max(earliest - self._now, 0.0) + 1e-6)
                quiet = 0
