"""Scores of any engine on the scale that trackers' settings are made for.

What counts as a sure detection depends on the engine: after a short training few scores are above a half, though the
boxes are right. Every engine has a threshold, where its F1 is best, and whoever runs it may ask for another. Trackers
are set for an engine whose threshold is 0.6; the scores of others are stretched, below their threshold and above it,
until it falls on 0.6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

USUAL = 0.6  # the threshold that the settings of all trackers are made for
_NEAREST = 0.01  # a threshold of 0 or 1 would leave no room on one side


class Levels:
    """One threshold per class; none: scores are taken as they are."""

    def __init__(self, thresholds: Sequence[float] = ()) -> None:
        self._thresholds = np.clip(np.asarray(thresholds, np.float64), _NEAREST, 1 - _NEAREST)  # [C]
        self._as_it_is = bool((np.abs(self._thresholds - USUAL) < 1e-6).all())

    def of(self, score: npt.NDArray[np.floating], class_id: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
        """[N] scores → [N], in the same order within each class: 0 stays 0, 1 stays 1."""
        if self._as_it_is:
            return score
        threshold = self._thresholds.take(class_id, mode="clip")
        below = score * (USUAL / threshold)
        above = 1 - (1 - score) * ((1 - USUAL) / (1 - threshold))
        return np.where(score < threshold, below, above)
