"""Camera motion against pictures moved by a known amount."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamdet.picture import Picture
from streamdet.tracking.motion import CameraMotion, MotionOptions

WIDTH, HEIGHT = 1280, 720
CORNERS = np.array([[0, 0, 1], [WIDTH, 0, 1], [0, HEIGHT, 1], [WIDTH, HEIGHT, 1]], float)
NONE = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def ground():
    """A texture with detail at every size, larger than the picture."""
    rng = np.random.default_rng(0)
    layers = [
        cv2.resize(rng.uniform(0, 255, (1200 // cell, 1800 // cell)).astype(np.float32), (1800, 1200))
        for cell in (4, 16, 64)
    ]
    return np.mean(layers, axis=0).astype(np.uint8)


def moved(angle=0.0, zoom=1.0, across=0.0, down=0.0):
    """[2, 3] about the middle of the picture."""
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    return np.hstack([linear, (middle - linear @ middle + [across, down])[:, None]])


def view(ground, motion):
    """The picture after a motion of edges; cv2 moves the pixels' centres."""
    centred = motion.copy()
    centred[:, 2] += motion[:, :2] @ [0.5, 0.5] - 0.5
    centred[:, 2] -= motion[:, :2] @ [200, 200]
    return cv2.warpAffine(ground, centred, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def gray(pixels, rotation=0):
    return Picture((np.ascontiguousarray(pixels),), "gray", rotation=rotation)


def worst(expected, got):
    return np.abs(CORNERS @ expected.T - CORNERS @ got.T).max()


@pytest.mark.parametrize(
    "motion",
    [
        moved(across=7.3, down=-4.6),
        moved(across=40, down=12),
        moved(angle=0.02),
        moved(zoom=1.03),
        moved(angle=-0.01, zoom=0.98, across=-15.2, down=3.1),
        moved(),
    ],
    ids=["shift", "fast pan", "roll", "zoom", "all", "still"],
)
def test_a_known_motion_is_measured_to_half_a_pixel_at_the_corners(ground, motion):
    camera = CameraMotion()
    assert camera.measure(gray(view(ground, moved())), NONE) is None
    got = camera.measure(gray(view(ground, motion)), NONE)
    assert worst(motion, got) < 0.5
    assert (np.float32, (2, 3)) == (got.dtype, got.shape)
    assert 0 == camera.unsure


def test_objects_that_move_by_themselves_are_not_mistaken_for_the_camera(ground):
    camera = CameraMotion()
    rng = np.random.default_rng(1)
    patch = rng.uniform(0, 255, (500, 700)).astype(np.uint8)
    for frame in range(5):
        motion = moved(across=3.0 * frame)
        pixels = view(ground, motion)
        left = 100 + 50 * frame
        pixels[100:600, left : left + 700] = patch
        got = camera.measure(gray(pixels), np.array([[left, 100, left + 700, 600]], np.float32))
        if frame:
            assert worst(moved(across=3.0), got) < 0.5


def test_a_picture_without_corners_gives_no_answer_and_is_counted():
    camera = CameraMotion()
    for _ in range(3):
        assert camera.measure(gray(np.full((HEIGHT, WIDTH), 128, np.uint8)), NONE) is None
    assert 2 == camera.unsure


def test_another_picture_size_begins_anew(ground):
    camera = CameraMotion()
    camera.measure(gray(view(ground, moved())), NONE)
    assert camera.measure(gray(view(ground, moved())[:600]), NONE) is None
    assert 0 == camera.unsure


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_answer_is_for_the_picture_as_shown(ground, rotation):
    camera = CameraMotion()
    motion = moved(across=9.0, down=5.0)
    for step in (moved(), motion):
        stored = np.rot90(view(ground, step), k=rotation // 90)
        picture = gray(stored, rotation)
        assert (WIDTH, HEIGHT) == picture.size
        got = camera.measure(picture, NONE)
    assert worst(motion, got) < 0.5


def test_ten_bits_and_colours_are_read_as_well(ground):
    first, second = view(ground, moved()), view(ground, moved(across=6))
    chroma = np.zeros((HEIGHT // 2, WIDTH // 2, 2), np.uint16)
    for pictures in (
        [Picture((pixels.astype(np.uint16) << 8, chroma), "p010") for pixels in (first, second)],
        [Picture((np.dstack([pixels] * 3),), "rgb24") for pixels in (first, second)],
    ):
        camera = CameraMotion(MotionOptions(height_px=360))
        camera.measure(pictures[0], NONE)
        assert worst(moved(across=6), camera.measure(pictures[1], NONE)) < 0.5


def test_boxes_that_are_no_numbers_hide_nothing(ground):
    camera = CameraMotion()
    boxes = np.array([[np.nan, 0, 10, 10], [-1e30, -1e30, 1e30, np.inf], [50, 50, 20, 20]], np.float32)
    camera.measure(gray(view(ground, moved())), boxes)
    assert camera.measure(gray(view(ground, moved(across=4))), boxes) is not None
