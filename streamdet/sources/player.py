"""A reader with a timeline: decoded pictures, each in its place in time."""

from __future__ import annotations

from dataclasses import dataclass

from streamdet.frames import Frame, Quality
from streamdet.picture import Picture
from streamdet.sources.reader import Access, Decoded, Reader
from streamdet.sources.surfaces import Surfaces
from streamdet.sources.timeline import Stamp, Timeline


@dataclass(frozen=True, slots=True)
class Played:
    """One picture, its place in time, and how it came."""

    picture: Picture
    stamp: Stamp
    decoded: Decoded

    def frame(self, stream: str) -> Frame:
        """As a Frame of a recording: without wall time."""
        stamp = self.stamp
        quality: Quality = "suspect" if self.decoded.smeared else "good"
        return Frame(stream, stamp.index, stamp.pts_s, self.picture, stamp.epoch, quality=quality)


class Player:
    """From `start` to `stop` one run of a source: the readers of its rounds, one timeline, one count of suspects."""

    def __init__(self, access: Access, *, gap_s: float) -> None:
        self.reader = Reader(access)
        self._surfaces = Surfaces()
        self._timeline = Timeline(self.reader.interval_s, gap_s=gap_s)
        self._skipped = 0  # suspects of this reader that the timeline knows of
        self._reported = 0  # suspects of this reader that were told to the shell
        self._of_earlier_rounds = 0
        self.round_pictures = 0

    def next(self) -> Played | None:
        """The next picture, or None at the end of the round."""
        decoded = self.reader.next()
        self._timeline.skip(self.reader.suspects - self._skipped)
        self._skipped = self.reader.suspects
        if decoded is None:
            return None
        self.round_pictures += 1
        picture = self._surfaces.picture(decoded.frame, self.reader.orientation)
        return Played(picture, self._timeline.stamp(decoded.raw_s), decoded)

    def again(self, access: Access) -> None:
        """Another round of a recording: from its beginning, in a new epoch."""
        self._of_earlier_rounds = self.suspects()
        self.reader.close()
        self.reader = Reader(access)
        self._skipped = self._reported = self.round_pictures = 0
        self._timeline.break_off()

    def suspects(self) -> int:
        """Pictures quarantined since the last call."""
        fresh = self.reader.suspects - self._reported + self._of_earlier_rounds
        self._reported, self._of_earlier_rounds = self.reader.suspects, 0
        return fresh

    def stop(self) -> None:
        """Close what is open."""
        self.reader.close()
