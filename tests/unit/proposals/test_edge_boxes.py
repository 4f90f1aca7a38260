"""Edges, the groups they form, and boxes around whole contours."""

from __future__ import annotations

import numpy as np
import pytest

from streamdet.boxes import greedy_nms, iou
from streamdet.proposals.edge_boxes import EdgeBoxes, EdgeBoxOptions, window_grid
from streamdet.proposals.edge_kernels import edge_groups
from streamdet.proposals.edge_map import EdgeMap, edge_map
from streamdet.proposals.edge_scoring_kernels import jumps, keep_apart
from tests.unit.proposals.pictures import SHAPES_XYXY, shapes


def test_edges_are_one_pixel_thin_and_run_along_the_border() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:, 30:] = 200
    edges = edge_map(rgb)
    assert {1} == set((edges.strength[5:-5] > 0.5).sum(axis=1).tolist())
    row, column = np.nonzero(edges.strength > 0.5)
    assert set(column.tolist()) <= {29, 30}
    np.testing.assert_allclose(np.pi / 2, edges.direction[row, column], atol=1e-3)


def test_a_group_ends_where_it_has_turned_by_a_right_angle() -> None:
    strength, direction = np.zeros((20, 20), np.float32), np.zeros((20, 20), np.float32)
    strength[5, 2:15] = 1
    strength[6:15, 15] = 1
    direction[6:15, 15] = np.pi / 2
    strength[18, 2:6] = 1
    number, groups = edge_groups(strength, direction, 0.1)
    assert 2 == groups  # a corner is still one curve
    assert {0} == set(number[5, 2:15].tolist()) | set(number[6:15, 15].tolist())
    assert {-1} == set(number[strength == 0].tolist())


def test_jumps_name_the_next_edge() -> None:
    number = np.full((2, 5), -1, np.int32)
    number[0, 3] = number[1, 0] = 0
    right, down = jumps(number)
    assert [[3, 3, 3, 3, 5], [0, 5, 5, 5, 5]] == right.tolist()
    assert [[1, 2, 2, 0, 2], [1, 2, 2, 2, 2]] == down.tolist()


@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_boxes_kept_apart_are_those_of_the_reference(overlap: float) -> None:
    chance = np.random.default_rng(5)
    corner, size = chance.integers(0, 60, (150, 2)), chance.integers(10, 50, (150, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.int32)
    falling = np.linspace(1, 0, 150).astype(np.float32)
    expected = greedy_nms(boxes.astype(np.float32), falling, np.zeros(150, np.int32), overlap)
    assert expected.tolist() == keep_apart(boxes, overlap, 150).tolist()


def test_neighbouring_windows_overlap_as_asked() -> None:
    boxes = window_grid(300, 200, EdgeBoxOptions(step_overlap=0.65)).astype(np.float32)
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 300).all()
    assert (boxes[:, 3] <= 200).all()
    overlap = iou(boxes[500:501], np.delete(boxes, 500, axis=0)).max()
    assert overlap > 0.6


def test_a_whole_contour_scores_more_than_a_cut_one() -> None:
    strength, direction = np.zeros((80, 80), np.float32), np.zeros((80, 80), np.float32)
    strength[20, 20:60] = strength[59, 20:60] = 1
    strength[20:60, 20] = strength[20:60, 59] = 1
    direction[21:59, 20] = direction[21:59, 59] = np.pi / 2
    got = EdgeBoxes(EdgeBoxOptions(suppress=0.9)).of_edges(EdgeMap(strength, direction))
    assert iou(np.array([[20, 20, 60, 60]], np.float32), got.xyxy[:1])[0, 0] > 0.85


def test_what_lies_in_a_picture_is_among_the_first_boxes() -> None:
    got = EdgeBoxes()(shapes())
    assert (iou(SHAPES_XYXY, got.xyxy[:100]).max(axis=1) > 0.7).all()
    assert (np.diff(got.score) <= 0).all()


def test_a_picture_without_edges_has_no_boxes() -> None:
    assert 0 == len(EdgeBoxes()(np.full((50, 60, 3), 128, np.uint8)))
