"""Labelled pixels are counted as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamdet.datasets.samples import Entry, Objects, Sample
from streamdet.errors import ConfigError
from streamdet.evaluation.segmentation import score_segments
from streamdet.frames import Detections
from streamdet.masks import ClassMap

SIZE = (40, 30)


class Blocks:
    """Pictures of a few upright blocks; the picture's first pixel tells its number."""

    name = "blocks"
    classes = ("a", "b")

    def __init__(self, rows: Sequence[Sequence[tuple[int, int, int, int, int, bool]]]) -> None:
        self._rows = rows

    @property
    def entries(self) -> list[Entry]:
        return [Entry(str(i), Path(str(i)), SIZE, self.read(i).objects) for i in range(len(self._rows))]

    def read(self, index: int) -> Sample:
        rows = self._rows[index]
        xyxy = np.array([row[1:5] for row in rows], np.float32).reshape(-1, 4)
        class_id = np.array([row[0] for row in rows], np.int64)
        rgb = np.full((SIZE[1], SIZE[0], 3), index, np.uint8)
        return Sample(str(index), rgb, Objects(xyxy, class_id, np.array([row[5] for row in rows], np.bool_)))


PICTURES = Blocks([[(0, 0, 0, 10, 30, False), (1, 20, 5, 30, 20, False)], [(0, 5, 5, 9, 9, False)], []])


def saying(maps: Sequence[np.ndarray], names: tuple[str, ...] = ("a", "b")):
    def predictor(rgb: np.ndarray) -> Detections:
        found = Detections.empty(names)
        found.class_map = ClassMap(maps[int(rgb[0, 0, 0])], names)
        return found

    return predictor


def truth() -> list[np.ndarray]:
    one, two = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    one[:, :10], one[5:20, 20:30], two[5:9, 5:9] = 1, 2, 1
    return [one, two, np.zeros((30, 40), np.uint8)]


def test_what_is_right_everywhere_scores_one():
    scores = score_segments(saying(truth()), PICTURES)
    assert (1.0, 1.0) == (scores.mean_overlap, scores.pixel_accuracy)


def test_overlap_is_of_the_pixels_themselves():
    random = np.random.default_rng(0)
    said = [np.where(random.random(each.shape) < 0.8, each, random.integers(0, 3, each.shape)) for each in truth()]
    scores = score_segments(saying([each.astype(np.uint8) for each in said]), PICTURES)
    flat, found = (np.concatenate([each.reshape(-1) for each in maps]).tolist() for maps in (truth(), said))
    places = [
        ({i for i, one in enumerate(flat) if one == label}, {i for i, one in enumerate(found) if one == label})
        for label in range(3)
    ]
    expected = [len(there & said) / len(there | said) for there, said in places]
    assert pytest.approx(expected) == scores.overlap.tolist()
    assert pytest.approx(sum(expected) / 3) == scores.mean_overlap
    assert [[len(a[0] & b[1]) for b in places] for a in places] == scores.confusion.tolist()
    assert sum(a == b for a, b in zip(flat, found, strict=True)) / len(flat) == pytest.approx(scores.pixel_accuracy)


def test_what_is_ignored_does_not_count():
    ignored = Blocks([[(0, 0, 0, 10, 30, False), (1, 20, 5, 30, 20, True)]])
    wrong = truth()[0]
    wrong[5:20, 20:30] = 1
    assert 1.0 == score_segments(saying([wrong]), ignored).mean_overlap


def test_a_class_that_is_nowhere_has_no_score():
    scores = score_segments(saying([np.zeros((30, 40), np.uint8)] * 3), Blocks([[], [], []]))
    assert np.isnan(scores.overlap[1:]).all()
    assert 1.0 == scores.mean_overlap
    assert scores.as_json()["iou_a"] is None


def test_classes_go_by_their_names_and_coarse_maps_are_spread():
    coarse = [(np.array([0, 3, 1], np.uint8)[each])[::5, ::5] for each in truth()]
    scores = score_segments(saying(coarse, ("b", "c", "a")), Blocks([PICTURES._rows[0]]))
    assert 1.0 == scores.mean_overlap


def test_a_detector_of_objects_is_refused():
    with pytest.raises(ConfigError, match="does not label pixels"):
        score_segments(lambda rgb: Detections.empty(("a", "b")), PICTURES)
