"""Ridge regression against scikit-learn."""

from __future__ import annotations

import numpy as np

from streamdet.models.classic.ridge import Ridge

# Of sklearn.linear_model.Ridge(alpha=1000).fit(*line()), version 1.9.
WEIGHT = [[0.039216, 0.240063, -0.0978], [-0.111644, 0.208718, 2.803357]]
BIAS = [4.955036, -7.285703]


def line() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(3)
    points = chance.normal(size=(40, 3)) * [1, 5, 20] + [0, 3, -7]
    slopes = np.array([[1.0, -2.0], [0.5, 0.25], [-0.1, 3.0]])
    return points, points @ slopes + chance.normal(size=(40, 2)) + [4, -6]


def test_it_is_that_of_scikit_learn_however_the_points_come() -> None:
    points, wanted = line()
    ridge = Ridge(3, 2)
    for part in (slice(0, 7), slice(7, 7), slice(7, 40)):
        ridge.add(points[part], wanted[part])
    lines = ridge.lines(1000.0)
    np.testing.assert_allclose(WEIGHT, lines.weight, atol=1e-5)
    np.testing.assert_allclose(BIAS, lines.bias, atol=1e-4)
    np.testing.assert_allclose(points @ np.transpose(WEIGHT) + BIAS, lines(points.astype(np.float32)), atol=1e-3)


def test_of_nothing_it_learns_to_change_nothing() -> None:
    lines = Ridge(3, 4).lines(1000.0)
    assert not lines(np.ones((5, 3), np.float32)).any()
