"""What a tracker promises."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamdet.frames import Detections, TrackEvent, Tracks


class Tracker(Protocol):
    """Follows objects through one stream within one epoch. One thread; nothing is shared between instances.

    * `update` answers row by row for the detections given: never reordered, dropped or altered. All scores down to the
      engine's floor come in. `pts_s` drives prediction and lifetimes: frames may be missing in between.
    * Bad input (NaN, inverted boxes, time that stands still or runs backwards) is defined, counted and never raises.
    * `finish` ends every live track, once, at the end of the epoch, and returns their events.
    """

    active: int  # tracks tentative, confirmed or lost

    def update(self, detections: Detections, pts_s: float, motion: npt.NDArray[np.float32] | None = None) -> Tracks:
        """`motion` [2, 3] maps the previous frame's points onto this one, where the camera moves."""
        ...

    def finish(self) -> tuple[TrackEvent, ...]: ...
