"""The vote over the tracks of one stream: which crops are due, what each track says, and when that is settled."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.errors import MissingExtra
from streamdet.frames import PlateText, Readings, TextState
from streamdet.plate_formats import KNOWN_COUNTRIES
from streamdet.plates.ballot import Ballot, Verdict
from streamdet.plates.grammar import Grammar
from streamdet.plates.privacy import Veil
from streamdet.plates.reader import Look, PlateView
from streamdet.plates.visit import Line, Visit
from streamdet.plates.watch import WatchList, read_watch_list

Outcome = Literal[
    "read",  # characters were found
    "empty",  # looked, and found no text worth a vote
    "too_small",  # not looked at: fewer pixels than a reader needs
    "passed_over",  # due, and others needed it more
    "failed",  # the reader failed, or did not answer in time
]
OUTCOMES: tuple[Outcome, ...] = ("read", "empty", "too_small", "passed_over", "failed")

_ENOUGH = 4  # agreeing looks after which a plate is read now and then only
_GROWN = 1.25  # unless it has become so much taller than it ever was when read
_REMEMBERED = 10_000  # texts of a stream; the oldest are forgotten first
_LONGEST = 12  # characters
_HIGH_PLATE = 2.6  # width by height, below which a plate is no long one
_LOW_SHARE = 0.6  # of the height of its characters, beside those of a long plate of its height
_PATIENCE = 5  # looks without a text, after which something is looked at now and then only


class VoteOptions(BaseModel):
    """How readings of one plate become one text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    countries: Annotated[
        tuple[str, ...] | Literal["all"],
        Field(
            description="Whose plates are likely, such as [RO, DE], or all that are known: settles O or 0, I or 1. "
            "Others are still read; [] reads all of them freely."
        ),
    ] = "all"
    min_height_px: Annotated[
        float,
        Field(ge=4, description="Plates lower than this are not read; of short, high ones: lower than 1.7 of it."),
    ] = 11.0
    min_length: Annotated[int, Field(ge=1, le=_LONGEST, description="Shorter texts are no plate.")] = 4
    min_agreeing: Annotated[int, Field(ge=2, description="Looks that must say the same before a text is final.")] = 2
    min_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the looks, by what they are worth, that must say the same before a text is final; "
            "blank ones count.",
        ),
    ] = 0.25
    min_score: Annotated[float, Field(ge=0, le=1, description="What a text must be worth to be final.")] = 0.9
    min_look: Annotated[
        float, Field(ge=0, le=1, description="Looks whose characters are less sure than this do not vote.")
    ] = 0.35
    settle_s: Annotated[
        float, Field(gt=0, description="A plate in view for so long, and well known, becomes final before it has left.")
    ] = 2.0
    reread_s: Annotated[float, Field(gt=0, description="How often a plate that is well known is read again.")] = 0.5
    memory_s: Annotated[
        float, Field(ge=0, description="The same text within this time is the same plate come back.")
    ] = 60.0
    watch: Annotated[
        Path | None, Field(description="A file of plates to watch for, one a line, behind a comma what it is called.")
    ] = None
    watch_within: Annotated[
        float, Field(ge=0, le=3, description="How far off a watched plate may be read; O for 0 is 0.2 off.")
    ] = 1.0
    line: Annotated[
        Line | None, Field(description="A line on the ground, in frame pixels: who crosses it, and which way, is told.")
    ] = None
    evidence: Annotated[
        Literal["hash", "crop"],
        Field(description="What an event holds of the picture: a hash of the crop, or the crop too, as PNG in base64."),
    ] = "hash"


@dataclass(frozen=True, slots=True)
class PlateEvent:
    """Something about a plate; the lane turns it into an Event of its stream and epoch."""

    kind: Literal["plate_final", "plate_rejoined", "plate_left", "plate_split", "plate_watched"]
    pts_s: float
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class _Remembered:
    plate: int
    first_s: float
    last_s: float


