"""One object a picture: overlaps and distances of landmarks, by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from streamdet.datasets.samples import Entry, Objects, Sample
from streamdet.evaluation.localisation import score_localisation
from streamdet.frames import Detections


@dataclass
class Two:
    """A picture with one object of two landmarks, and one without any."""

    name: str = "two"
    classes: tuple[str, ...] = ("a", "b")

    @property
    def entries(self) -> list[Entry]:
        points = np.array([[[10, 10, 1], [30, 50, 1]]], np.float32)
        box = np.array([[10, 10, 30, 50]], np.float32)
        one = Objects(box, np.ones(1, np.int64), np.zeros(1, np.bool_), points)
        return [Entry("1", Path("1"), (64, 64), one), Entry("2", Path("2"), (64, 64), Objects.empty())]

    def read(self, index: int) -> Sample:
        return Sample(str(index), np.zeros((64, 64, 3), np.uint8), self.entries[index].objects)


def test_the_best_answer_is_held_against_the_object():
    def answer(rgb: np.ndarray) -> Detections:
        boxes = np.array([[0, 0, 5, 5], [10, 10, 30, 30]], np.float32)
        points = np.array([[[0, 0, 1]] * 2, [[10, 12, 1], [30, 56, 1]]], np.float32)
        return Detections(boxes, np.array([0.2, 0.9], np.float32), np.array([0, 1], np.int32), ("a", "b"), points)

    scores = score_localisation(answer, Two())
    assert (1, 0.5, 1.0) == (scores.pictures, scores.mean_overlap, scores.right_class)
    assert scores.landmark_error == pytest.approx((2 + 6) / 2 / 40)
    assert 0.5 == scores.landmarks_near


def test_no_answer_overlaps_nothing():
    scores = score_localisation(lambda rgb: Detections.empty(("a", "b")), Two())
    assert (0.0, 0.0, None) == (scores.mean_overlap, scores.right_class, scores.landmark_error)
