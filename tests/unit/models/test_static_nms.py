"""Static suppression: equal to the plain greedy one of `streamdet.boxes`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamdet.boxes import greedy_nms
from streamdet.models.static_nms import suppress

torch.set_num_threads(1)


def crowd(seed: int, count: int, objects: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Many boxes around few objects, as a detector finds them."""
    random = np.random.default_rng(seed)
    centre = random.uniform(0, 300, (objects, 2))[random.integers(0, objects, count)]
    centre = centre + random.normal(0, 8, (count, 2))
    half = random.uniform(10, 40, (count, 2))
    xyxy = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return xyxy, random.random(count).astype(np.float32), random.integers(0, 3, count).astype(np.int32)


def kept_rows(xyxy, score, class_id, iou, keep, valid=None) -> list[int]:
    alive = torch.ones(1, len(score), dtype=torch.bool) if valid is None else torch.from_numpy(valid)[None]
    rows, held = suppress(
        torch.from_numpy(xyxy)[None],
        torch.from_numpy(score)[None],
        torch.from_numpy(class_id).long()[None],
        alive,
        iou,
        keep,
    )
    return rows[0][held[0]].tolist()


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(6))
def test_it_keeps_what_greedy_keeps_in_the_same_order(seed: int, iou: float):
    xyxy, score, class_id = crowd(seed, 300, 12)
    expected = greedy_nms(xyxy, score, class_id, iou)
    assert expected.tolist() == kept_rows(xyxy, score, class_id, iou, 300)
    assert expected[:20].tolist() == kept_rows(xyxy, score, class_id, iou, 20)


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 4, st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=25))
def test_ties_and_boxes_of_no_size_too(rows: list[tuple[int, ...]]):
    table = np.array(rows, np.float32)
    xyxy = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    score, class_id = table[:, 4], table[:, 5].astype(np.int32)
    expected = greedy_nms(xyxy, score, class_id, 0.4)
    assert expected.tolist() == kept_rows(xyxy, score, class_id, 0.4, 25)


def test_what_is_not_valid_neither_stays_nor_suppresses():
    xyxy, score, class_id = crowd(3, 60, 4)
    valid = np.random.default_rng(1).random(60) < 0.6
    expected = np.flatnonzero(valid)[greedy_nms(xyxy[valid], score[valid], class_id[valid], 0.5)]
    assert expected.tolist() == kept_rows(xyxy, score, class_id, 0.5, 60, valid)
