"""Detections are held against candidates by place and class: what lies on the edge may fall either way, no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.graft.agreement import agreement, resemblance
from streamdet.graft.reference import Candidates, Found, suppress
from streamdet.manifest import Nms

NMS = Nms(candidates=100, max_detections=50, iou=0.5)


def scene(seed: int, count: int = 40, classes: int = 3) -> Candidates:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 100, (count, 2))
    xyxy = np.concatenate([low, low + random.uniform(5, 60, (count, 2))], axis=1)
    return Candidates(np.float32(xyxy), np.float32(random.uniform(0, 1, (count, classes)) ** 3))


def without(found: Found, row: int) -> Found:
    keep = np.arange(len(found.score)) != row
    return Found(found.xyxy[keep], found.score[keep], found.class_id[keep])


@given(st.integers(0, 10_000))
def test_plain_greedy_agrees_with_itself_in_any_order(seed):
    candidates = scene(seed)
    found = suppress(candidates, NMS)
    order = np.random.default_rng(seed).permutation(len(found.score))
    shuffled = Found(found.xyxy[order], found.score[order], found.class_id[order])
    result = agreement(candidates, shuffled, NMS)
    assert result.holds(), str(result)
    assert 0 == result.worst_px == result.worst_score


@given(st.integers(0, 10_000), st.floats(0, 4e-4))
def test_rounding_differences_are_not_disagreements(seed, noise):
    candidates = scene(seed)
    random = np.random.default_rng(seed + 1)
    other = Candidates(
        candidates.xyxy + np.float32(random.uniform(-noise, noise, candidates.xyxy.shape)),
        np.clip(candidates.scores + np.float32(random.uniform(-noise, noise, candidates.scores.shape)), 0, 1),
    )
    result = agreement(candidates, suppress(other, NMS), NMS)
    assert result.holds(), str(result)


def test_a_missing_detection_is_seen():
    candidates = scene(1)
    found = suppress(candidates, NMS)
    assert 1 == agreement(candidates, without(found, 0), NMS).missing


@pytest.mark.parametrize("change", ["moved", "another score", "another class", "twice"])
def test_a_detection_that_is_not_a_candidates_is_seen(change):
    candidates = scene(2)
    found = suppress(candidates, NMS)
    xyxy, score, class_id = found.xyxy.copy(), found.score.copy(), found.class_id.copy()
    if change == "moved":
        xyxy[0] += 0.2
    elif change == "another score":
        score[0] -= 0.01
    elif change == "another class":
        class_id[0] = (class_id[0] + 1) % 3
    else:
        xyxy, score, class_id = (np.concatenate([part[:1], part]) for part in (xyxy, score, class_id))
    assert agreement(candidates, Found(xyxy, score, class_id), NMS).surplus == 1


def test_a_suppressed_neighbour_that_comes_out_is_seen():
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10]])
    candidates = Candidates(boxes, np.float32([[0.9], [0.8]]))
    both = Found(boxes, np.float32([0.9, 0.8]), np.zeros(2, np.int32))
    assert 1 == agreement(candidates, both, NMS).surplus


def test_of_two_rivals_with_one_score_either_may_stay():
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10]])
    candidates = Candidates(boxes, np.float32([[0.9], [0.9]]))
    for row in (0, 1):
        found = Found(boxes[row : row + 1], np.float32([0.9]), np.zeros(1, np.int32))
        result = agreement(candidates, found, NMS)
        assert result.holds()
        assert (0, 2) == (result.compared, result.left_out)


def test_an_overlap_right_at_the_limit_is_left_out():
    boxes = np.float32([[0, 0, 30, 10], [10, 0, 40, 10]])  # IoU 0.5, the limit
    candidates = Candidates(boxes, np.float32([[0.9], [0.8]]))
    for rows in ([0], [0, 1]):
        found = Found(boxes[rows], np.float32([0.9, 0.8])[rows], np.zeros(len(rows), np.int32))
        assert agreement(candidates, found, NMS).holds()


def test_a_less_precise_twin_may_wander_within_its_margin_and_no_further():
    candidates = scene(3, count=15)
    found = suppress(candidates, NMS)
    near = Found(found.xyxy + 0.5, np.clip(found.score + 0.03, 0, 1), found.class_id)
    assert resemblance(candidates, near, NMS, overlap=0.8, margin=0.05, above=0.3).holds()
    nothing = Found(found.xyxy[:0], found.score[:0], found.class_id[:0])
    result = resemblance(candidates, nothing, NMS, overlap=0.8, margin=0.05, above=0.3)
    assert result.compared == result.missing > 0
    ghosts = Found(found.xyxy + 500, found.score, found.class_id)
    assert resemblance(candidates, ghosts, NMS, overlap=0.8, margin=0.05, above=0.3).surplus > 0
