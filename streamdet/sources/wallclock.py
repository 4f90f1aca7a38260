"""The camera's clock, as RTCP sender reports tell it."""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

from streamdet.sources.reader import Report

_PRFT = struct.Struct("<q")  # FFmpeg's AVProducerReferenceTime begins with wall time in microseconds since 1970
_MEMORY = 64  # packets over which the quickest one speaks for the clocks


class WallTime(NamedTuple):
    """When a frame was captured by the camera's clock, and how far this machine's clock is ahead of it."""

    captured_at: float
    clock_offset_s: float


class WallClock:
    """Turns stream time into the camera's wall time.

    A packet's report fixes where stream time stands in wall time; frames, which the decoder may reorder, are dated by
    that. A packet arrives late, by its journey and the frame that the parser holds back, never early: the smallest lag
    of the last ones is nearest the offset of the clocks.
    """

    def __init__(self) -> None:
        self._anchor_s: float | None = None  # wall time minus stream time
        self._lags_s: deque[float] = deque(maxlen=_MEMORY)
        self._begun = False

    def see(self, report: Report) -> None:
        """A packet with a report has arrived.

        The first of a connection is left out: FFmpeg's parser, which holds one packet back, hangs it on the packet
        before its own, one frame early.
        """
        if not self._begun:
            self._begun = True
            return
        wall_s = _PRFT.unpack_from(report.prft)[0] / 1e6
        self._anchor_s = wall_s - report.raw_s
        self._lags_s.append(report.arrived_at - wall_s)

    def at(self, raw_s: float | None) -> WallTime | None:
        """The wall time of a frame; None before the first report."""
        if self._anchor_s is None or raw_s is None:
            return None
        return WallTime(self._anchor_s + raw_s, min(self._lags_s))
