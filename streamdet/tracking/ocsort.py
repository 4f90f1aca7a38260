"""OC-SORT: trusts what was observed over what the filter believes; for motion that is not a straight line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from streamdet.errors import MissingExtra
from streamdet.tracking.contract import Tracker
from streamdet.tracking.options import LifeOptions
from streamdet.tracking.tracker import ColumnTracker


class OcSortOptions(LifeOptions):
    """Momentum of direction, recovery where an object was last seen, and a filter re-run over every loss."""

    kind: Literal["ocsort"] = "ocsort"
    min_hits: int = Field(3, ge=1, description="Frames that must see an object before its track is confirmed.")
    score: float = Field(0.6, ge=0, le=1, description="Rows below this score belong to no track.")
    floor: float = Field(0.3, ge=0, lt=1, description="Least overlap for a match.")
    inertia: float = Field(0.2, ge=0, le=1, description="What a row in the track's direction is worth, in overlap.")
    look_back_s: float = Field(0.1, gt=0, description="The direction is that from so long ago until now.")


class OcSort(ColumnTracker):
    """See OcSortOptions; one instance per stream and epoch."""

    def __init__(
        self,
        options: OcSortOptions,
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
            inertia=options.inertia,
            look_back_s=options.look_back_s,
            recover=True,
            rerun=True,
            by_class=options.class_aware,
            min_hits=options.min_hits,
            life_s=options.max_lost_s,
        )
        super().__init__(options, momentum, rules, previous=previous, gap_s=gap_s, thresholds=thresholds)
