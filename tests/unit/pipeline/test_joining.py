"""Several detectors' answers as one."""

from __future__ import annotations

import numpy as np

from streamdet.frames import Detections
from streamdet.masks import ClassMap
from streamdet.pipeline.joining import join


def answer(scores: list[float], keypoints: int = 0, mask: tuple[int, int] | None = None) -> Detections:
    n = len(scores)
    return Detections(
        np.tile(np.float32([0, 0, 10, 10]), (n, 1)),
        np.array(scores, np.float32),
        np.zeros(n, np.int32),
        ("thing",),
        np.full((n, keypoints, 3), 7, np.float32) if keypoints else None,
        np.ones((n, *mask), np.float32) if mask else None,
    )


def test_the_answers_of_two_detectors_are_sorted_together_under_one_table_of_classes() -> None:
    joined = join([answer([0.9, 0.2]), answer([0.5])], [0, 1], ("car", "plate"))
    assert [0, 1, 0] == joined.class_id.tolist()
    assert [np.float32(0.9), np.float32(0.5), np.float32(0.2)] == joined.score.tolist()


def test_keypoints_survive_beside_a_detector_that_has_none_or_fewer() -> None:
    joined = join([answer([0.9], 4), answer([0.5]), answer([0.3], 2)], [0, 1, 2], ("a", "b", "c"))
    assert joined.keypoints is not None
    assert [4, 0, 2] == (joined.keypoints[:, :, 2] > 0).sum(axis=1).tolist()


def test_masks_of_two_sizes_join_in_the_finer_one() -> None:
    joined = join([answer([0.9], mask=(2, 2)), answer([0.5], mask=(4, 8)), answer([0.3])], [0, 1, 2], ("a", "b", "c"))
    assert joined.masks is not None
    assert (3, 4, 8) == joined.masks.shape
    assert [32, 32, 0] == joined.masks.sum(axis=(1, 2)).tolist()


def test_a_single_answer_passes_untouched() -> None:
    only = answer([0.9])
    assert join([only], [0], ("thing",)) is only


def test_maps_of_two_engines_join_and_the_first_is_believed():
    first, second = np.array([[0, 1]], np.uint8), np.array([[1, 1], [0, 2]], np.uint8)
    parts = [Detections.empty(names) for names in (("a",), ("b", "c"))]
    for part, labels in zip(parts, (first, second), strict=True):
        part.class_map = ClassMap(labels, part.names)
    joined = join(parts, [0, 1], ("a", "b", "c"))
    assert joined.class_map is not None
    assert [[2, 1], [0, 1]] == joined.class_map.labels.tolist()
    assert ("a", "b", "c") == joined.class_map.names
