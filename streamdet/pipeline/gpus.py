"""The GPUs that one engine runs on: which are in service, how fast each is, and which streams are decoded there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from streamdet.metrics import Meter

_FAILURES = 5  # in a row, without an answer between, after which a GPU is given up
_NEWEST = 0.1  # how much the newest batch counts in the time per frame


class Gpus:
    """Of one engine. An engine on no GPU has none, and nothing here ever happens to it.

    A stream is placed where one more of them costs least: streams there, times the measured time per frame. A GPU that
    fails again and again goes out of service while there are others; its streams are placed anew when they next open,
    and until then the others take their pictures from where they lie.
    """

    def __init__(self, numbers: Sequence[int], engine: str, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._frame_s: dict[int, float | None] = dict.fromkeys(numbers)  # in service → measured, None: not yet
        self._failures: Counter[int] = Counter()
        self._places: dict[str, int] = {}
        self._gauges = {gpu: meter.engine_gpu_in_service.labels(engine, str(gpu)) for gpu in numbers}
        for gauge in self._gauges.values():
            gauge.set(1)

    @property
    def in_service(self) -> tuple[int, ...]:
        """Those that work."""
        with self._lock:
            return tuple(self._frame_s)

    def place(self, stream: str) -> int | None:
        """Where a stream is decoded: where it was, if that is still in service, or else where it costs least."""
        with self._lock:
            if not self._frame_s:
                return None
            if self._places.get(stream) not in self._frame_s:
                self._places.pop(stream, None)
                there = Counter(self._places.values())
                known = [seconds for seconds in self._frame_s.values() if seconds is not None]
                unknown_s = sum(known) / len(known) if known else 1.0
                self._places[stream] = min(
                    self._frame_s, key=lambda gpu: ((there[gpu] + 1) * (self._frame_s[gpu] or unknown_s), there[gpu])
                )
            return self._places[stream]

    def forget(self, stream: str) -> None:
        """The stream is over."""
        with self._lock:
            self._places.pop(stream, None)

    def answered(self, gpu: int | None, frames: int, seconds: float) -> None:
        """A batch came back."""
        with self._lock:
            if gpu is None or gpu not in self._frame_s:
                return
            self._failures[gpu] = 0
            before, now = self._frame_s[gpu], seconds / frames
            self._frame_s[gpu] = now if before is None else before + _NEWEST * (now - before)

    def failed(self, gpu: int | None) -> bool:
        """A session did not start, did not answer or failed; True where that has just put its GPU out of service."""
        with self._lock:
            if gpu is None or gpu not in self._frame_s:
                return False
            self._failures[gpu] += 1
            if self._failures[gpu] < _FAILURES or len(self._frame_s) == 1:
                return False
            del self._frame_s[gpu]
        self._gauges[gpu].set(0)
        return True
