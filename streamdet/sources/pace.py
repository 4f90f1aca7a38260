"""Frames no faster than their own timestamps say."""

from __future__ import annotations

import time

from streamdet.sources.timeline import Stamp


class Pace:
    """Holds frames back until their time has come, counted from the first of their epoch; never for long."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._epoch = -1
        self._zero_s = 0.0

    def wait(self, stamp: Stamp) -> None:
        """Sleep until it is time for that frame; a late one passes at once."""
        now_s = time.monotonic()
        if stamp.epoch != self._epoch:
            self._epoch, self._zero_s = stamp.epoch, now_s - stamp.pts_s
        early_s = self._zero_s + stamp.pts_s - now_s
        if early_s > self._longest_s:  # a pause in the recording: nobody has to sit through it
            self._zero_s -= early_s - self._longest_s
            early_s = self._longest_s
        if early_s > 0:
            time.sleep(early_s)
