"""Every tracker by name; one line per tracker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streamdet.tracking.bytetrack import ByteTrack, ByteTrackOptions
from streamdet.tracking.contract import Tracker

TrackerOptions = Annotated[ByteTrackOptions, Field(discriminator="kind")]

TRACKERS = {"bytetrack": (ByteTrackOptions, ByteTrack)}


def make_tracker(options: ByteTrackOptions, *, previous: Tracker | None = None, gap_s: float | None = None) -> Tracker:
    """The tracker for one stream and epoch.

    With `previous`, the tracker of the epoch before, and the seconds between the two, its tracks are taken up again
    where `options.reassociate_s` allows.
    """
    return ByteTrack(options, previous=previous, gap_s=gap_s)
