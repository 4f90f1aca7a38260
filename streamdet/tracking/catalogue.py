"""Every tracker by name; a new one is one line in the union and one in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from streamdet.tracking.bytetrack import ByteTrack, ByteTrackOptions
from streamdet.tracking.contract import Tracker
from streamdet.tracking.ocsort import OcSort, OcSortOptions
from streamdet.tracking.options import LifeOptions
from streamdet.tracking.sort import Sort, SortOptions

TrackerOptions = Annotated[ByteTrackOptions | OcSortOptions | SortOptions, Field(discriminator="kind")]

TRACKERS: Mapping[type[LifeOptions], Callable[..., Tracker]] = {
    ByteTrackOptions: ByteTrack,
    OcSortOptions: OcSort,
    SortOptions: Sort,
}


def make_tracker(
    options: LifeOptions,
    *,
    previous: Tracker | None = None,
    gap_s: float | None = None,
    thresholds: Sequence[float] = (),
) -> Tracker:
    """The tracker for one stream and epoch.

    With `previous`, the finished tracker of the epoch before, and the seconds between the two, its tracks are taken
    up again where `options.reassociate_s` allows. `thresholds`, one per class, are the scores from which detections
    count for whoever asked; see levels.py. Where the options name a score, scores are taken as they are.
    """
    named = any(name.startswith("score") for name in options.model_fields_set)
    return TRACKERS[type(options)](
        options, previous=previous, gap_s=gap_s, thresholds=() if named else tuple(thresholds)
    )
