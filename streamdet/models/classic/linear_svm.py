"""The linear support vector machine: the plane between two kinds of points that keeps furthest from both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Plane:
    """Points with weight·x + bias above 0 are of the wanted kind."""

    weight: npt.NDArray[np.float32]  # [D]
    bias: float

    def __call__(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Margins [N] of points [N, D]: 1 and −1 are the edges of the street between the kinds."""
        margins: npt.NDArray[np.float32] = points @ self.weight + np.float32(self.bias)
        return margins


def fit_plane(
    points: npt.NDArray[np.float32],
    positive: npt.NDArray[np.bool_],
    *,
    cost: float = 1.0,
    squared: bool = False,
    tolerance: float = 1e-3,
    rounds: int = 1000,
    seed: int = 0,
) -> Plane:
    """Points f32 [N, D] and which of them are wanted; `cost` is what an error weighs against a broad street."""
    from streamdet.models.classic.hog_kernels import solve_svm

    sign = np.where(positive, 1.0, -1.0)
    plane = solve_svm(np.ascontiguousarray(points, np.float32), sign, cost, squared, tolerance, rounds, seed)
    return Plane(plane[:-1].astype(np.float32), float(plane[-1]))
