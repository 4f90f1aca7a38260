"""SORT: overlap with the predicted box and nothing else; for tidy scenes and for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from streamdet.errors import MissingExtra
from streamdet.tracking.contract import Tracker
from streamdet.tracking.options import LifeOptions
from streamdet.tracking.tracker import ColumnTracker


class SortOptions(LifeOptions):
    """One stage of overlap. The original ends a track after a single missed frame; here that is a short time."""

    kind: Literal["sort"] = "sort"
    min_hits: int = Field(3, ge=1, description="Frames that must see an object before its track is confirmed.")
    max_lost_s: float = Field(0.2, gt=0, description="A track unmatched for longer than this ends.")
    score: float = Field(0.6, ge=0, le=1, description="Rows below this score belong to no track.")
    floor: float = Field(0.3, ge=0, lt=1, description="Least overlap for a match.")


class Sort(ColumnTracker):
    """See SortOptions; one instance per stream and epoch."""

    def __init__(
        self,
        options: SortOptions,
        *,
        previous: Tracker | None = None,
        gap_s: float | None = None,
        thresholds: Sequence[float] = (),
    ) -> None:
        try:
            from streamdet.tracking.momentum import MomentumRules, momentum
        except ModuleNotFoundError as error:
            raise MissingExtra("numba", None, "tracking") from error
        rules = MomentumRules(
            score=options.score,
            floor=options.floor,
            inertia=0.0,
            look_back_s=1.0,
            recover=False,
            rerun=False,
            by_class=options.class_aware,
            min_hits=options.min_hits,
            life_s=options.max_lost_s,
        )
        super().__init__(options, momentum, rules, previous=previous, gap_s=gap_s, thresholds=thresholds)
