"""One plate on one track: everything that was seen of it and read on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from streamdet.plates.alignment import distance, stamped
from streamdet.plates.ballot import Ballot, Verdict
from streamdet.plates.reader import Look, PlateView

Direction = Literal["approaching", "departing", "across", "standing"]
Line = tuple[tuple[float, float], tuple[float, float]]

_KEPT = 48  # moments of its way, evenly thinned when there are more
_TEXTS = 8  # different texts whose best look is kept
_GROWN, _SHRUNK = 1.15, 0.87  # of its height, from the first third of its way to the last
_STRANGE = 2.0  # so far from what was agreed, and half as far as it is long, a text is of another plate


@dataclass(frozen=True, slots=True)
class Evidence:
    """The look that a text rests on."""

    frame: int
    pts_s: float
    look: Look


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the plate was."""

    pts_s: float
    x: float
    y: float
    width: float
    height: float


class Visit:
    """A ballot, the looks worth keeping, and the way the plate went."""

    def __init__(self, track_id: int, part: int, ballot: Ballot, pts_s: float) -> None:
        self.track_id = track_id
        self.part = part  # counts the plates of one track from 0
        self.first_s = self.last_s = pts_s
        self.read_s = -np.inf
        self.final: Verdict | None = None
        self.watched: set[str] = set()  # labels that were told
        self.tallest_px = 0.0  # of the plates read
        self.looks = 0
        self.blanks = 0  # looks that showed no text
        self._ballot = ballot
        self._said: Counter[str] = Counter()
        self._worth: defaultdict[str, float] = defaultdict(float)  # weights of the looks by what they said
        self._best: dict[str, Evidence] = {}
        self._strange: list[tuple[Look, str, int, float]] = []  # the latest looks at what seems another plate
        self._way: list[Moment] = []
        self._verdict: Verdict | None = None

    def seen(self, view: PlateView, pts_s: float) -> None:
        """It was there, read or not."""
        self.last_s = max(self.last_s, pts_s)
        x, y = view.corners.mean(axis=0).tolist()
        self._way.append(Moment(pts_s, x, y, *view.size))
        if len(self._way) > 2 * _KEPT:
            self._way = [*self._way[:-1:2], self._way[-1]]

    def add(self, look: Look, frame: int, pts_s: float) -> list[tuple[Look, str, int, float]]:
        """Count a look; returns two or more that agree on a plate unlike this one, which are then not counted here."""
        text = stamped(look.text.reveal())
        self.read_s, self.tallest_px = pts_s, max(self.tallest_px, look.size[1])
        if self._unlike(text):
            self._strange.append((look, text, frame, pts_s))
            if [each for _, each, _, _ in self._strange].count(text) >= 2:
                return [entry for entry in self._strange if entry[1] == text]
            self._strange = self._strange[-4:]
            return []
        self._strange.clear()
        self.count(look, text, frame, pts_s)
        return []

    def blank(self, look: Look, pts_s: float) -> None:
        """A look that showed no text."""
        self.blanks += 1
        self.read_s = pts_s
        self._worth[""] += look.weight

    def count(self, look: Look, text: str, frame: int, pts_s: float) -> None:
        """Add a look to the ballot."""
        self.looks += 1
        self._said[text] += 1
        self._worth[text] += look.weight
        self._ballot.add(look.reading.posterior, look.weight)
        self._verdict = None
        known = self._best.get(text)
        if known is None or look.weight > known.look.weight:
            self._best[text] = Evidence(frame, pts_s, look)
        if len(self._best) > _TEXTS:
            del self._best[min(self._best, key=lambda each: (self._said[each], each))]

    def _unlike(self, text: str) -> bool:
        """Another plate than the one that this track has agreed on."""
        verdict = self.final or self.verdict
        if self.agreeing(verdict) < 2:
            return False
        return distance(stamped(verdict.text), text) >= max(_STRANGE, 0.5 * max(len(text), len(verdict.text)))

    @property
    def verdict(self) -> Verdict:
        """What the looks say together."""
        if self._verdict is None:
            self._verdict = self._ballot.verdict()
        return self._verdict

    def agreeing(self, verdict: Verdict) -> int:
        """Looks that by themselves said just that, or what looks the same."""
        return self._said[stamped(verdict.text)]

    def share(self, verdict: Verdict) -> float:
        """Of the looks, by their weight: those that said just that, or what looks the same."""
        return self._worth.get(stamped(verdict.text), 0.0) / max(sum(self._worth.values()), 1e-9)

    def evidence(self, verdict: Verdict) -> Evidence | None:
        """The best look at this text; of one that no single look said, the best of any."""
        if stamped(verdict.text) in self._best:
            return self._best[stamped(verdict.text)]
        return max(self._best.values(), key=lambda each: each.look.weight, default=None)

    @property
    def dwell_s(self) -> float:
        """From the first time it was seen to the last."""
        return self.last_s - self.first_s

    @property
    def direction(self) -> Direction:
        """By its growth; where it keeps its size, by how far it went."""
        third = max(len(self._way) // 3, 1)
        first, last = self._way[:third], self._way[-third:]
        if not first:
            return "standing"
        before, after = (float(np.median([each.height for each in part])) for part in (first, last))
        ratio = after / max(before, 1e-6)
        if not _SHRUNK <= ratio <= _GROWN:
            return "approaching" if ratio > 1 else "departing"
        moved = np.hypot(last[-1].x - first[0].x, last[-1].y - first[0].y)
        return "across" if moved > 1.5 * self._way[-1].width else "standing"

    def crossed(self, line: Line | None) -> Literal["forward", "backward"] | None:
        """Over a line on the ground: forward is from its left side to its right, as one looks along it."""
        if line is None or len(self._way) < 2:
            return None
        first, last = _crossing(self._way, line)
        if first == last:
            return None
        return "forward" if first < last else "backward"


def _crossing(way: Sequence[Moment], line: Line) -> tuple[int, int]:
    """On which side its way began and ended, −1 left, 1 right; the same twice where it did not pass the line itself."""
    (x0, y0), (x1, y1) = line
    sides = [1 if (x1 - x0) * (each.y - y0) - (y1 - y0) * (each.x - x0) > 0 else -1 for each in way]
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    for (before, here), (after, there) in pairwise(zip(way, sides, strict=True)):
        if here != there:
            x, y = (before.x + after.x) / 2, (before.y + after.y) / 2
            if 0 <= ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max(length, 1e-9) <= 1:
                return sides[0], sides[-1]
    return sides[0], sides[0]
