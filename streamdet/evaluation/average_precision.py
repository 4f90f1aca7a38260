"""Precision over recall, and the area under it in the three ways that are in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """How precise and how complete detections are, taken from the best downwards; one entry per detection."""

    name: str
    positives: int  # objects to be found
    score: Floats  # [N], falling
    precision: Floats  # [N]
    recall: Floats  # [N]

    @property
    def f1(self) -> Floats:
        """[N]: the harmonic mean of both."""
        both = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, both, out=np.zeros_like(both), where=both > 0)


@dataclass(frozen=True)
class Threshold:
    """What is right and what is found where detections count if they score higher than `score`."""

    score: float
    precision: float
    recall: float
    f1: float


def curve(name: str, score: npt.NDArray[np.float32], hit: npt.NDArray[np.bool_], positives: int) -> Curve:
    """From detections in any order; of those with one score the first stands first."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(hit[order], dtype=np.float64)
    seen = np.arange(1, len(order) + 1)
    recall = hits / positives if positives else np.full(len(order), np.nan)
    return Curve(name, positives, score[order].astype(np.float64), hits / seen, recall)


def best_threshold(points: Curve) -> Threshold:
    """Where F1 is largest; half way to the next lower score, so that neither side hangs on rounding."""
    last_of_score = np.append(points.score[1:] != points.score[:-1], True)[: len(points.score)]
    if not points.positives or not len(points.score):
        return Threshold(0.5, np.nan, np.nan if not points.positives else 0.0, 0.0)
    f1 = np.where(last_of_score, points.f1, -1)
    best = int(f1.argmax())
    below = points.score[best + 1] if best + 1 < len(points.score) else 0.0
    middle = float((points.score[best] + below) / 2)
    return Threshold(middle, float(points.precision[best]), float(points.recall[best]), float(f1[best]))


def envelope(precision: Floats) -> Floats:
    """The best precision at this recall or any higher one."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def area_ap(points: Curve) -> float:
    """The exact area under the envelope: VOC from 2010 on. NaN where there is nothing to find."""
    if not points.positives:
        return float("nan")
    steps = np.diff(points.recall, prepend=0.0)
    return float((steps * envelope(points.precision)).sum())


def eleven_point_ap(points: Curve) -> float:
    """The mean of the envelope at recall 0, 0.1 … 1: VOC 2007."""
    return _at_points(points, 11)


def hundred_point_ap(points: Curve) -> float:
    """The mean of the envelope at recall 0, 0.01 … 1: COCO."""
    return _at_points(points, 101)


def _at_points(points: Curve, count: int) -> float:
    if not points.positives:
        return float("nan")
    places = np.searchsorted(points.recall, np.linspace(0, 1, count), side="left")
    padded = np.append(envelope(points.precision), 0.0)
    return float(padded[places].mean())
