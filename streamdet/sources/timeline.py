"""One stream's time: raw timestamps in, epochs with strictly increasing seconds out."""

from __future__ import annotations

from dataclasses import dataclass

_JITTER_S = 0.2  # decoders and cameras put frames out of order by a few, never by more
_JITTER_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Stamp:
    """A frame's place in time."""

    epoch: int
    index: int
    pts_s: float


class Timeline:
    """Makes of whatever a container or a camera says a time that later stations can rely on.

    Each epoch begins at 0 and strictly increases. A step back by more than a few frames or a leap beyond `gap_s` cannot
    be one continuous recording: it starts a new epoch. Smaller steps back are jitter: such a frame lands just behind
    its predecessor. A frame without a timestamp is taken to follow at the usual interval.
    """

    def __init__(self, interval_s: float = 0.04, *, gap_s: float = 10.0) -> None:
        self._interval_s = interval_s
        self._tolerance_s = max(_JITTER_S, _JITTER_FRAMES * interval_s)
        self._gap_s = gap_s
        self._epoch = 0
        self._index = 0
        self._pts_s: float | None = None  # of the last frame of this epoch
        self._origin_s: float | None = None  # the raw time that is this epoch's 0

    def break_off(self) -> None:
        """The next frame begins a new epoch, unless this one is still empty."""
        if self._index:
            self._epoch += 1
            self._index = 0
        self._pts_s = None
        self._origin_s = None

    def skip(self, pictures: int) -> None:
        """So many pictures were quarantined: they count, and have no time."""
        self._index += pictures

    def stamp(self, raw_s: float | None) -> Stamp:
        """The next frame's place, from the timestamp it carries."""
        if raw_s is not None and self._pts_s is not None and self._origin_s is not None:
            step_s = raw_s - self._origin_s - self._pts_s
            if step_s < -self._tolerance_s or step_s > self._gap_s:
                self.break_off()
        pts_s = self._place(raw_s)
        stamp = Stamp(self._epoch, self._index, pts_s)
        self._pts_s = pts_s
        self._index += 1
        return stamp

    def _place(self, raw_s: float | None) -> float:
        if self._pts_s is None:
            self._origin_s = raw_s
            return 0.0
        follows_s = self._pts_s + self._interval_s
        if raw_s is None:
            return follows_s
        if self._origin_s is None:  # the first frames bore no time; this one tells where they stood
            self._origin_s = raw_s - follows_s
            return follows_s
        pts_s = raw_s - self._origin_s
        return pts_s if pts_s > self._pts_s else self._pts_s + self._interval_s / 100
