"""Boxes, points, outlines and masks go where the pixels go."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.boxes import place
from streamdet.datasets.areas import masks_of
from streamdet.datasets.samples import Objects
from streamdet.training.augment.geometry import (
    CutRule,
    cut_ring,
    flip,
    move_objects,
    quarter_turn,
    rotation,
    scaling,
    shearing,
    translation,
    warp_into,
)
from tests.made_data_sets import COLOURS, drawn, pixels_of

KEEP_ALL = CutRule(0, 0, "ignore")
SIZE = (120, 100)


def moved(matrix: np.ndarray, seed: int, outlined: bool = True) -> tuple[np.ndarray, Objects]:
    source = drawn(1, seed=seed, outlined=outlined)
    canvas = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    warp_into(canvas, source.pictures[0], matrix)
    return canvas, move_objects(source.entries[0].objects, matrix, SIZE, KEEP_ALL, mirrored_keypoints=(1, 0, 3, 2))


def check_agreement(canvas: np.ndarray, objects: Objects) -> None:
    """Pixels lie inside the boxes, and fill them but for the tips of sharp corners, which no pixel shows."""
    for row in range(len(objects)):
        found = pixels_of(canvas, int(objects.class_id[row]))
        if found.sum() < 12:  # a sliver at the edge
            continue
        y, x = np.nonzero(found)
        gap = np.array([x.min(), y.min(), -x.max() - 1, -y.max() - 1]) - objects.xyxy[row] * (1, 1, -1, -1)
        assert -1.5 <= gap.min()
        assert 3 >= gap.max()


affine = st.tuples(
    st.floats(-30, 30), st.floats(-30, 30), st.floats(0.6, 1.8), st.floats(-180, 180), st.floats(-20, 20), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(affine, st.integers(0, 50))
def test_after_any_chain_the_pixels_are_where_the_boxes_say(
    chain: tuple[float, float, float, float, float, bool], seed: int
) -> None:
    x, y, scale, turn, slant, mirrored = chain
    middle = translation(60, 50), translation(-48, -36)
    matrix = (
        translation(x, y)
        @ middle[0]
        @ shearing(slant, 0)
        @ rotation(turn)
        @ scaling(scale, scale)
        @ middle[1]
        @ flip((96, 72), mirrored, False)
    )
    check_agreement(*moved(matrix, seed))


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.integers(0, 50))
def test_perspective_takes_boxes_along(near_x: float, near_y: float, seed: int) -> None:
    tilt = np.eye(3)
    tilt[2, :2] = near_x / 60, near_y / 50
    check_agreement(*moved(translation(60, 50) @ tilt @ translation(-48, -36), seed))


@settings(max_examples=40, deadline=None)
@given(affine, st.integers(0, 50))
def test_masks_are_the_pixels_of_the_object(chain: tuple[float, float, float, float, float, bool], seed: int) -> None:
    x, y, scale, turn, slant, _ = chain
    matrix = translation(60 + x, 50 + y) @ shearing(slant, 0) @ rotation(turn) @ scaling(scale, scale)
    canvas, objects = moved(matrix @ translation(-48, -36), seed)
    for mask, class_id in zip(masks_of(objects, SIZE), objects.class_id, strict=True):
        seen = pixels_of(canvas, int(class_id)).astype(np.uint8)
        # Equal but for pixels on the rim.
        sure = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
        possible = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        assert 0 == (sure & ~seen & 1).sum()
        assert 0 == (seen & ~possible & 1).sum()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_quarter_turn_is_exact(turns: int) -> None:
    source = drawn(1, seed=3)
    matrix, (width, height) = quarter_turn((96, 72), turns)
    canvas = np.zeros((int(height), int(width), 3), np.uint8)
    warp_into(canvas, source.pictures[0], matrix)
    assert np.array_equal(np.rot90(source.pictures[0], -turns), canvas)
    objects = move_objects(source.entries[0].objects, matrix, (int(width), int(height)), KEEP_ALL)
    for row, xyxy in enumerate(objects.xyxy):
        left, top, right, bottom = (int(edge) for edge in xyxy)
        assert (canvas[top:bottom, left:right] == COLOURS[int(objects.class_id[row])]).all()


def test_mirrored_corners_still_run_clockwise_from_the_top_left() -> None:
    objects = drawn(1, seed=4).entries[0].objects
    mirrored = move_objects(objects, flip((96, 72), True, False), (96, 72), KEEP_ALL, mirrored_keypoints=(1, 0, 3, 2))
    assert mirrored.keypoints is not None
    for xyxy, points in zip(mirrored.xyxy, mirrored.keypoints, strict=True):
        left, top, right, bottom = xyxy
        assert [[left, top], [right, top], [right, bottom], [left, bottom]] == points[:, :2].tolist()


def test_keypoints_outside_the_picture_are_not_visible() -> None:
    objects = drawn(1, seed=4).entries[0].objects
    away = move_objects(objects, translation(-20, 0), (96, 72), KEEP_ALL)
    assert away.keypoints is not None
    points = away.keypoints
    assert ((points[..., 0] >= 0) == (points[..., 2] > 0)).all()


def half_out() -> Objects:
    return Objects(
        np.array([(-15, 10, 5, 30), (40, 40, 60, 60), (90, 10, 91, 30)], np.float32),
        np.arange(3),
        np.zeros(3, np.bool_),
    )


def test_what_is_cut_too_far_is_ignored_or_dropped() -> None:
    ignoring = move_objects(half_out(), np.eye(3), SIZE, CutRule(0.5, 2, "ignore"))
    assert [True, False, True] == ignoring.ignored.tolist()
    assert [0, 10, 5, 30] == ignoring.xyxy[0].tolist()
    dropping = move_objects(half_out(), np.eye(3), SIZE, CutRule(0.5, 2, "drop"))
    assert [1] == dropping.class_id.tolist()


def test_what_lies_outside_altogether_is_gone() -> None:
    assert 0 == len(move_objects(half_out(), translation(500, 0), SIZE, KEEP_ALL))


def test_an_object_without_an_outline_may_be_taken_for_an_ellipse() -> None:
    square = Objects(np.array([(40, 30, 80, 70)], np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_))
    turn = translation(60, 50) @ rotation(45) @ translation(-60, -50)
    as_box = move_objects(square, turn, SIZE, KEEP_ALL).xyxy[0]
    as_ellipse = move_objects(square, turn, SIZE, KEEP_ALL, outline="ellipse").xyxy[0]
    assert 40 * np.sqrt(2) == pytest.approx(as_box[2] - as_box[0], abs=0.01)
    assert 40 == pytest.approx(as_ellipse[2] - as_ellipse[0], abs=0.25)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 200), st.integers(-50, 200)), min_size=3, max_size=6))
def test_a_cut_ring_lies_inside_and_has_the_area_of_the_overlap(points: list[tuple[int, int]]) -> None:
    hull = cv2.convexHull(np.array(points, np.float32)).reshape(-1, 2)
    if len(hull) < 3 or cv2.contourArea(hull) < 1:
        return
    cut = cut_ring(hull, SIZE)
    frame = np.array([(0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])], np.float32)
    expected, _ = cv2.intersectConvexConvex(hull, frame)
    got = cv2.contourArea(cut.astype(np.float32)) if len(cut) >= 3 else 0
    assert expected == pytest.approx(got, abs=max(0.5, 1e-3 * expected))
    if len(cut):
        assert cut.min() >= -1e-9
        assert (cut <= np.array(SIZE) + 1e-9).all()


def test_the_letterbox_is_a_matrix_too() -> None:
    placement = place((1280, 720), (320, 320))
    boxes = np.array([(768.5, 396.8, 869.4, 421.0)], np.float32)
    objects = Objects(boxes, np.zeros(1, np.int64), np.zeros(1, np.bool_))
    matrix = translation(placement.left_px, placement.top_px) @ scaling(*placement.scale)
    assert placement.to_input(boxes)[0] == pytest.approx(move_objects(objects, matrix, (320, 320), KEEP_ALL).xyxy[0])


def test_ignored_objects_stay_ignored() -> None:
    objects = replace(half_out(), ignored=np.ones(3, np.bool_))
    assert move_objects(objects, np.eye(3), SIZE, KEEP_ALL).ignored.all()


def test_a_mask_of_whole_pixels_is_exact() -> None:
    objects = drawn(1, seed=5).entries[0].objects
    for mask, (left, top, right, bottom) in zip(masks_of(objects, (96, 72)), objects.xyxy.astype(int), strict=True):
        expected = np.zeros((72, 96), np.uint8)
        expected[top:bottom, left:right] = 1
        assert np.array_equal(expected, mask)