class Voting:
    """One per stream, used by one thread at a time.

    `due` says which rows shall be read, `add` takes what came of it, `readings` what is known then, `ended` what a
    track that is over has come to. Nothing here knows what time it is but by the frames' own.
    """

    def __init__(
        self,
        options: VoteOptions,
        alphabet: str,
        veil: Veil | None = None,
        *,
        count: Callable[[Outcome], None] = lambda outcome: None,
        observe_height: Callable[[float], None] = lambda height_px: None,
        observe_agreement: Callable[[int], None] = lambda agreeing: None,
    ) -> None:
        self._options = options
        self._alphabet = alphabet
        self._veil = veil or Veil()
        self._count = count
        self._observe_height = observe_height
        self._observe_agreement = observe_agreement
        countries = KNOWN_COUNTRIES if options.countries == "all" else options.countries
        self._grammar = Grammar(countries, alphabet) if countries else None
        self._watch = WatchList(()) if options.watch is None else read_watch_list(options.watch, options.watch_within)
        self._visits: dict[int, Visit] = {}
        self._memory: dict[str, _Remembered] = {}
        self._plates = 0

    # ---- which crops

    def due(self, track_ids: Sequence[int], views: Sequence[PlateView], pts_s: float, at_most: int) -> list[int]:
        """Rows to be read, the neediest first and no more than `at_most`; rows without a track (−1) are not."""
        needs: list[tuple[float, int]] = []
        for row, (track_id, view) in enumerate(zip(track_ids, views, strict=True)):
            height = view.size[1]
            self._observe_height(height)
            visit = self._visit(track_id, pts_s) if track_id >= 0 else None
            if visit is not None:
                visit.seen(view, pts_s)
            if self._too_small(view):
                self._count("too_small")
            elif visit is not None and (need := self._need(visit, height, pts_s)) > 0:
                needs.append((need, row))
        needs.sort(key=lambda each: (-each[0], each[1]))
        for _ in needs[at_most:]:
            self._count("passed_over")
        return [row for _, row in needs[:at_most]]

    def readable(self, views: Sequence[PlateView], at_most: int) -> list[int]:
        """Where nothing is tracked: the largest that are large enough."""
        sizes = [view.size[1] for view in views]
        large = []
        for row, height in enumerate(sizes):
            self._observe_height(height)
            if self._too_small(views[row]):
                self._count("too_small")
            else:
                large.append(row)
        large.sort(key=lambda row: (-sizes[row], row))
        for _ in large[at_most:]:
            self._count("passed_over")
        return large[:at_most]

    def _too_small(self, view: PlateView) -> bool:
        """Characters of a plate of two lines, or of an American one, are a smaller part of its height."""
        width, height = view.size
        share = _LOW_SHARE if width < _HIGH_PLATE * height else 1.0
        return height * share < self._options.min_height_px

    def _visit(self, track_id: int, pts_s: float) -> Visit:
        if track_id not in self._visits:
            self._visits[track_id] = self._new(track_id, 0, pts_s)
        return self._visits[track_id]

    def _need(self, visit: Visit, height: float, pts_s: float) -> float:
        """0: not now. A plate never read comes first, then the unsettled that have waited longest."""
        waited_s = pts_s - visit.read_s
        if visit.looks == 0 and visit.blanks < _PATIENCE:
            return 3.0
        if visit.looks == 0:
            return 0.25 if waited_s >= self._options.reread_s else 0.0
        if visit.final is None and not self._well_known(visit):
            return 2.0 - 1.0 / (1.0 + waited_s)
        if height > _GROWN * visit.tallest_px and visit.final is None:
            return 1.0
        return 0.5 if waited_s >= self._options.reread_s else 0.0

    # ---- what came of them

    def add(self, track_id: int, look: Look | None, frame: int, pts_s: float) -> list[PlateEvent]:
        """One crop's answer; None: there was none, and the text stays as it is."""
        if look is None:
            self._count("failed")
            return []
        visit = self._visit(track_id, pts_s)
        if not self._speaks(look):
            self._count("empty")
            visit.blank(look, pts_s)
            return []
        self._count("read")
        other = visit.add(look, frame, pts_s)
        if other:
            return self._split(visit, other, pts_s)
        return self._told_watched(visit, pts_s) + self._settled(visit, pts_s)

    def _speaks(self, look: Look) -> bool:
        """Something that may be a plate's text."""
        n = len(look.reading)
        return self._options.min_length <= n <= _LONGEST and look.reading.score >= self._options.min_look

    def _new(self, track_id: int, part: int, pts_s: float) -> Visit:
        return Visit(track_id, part, Ballot(self._alphabet, self._grammar), pts_s)

    def _split(self, visit: Visit, other: Sequence[tuple[Look, str, int, float]], pts_s: float) -> list[PlateEvent]:
        """Two plates on one track: the first is over, the second begins with the looks that told."""
        events = self._over(visit, "split")
        fresh = self._new(visit.track_id, visit.part + 1, other[0][3])
        for look, text, frame, seen_s in other:
            fresh.count(look, text, frame, seen_s)
            fresh.read_s, fresh.tallest_px = seen_s, max(fresh.tallest_px, look.size[1])
        fresh.last_s = pts_s
        self._visits[visit.track_id] = fresh
        return [*events, PlateEvent("plate_split", pts_s, {"track_id": visit.track_id, "part": fresh.part})]

    def _settled(self, visit: Visit, pts_s: float) -> list[PlateEvent]:
        """A plate that has been in view for long, and is well known, is final before it leaves.

        What few looks from afar agree on must wait: a plate that comes nearer will be read better.
        """
        if visit.final is None and visit.dwell_s >= self._options.settle_s and self._well_known(visit):
            return self._finalise(visit, pts_s, "settled")
        return []

    def _well_known(self, visit: Visit) -> bool:
        return self._fit(visit) and visit.agreeing(visit.verdict) >= _ENOUGH

    def _fit(self, visit: Visit) -> bool:
        """Agreed on by enough looks, and sure enough."""
        verdict, options = visit.verdict, self._options
        return (
            len(verdict.text) >= options.min_length
            and verdict.score >= options.min_score
            and visit.agreeing(verdict) >= options.min_agreeing
            and visit.share(verdict) >= options.min_share
        )

    # ---- what is known

    def readings(self, track_ids: Sequence[int]) -> Readings:
        """Row by row, what the vote says now."""
        texts: list[PlateText | None] = []
        states: list[TextState | None] = []
        score = np.zeros(len(track_ids), np.float32)
        for row, track_id in enumerate(track_ids):
            visit = self._visits.get(track_id) if track_id >= 0 else None
            verdict = None if visit is None else visit.final or visit.verdict
            if visit is None or verdict is None or not verdict.text:
                texts.append(None)
                states.append(None)
                continue
            texts.append(self._veil.shown(PlateText(verdict.text)))
            states.append("final" if visit.final is not None else "provisional" if visit.looks > 1 else "single")
            score[row] = verdict.score
        return Readings(tuple(texts), score, tuple(states))

    def alone(self, looks: Mapping[int, Look | None], rows: int) -> Readings:
        """Where nothing is tracked: what each look says by itself."""
        texts: list[PlateText | None] = [None] * rows
        score = np.zeros(rows, np.float32)
        for row, look in looks.items():
            self._count("failed" if look is None else "read" if self._speaks(look) else "empty")
            if look is None or not self._speaks(look):
                continue
            ballot = Ballot(self._alphabet, self._grammar)
            ballot.add(look.reading.posterior, look.weight)
            verdict = ballot.verdict()
            texts[row], score[row] = self._veil.shown(PlateText(verdict.text)), verdict.score
        return Readings(tuple(texts), score, tuple("single" if text else None for text in texts))

    # ---- the end of a track

    def ended(self, track_id: int) -> list[PlateEvent]:
        """The track is over: its plate is final now, or was never more than a single look."""
        visit = self._visits.pop(track_id, None)
        return [] if visit is None else self._over(visit, "left")

    def finish(self) -> list[PlateEvent]:
        """Every track is over."""
        return [event for track_id in list(self._visits) for event in self.ended(track_id)]

    def _over(self, visit: Visit, reason: Literal["left", "split"]) -> list[PlateEvent]:
        if visit.final is not None:
            self._remember(visit.final.text, visit)
            return [PlateEvent("plate_left", visit.last_s, self._fields(visit, visit.final))]
        return self._finalise(visit, visit.last_s, reason)

    def _finalise(self, visit: Visit, pts_s: float, reason: str) -> list[PlateEvent]:
        verdict = visit.verdict
        fit = self._fit(visit)
        if not fit and (reason == "settled" or len(verdict.text) < self._options.min_length):
            return []
        self._observe_agreement(visit.agreeing(verdict))
        fields = self._fields(visit, verdict) | {"state": "final" if fit else "single", "reason": reason}
        if not fit:
            return [*self._told_watched(visit, pts_s, single=True), PlateEvent("plate_final", pts_s, fields)]
        visit.final = verdict
        known = self._memory.get(verdict.text)
        again = known is not None and visit.first_s - known.last_s <= self._options.memory_s
        gap_s = max(visit.first_s - known.last_s, 0.0) if known is not None else 0.0
        place = self._remember(verdict.text, visit)
        fields["plate"] = place.plate
        if again:
            fields |= {"away_s": round(gap_s, 3), "dwell_s": round(visit.last_s - place.first_s, 3)}
        return [PlateEvent("plate_rejoined" if again else "plate_final", pts_s, fields)]

    def _remember(self, text: str, visit: Visit) -> _Remembered:
        known = self._memory.pop(text, None)  # put in anew: the latest stand last
        if known is None or visit.first_s - known.last_s > self._options.memory_s:
            self._plates += 1
            known = _Remembered(self._plates, visit.first_s, visit.last_s)
        known.last_s = max(known.last_s, visit.last_s)
        self._memory[text] = known
        if len(self._memory) > _REMEMBERED:
            del self._memory[next(iter(self._memory))]
        return known

    def forget_times(self) -> None:
        """Time began anew: what is remembered cannot be compared with it."""
        self._memory.clear()

    # ---- words

    def _told_watched(self, visit: Visit, pts_s: float, *, single: bool = False) -> list[PlateEvent]:
        if not len(self._watch) or not (single or visit.agreeing(visit.verdict) >= self._options.min_agreeing):
            return []
        hit = self._watch.find(visit.verdict.text)
        if hit is None or hit.label in visit.watched:
            return []
        visit.watched.add(hit.label)
        fields = self._fields(visit, visit.verdict) | {"label": hit.label, "distance": hit.distance}
        return [PlateEvent("plate_watched", pts_s, fields | {"state": "single" if single else "provisional"})]

    def _fields(self, visit: Visit, verdict: Verdict) -> dict[str, object]:
        fields: dict[str, object] = {
            "track_id": visit.track_id,
            "part": visit.part,
            "text": self._veil.shown(PlateText(verdict.text)),
            "text_score": round(verdict.score, 4),
            "reads": visit.looks,
            "agreeing": visit.agreeing(verdict),
            "first_s": visit.first_s,
            "last_s": visit.last_s,
            "dwell_s": round(visit.dwell_s, 3),
            "direction": visit.direction,
        }
        if verdict.format_key:
            fields["format"] = verdict.format_key
        if self._options.line is not None:
            fields["crossed"] = visit.crossed(self._options.line)
        evidence = visit.evidence(verdict)
        if evidence is not None:
            shown: dict[str, object] = {
                "frame": evidence.frame,
                "pts_s": evidence.pts_s,
                "height_px": round(evidence.look.size[1], 1),
                "sha256": evidence.look.sha256,
            }
            if self._options.evidence == "crop" and not self._veil.hides:
                shown["crop_png"] = _png(evidence.look.crop)
            fields["evidence"] = shown
        return fields


def _png(crop: npt.NDArray[np.uint8]) -> str:
    """A crop [C, h, w] as PNG in base64."""
    try:
        import cv2
    except ImportError as error:  # pragma: no cover - a base dependency
        raise MissingExtra("opencv", None, "keeping crops as evidence") from error
    picture = crop[0] if len(crop) == 1 else np.ascontiguousarray(crop.transpose(1, 2, 0)[:, :, ::-1])
    _, encoded = cv2.imencode(".png", picture)
    return base64.b64encode(encoded.tobytes()).decode("ascii")
