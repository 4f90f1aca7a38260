"""The kernels' arithmetic in plain NumPy: slow, short, and what the tests hold the compiled form against."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.boxes import Boxes

Matrix = npt.NDArray[np.float64]


def similarity(a: Boxes, b: Boxes, modulated: bool) -> Matrix:
    """[N, 4], [M, 4] → [N, M]: overlap, or overlap times that of the vertical spans."""
    overlap = boxes.iou(a, b).astype(np.float64)
    if not modulated:
        return overlap
    shared = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    joined = np.maximum(a[:, None, 3], b[None, :, 3]) - np.minimum(a[:, None, 1], b[None, :, 1])
    return np.asarray(overlap * np.maximum(shared, 0) / joined, np.float64)


def least_cost(cost: Matrix, limit: float) -> float:
    """The least total of min(cost − limit, 0) over all matchings, by trying every one: for a handful of rows."""
    limited = np.minimum(cost - limit, 0)
    if limited.shape[0] > limited.shape[1]:
        limited = limited.T
    rows = range(limited.shape[0])
    return min(float(limited[rows, cols].sum()) for cols in permutations(range(limited.shape[1]), len(rows)))


class DenseFilter:
    """The Kalman filter as the textbook has it, with matrices of 8 by 8: centre, width, height and their changes."""

    def __init__(self, measured: Matrix) -> None:
        size = np.array([measured[2], measured[3]] * 2)
        self.mean = np.concatenate([measured, np.zeros(4)])
        self.covariance = np.diag(np.concatenate([(2 * size / 20) ** 2, (10 * size / 160) ** 2]))
        self._size = size

    def predict_one_frame(self) -> None:
        """One nominal frame on."""
        moves = np.eye(8) + np.eye(8, k=4)
        noise = np.diag(np.concatenate([(self._size / 20) ** 2, (self._size / 160) ** 2]))
        self.mean = moves @ self.mean
        self.covariance = moves @ self.covariance @ moves.T + noise

    def correct(self, measured: Matrix) -> None:
        """Takes a measured centre, width and height."""
        sees = np.eye(4, 8)
        total = sees @ self.covariance @ sees.T + np.diag((self._size / 20) ** 2)
        gain = self.covariance @ sees.T @ np.linalg.inv(total)
        self.mean = self.mean + gain @ (measured - sees @ self.mean)
        self.covariance = (np.eye(8) - gain @ sees) @ self.covariance
        self._size = np.array([measured[2], measured[3]] * 2)
