"""ByteTrack: every row counts, those of low score as a second chance; and small, fast objects are met within reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from streamdet.errors import MissingExtra
from streamdet.tracking.contract import Tracker
from streamdet.tracking.options import LifeOptions
from streamdet.tracking.tracker import ColumnTracker


class ByteTrackOptions(LifeOptions):
    """Two-stage association with a Kalman filter over real time; the default tracker."""

    kind: Literal["bytetrack"] = "bytetrack"
    score_high: float = Field(0.6, gt=0, le=1, description="Rows from this score on are matched first.")
    score_low: float = Field(0.1, ge=0, le=1, description="Rows below this score belong to no track.")
    score_new: float = Field(0.7, ge=0, le=1, description="An unmatched row needs this score to begin a track.")
    similarity: Literal["hmiou", "iou"] = Field(
        "hmiou", description="How boxes are compared: plain overlap, or overlap times the overlap of their heights."
    )
    fuse_score: bool = Field(True, description="Similarity counts times the row's score.")
    floor_first: float = Field(0.1, ge=0, lt=1, description="Least similarity for a match with a row of high score.")
    floor_second: float = Field(0.5, ge=0, lt=1, description="Least overlap for a match with a row of low score.")
    floor_tentative: float = Field(0.3, ge=0, lt=1, description="Least similarity for a track not yet confirmed.")
    reach: float = Field(
        0.7,
        ge=0,
        le=5,
        description="How far an object may move unforeseen, as a share of its size (the root of its area) in a "
        "thirtieth of a second; 0: no further than boxes overlap.",
    )
    duplicate_iou: float = Field(
        0.85,
        gt=0,
        le=1,
        description="Where a lost and a present track overlap by more than this, the younger one ends.",
    )


class ByteTrack(ColumnTracker):
    """See ByteTrackOptions; one instance per stream and epoch."""

    def __init__(
        self,
        options: ByteTrackOptions,
        *,
        previous: Tracker | None = None,
        gap_s: float | None = None,
        thresholds: Sequence[float] = (),
    ) -> None:
        try:
            from streamdet.tracking.cascade import CascadeRules, cascade
        except ModuleNotFoundError as error:
            raise MissingExtra("numba", None, "tracking") from error
        rules = CascadeRules(
            score_high=options.score_high,
            score_low=options.score_low,
            score_new=options.score_new,
            floor_first=options.floor_first,
            floor_second=options.floor_second,
            floor_tentative=options.floor_tentative,
            reach=options.reach,
            duplicate_iou=options.duplicate_iou,
            modulated=options.similarity == "hmiou",
            fused=options.fuse_score,
            by_class=options.class_aware,
            min_hits=options.min_hits,
            life_s=options.max_lost_s,
        )
        super().__init__(options, cascade, rules, previous=previous, gap_s=gap_s, thresholds=thresholds)
