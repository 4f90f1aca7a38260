"""HOG against scikit-image, the SVM against scikit-learn, and a detector that learns rendered shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamdet.boxes import iou
from streamdet.models.classic.hog import HogOptions, hog, pyramid
from streamdet.models.classic.hog_kernels import responses
from streamdet.models.classic.linear_svm import Plane, fit_plane
from streamdet.models.classic.mining import MiningOptions, learn_windows
from streamdet.models.classic.window import Window
from streamdet.models.classic.window_detector import WindowDetector
from tests.unit.models.classic.crosses import Crosses
from tests.unit.proposals.pictures import shapes, two_clouds

ORACLES = np.load(Path(__file__).parents[2] / "proposals" / "oracles.npz")


@pytest.mark.parametrize("name", ["shapes", "grey"])
def test_hog_is_that_of_scikit_image(name: str) -> None:
    got = hog(shapes() if name == "shapes" else shapes()[..., 1])
    expected = ORACLES[f"hog_{name}"].reshape(got.shape)
    assert np.abs(expected - got).max() < 1e-4


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_the_plane_is_that_of_scikit_learn(loss: str) -> None:
    points, positive = two_clouds()
    plane = fit_plane(points, positive, cost=0.5, squared=loss == "squared_hinge", tolerance=1e-9, rounds=100_000)
    np.testing.assert_allclose(ORACLES[f"svm_{loss}"], np.append(plane.weight, plane.bias), atol=1e-4)


def test_responses_are_products_with_every_window() -> None:
    chance = np.random.default_rng(0)
    blocks, template = (chance.normal(size=shape).astype(np.float32) for shape in ((6, 7, 4), (2, 3, 4)))
    windows = np.lib.stride_tricks.sliding_window_view(blocks, (2, 3), axis=(0, 1))
    np.testing.assert_allclose(np.einsum("yxdij,ijd->yx", windows, template), responses(blocks, template), atol=1e-4)


def test_a_pyramid_ends_before_the_window_no_longer_fits() -> None:
    sizes = [level.shape[:2] for level, _, _ in pyramid(shapes(), (40, 40), 2.0)]
    assert [(96, 128), (48, 64)] == sizes


def test_it_learns_to_find_a_shape_and_is_the_same_when_read_again(tmp_path: Path) -> None:
    blank = WindowDetector("cross", Window((7, 7), HogOptions(cell_px=6)), Plane(np.zeros(0, np.float32), 0.0))
    detector = learn_windows(blank, Crosses(20), MiningOptions(rounds=2, cost=0.1))
    unseen = Crosses(28)
    overlaps = []
    for index in range(20, 28):
        sample = unseen.read(index)
        found = detector(sample.rgb)
        assert (np.diff(found.score) <= 0).all()
        overlaps.append(float(iou(sample.objects.xyxy, found.xyxy[:1]).max(initial=0)))
    assert sum(overlap > 0.5 for overlap in overlaps) >= 7
    detector.save(tmp_path / "cross.npz")
    again = WindowDetector.load(tmp_path / "cross.npz")(unseen.read(21).rgb)
    assert detector(unseen.read(21).rgb).xyxy.tolist() == again.xyxy.tolist()
