"""The distance transform against trying everything, and a mixture that learns rendered shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.boxes import iou
from streamdet.models.classic.dpm import SPRING, PartsDetector
from streamdet.models.classic.dpm_kernels import spread
from streamdet.models.classic.dpm_learning import PartsShape, learn_parts
from streamdet.models.classic.mining import MiningOptions
from tests.unit.models.classic.crosses import Crosses


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    square=st.floats(0.01, 3),
    linear=st.floats(-2, 2),
)
def test_the_distance_transform_is_that_of_trying_every_place(
    seed: int, height: int, width: int, square: float, linear: float
) -> None:
    fit = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32) * 3
    worth, from_y, from_x = spread(fit, square, linear, 2 * square, -linear)
    v, u = np.mgrid[:height, :width]
    for y in range(height):
        for x in range(width):
            cost = square * (u - x) ** 2 + linear * (u - x) + 2 * square * (v - y) ** 2 - linear * (v - y)
            assert worth[y, x] == pytest.approx((fit - cost).max(), abs=1e-4)
            assert (fit - cost)[from_y[y, x], from_x[y, x]] == pytest.approx((fit - cost).max(), abs=1e-4)


@pytest.fixture(scope="module")
def detector() -> PartsDetector:
    shape = PartsShape(components=1, cells_down=3, cell_px=5, parts=4, part_blocks=(3, 3), enlarge=1.5)
    return learn_parts("cross", Crosses(14), shape, MiningOptions(rounds=2, cost=0.1, per_picture=10))


def test_it_learns_to_find_a_shape_by_its_parts(detector: PartsDetector) -> None:
    unseen = Crosses(22)
    overlaps = []
    for index in range(14, 22):
        sample = unseen.read(index)
        found = detector(sample.rgb)
        assert (np.diff(found.score) <= 0).all()
        overlaps.append(float(iou(sample.objects.xyxy, found.xyxy[:1]).max(initial=0)))
    assert sum(overlap > 0.5 for overlap in overlaps) >= 7


def test_what_the_plane_saw_of_a_place_gives_its_margin(detector: PartsDetector) -> None:
    levels = detector.levels(Crosses(3).read(2).rgb)
    (component,) = detector.components
    # springs that were learnt too weak are stiffer in use: here they are as the plane has them
    weight = component.plane.weight.copy()
    weight[component.whole.size + component.parts.size :] = np.tile([1, 0.2, 0.5, -0.1], 4) / SPRING
    component = replace(component, plane=replace(component.plane, weight=weight))
    places = detector.places(levels, component, -10.0, 20)
    inner = np.flatnonzero((places.part_y > 2).all(axis=1) & (places.part_x > 2).all(axis=1))
    seen = detector.seen(levels, component, places, inner)
    assert len(inner) > 3
    np.testing.assert_allclose(places.margin[inner], component.plane(seen), atol=1e-3)


def test_it_is_the_same_when_read_again(detector: PartsDetector, tmp_path: Path) -> None:
    detector.save(tmp_path / "cross.npz")
    rgb = Crosses(4).read(3).rgb
    np.testing.assert_array_equal(detector(rgb).xyxy, PartsDetector.load(tmp_path / "cross.npz")(rgb).xyxy)


def test_a_picture_too_small_for_it_holds_nothing(detector: PartsDetector) -> None:
    assert 0 == len(detector(np.zeros((8, 9, 3), np.uint8)))
