"""The street, and what it says about itself."""

from __future__ import annotations

import numpy as np
import pytest

from streamdet.scenes.bars import Bars
from streamdet.scenes.camera import NEAREST_M, Camera, clip_near
from streamdet.scenes.planes import yuv420p
from streamdet.scenes.street import Street

SIZE = (640, 360)


@pytest.fixture(scope="module")
def street() -> Street:
    return Street(4, SIZE)


def test_a_frame_is_the_same_whatever_was_drawn_before(street: Street) -> None:
    for t_s in (0.0, 1.0, 7.5):
        street.frame(t_s)
    alone, later = Street(4, SIZE).frame(3.0), street.frame(3.0)
    assert np.array_equal(alone.bgr, later.bgr)
    assert alone.truth == later.truth


def test_another_seed_is_another_street(street: Street) -> None:
    assert not np.array_equal(street.frame(1.0).bgr, Street(5, SIZE).frame(1.0).bgr)


def test_boxes_lie_in_the_picture_and_around_the_corners(street: Street) -> None:
    for k in range(60):
        for entry in street.frame(k / 5).truth:
            left, top, right, bottom = entry.xyxy
            assert 0 <= left < right <= SIZE[0]
            assert 0 <= top < bottom <= SIZE[1]
            corners = np.array(entry.corners)
            low, high = np.maximum(corners.min(0), 0), np.minimum(corners.max(0), SIZE)
            assert left >= low[0] - 0.02
            assert bottom <= high[1] + 0.02
            if corners.min() >= 0 and (corners.max(0) <= SIZE).all():
                assert np.allclose([*low, *high], entry.xyxy, atol=0.02)
            assert 0 <= entry.visible_ratio <= 1


def test_an_identity_keeps_its_text_and_moves_on(street: Street) -> None:
    seen: dict[int, tuple[str, list[float]]] = {}
    for k in range(100):
        for entry in street.frame(k / 10).truth:
            text, widths = seen.setdefault(entry.truth_id, (entry.text, []))
            assert text == entry.text
            if entry.visible_ratio == 1:
                widths.append(entry.width_px)
    assert len(seen) > 6
    for _, widths in seen.values():
        growth = np.diff(widths)
        assert (growth > 0).all() or (growth < 0).all()  # a car comes or goes


def test_one_to_three_plates_are_usually_in_view() -> None:
    counts = []
    for seed in range(3):
        moving = Street(seed, SIZE)
        counts += [sum(e.visible and e.width_px > 12 for e in moving.frame(k * 0.9).truth) for k in range(24)]
    assert 1 <= np.mean(counts) <= 3
    assert max(counts) <= 6


def test_the_ink_is_where_the_truth_says() -> None:
    """Unwarped by its true corners, a near plate shows a bright ground with dark strokes."""
    import cv2

    for seed in range(6):
        moving = Street(seed, (1280, 720), noise=0.0)
        for k in range(40):
            scene = moving.frame(k / 4)
            for entry in scene.truth:
                if entry.visible_ratio < 1 or entry.width_px < 70:
                    continue
                flat = np.array([(0, 0), (104, 0), (104, 22), (0, 22)], np.float32)
                matrix = cv2.getPerspectiveTransform(np.array(entry.corners, np.float32), flat)
                plate = cv2.warpPerspective(scene.bgr, matrix, (104, 22))[3:-3, 12:-12].max(2)
                assert np.percentile(plate, 90) > np.percentile(plate, 5) + 40
                return
    pytest.fail("no near plate was met")


def test_a_covered_plate_is_known_to_be_covered() -> None:
    ratios = []
    for seed in range(3):
        moving = Street(seed, (320, 180), density=2.0)
        ratios += [entry.visible_ratio for k in range(30) for entry in moving.frame(k / 3).truth]
    assert min(ratios) < 0.3
    assert max(ratios) == 1


def test_ground_and_projection_are_inverse() -> None:
    camera = Camera((640, 360), 800.0, 110.0, 2.6, 0.7, 0.04)
    world = np.array([(-3, 0, 12), (2, 0, 30), (4, 0, 80)], np.float32)
    flat = camera.project(world)
    x, z = camera.ground(flat[:, 0], flat[:, 1])
    assert np.allclose(world[:, 0], x, atol=1e-2)
    assert np.allclose(world[:, 2], z, rtol=1e-3)


def test_what_is_clipped_lies_beyond_the_nearest_plane() -> None:
    square = np.array([(0, 0, -1), (1, 0, -1), (1, 0, 3), (0, 0, 3)], np.float32)
    cut = clip_near(square)
    assert 4 == len(cut)
    assert cut[:, 2].min() == pytest.approx(NEAREST_M)
    assert 0 == len(clip_near(square - np.array([0, 0, 10], np.float32)))


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1, 1)])
def test_planes_have_the_sizes_of_yuv420p(size: tuple[int, int]) -> None:
    width, height = size
    y, u, v = yuv420p(np.full((height, width, 3), (255, 255, 255), np.uint8))
    assert (height, width) == y.shape
    assert (-(-height // 2), -(-width // 2)) == u.shape == v.shape
    assert 235 == int(y[0, 0])
    assert 128 == int(u[0, 0]) == int(v[0, 0])


@pytest.mark.parametrize("size", [(320, 240), (321, 241), (16, 16)])
def test_bars_are_where_their_boxes_say(size: tuple[int, int]) -> None:
    for t_s in (0.0, 3.3, 50.0):
        (y, u, _), truth = Bars(2, size, count=1).frame(t_s)
        (left, top, right, bottom) = (int(edge) for edge in truth[0].xyxy)
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert len(np.unique(y[top:bottom, left:right])) == 1
        coloured = np.argwhere(u != 128)
        assert (top // 2, left // 2) == tuple(coloured.min(0))
        assert (bottom // 2, right // 2) == tuple(coloured.max(0) + 1)
