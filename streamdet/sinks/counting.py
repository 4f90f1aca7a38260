"""A sink that counts and forgets: for benchmarks, and for runs whose metrics are all that matters."""

from __future__ import annotations

from typing import Literal

from streamdet.frames import Event, Result
from streamdet.sinks.contract import Accepts
from streamdet.sinks.options import SinkOptions


class CountingOptions(SinkOptions):
    """Count results and events, keep nothing."""

    kind: Literal["counting"] = "counting"


class Counting:
    """Counts what it is given; the figures stay after `close`."""

    accepts: Accepts = "both"
    lossless = True
    needs_picture = False

    def __init__(self, options: CountingOptions | None = None) -> None:
        self._options = options or CountingOptions()
        self.name = self._options.name or self._options.kind
        self.results = 0
        self.unknown = 0  # of the results
        self.objects = 0
        self.events = 0

    def open(self) -> None:
        """Nothing to open."""

    def write(self, item: Result | Event) -> None:
        """One more."""
        if not self._options.takes(item):
            return
        if isinstance(item, Event):
            self.events += 1
            return
        self.results += 1
        if item.detections is None:
            self.unknown += 1
        else:
            self.objects += len(item.detections)

    def close(self) -> None:
        """Nothing to close."""
