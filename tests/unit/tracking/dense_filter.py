"""The Kalman filter as the textbook has it, with matrices of 8 by 8: the oracle for the one without."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


class DenseFilter:
    """State: centre x, centre y, width, height and their changes per frame."""

    def __init__(self, measured: Matrix) -> None:
        size = np.array([measured[2], measured[3]] * 2)
        self.mean = np.concatenate([measured, np.zeros(4)])
        self.covariance = np.diag(np.concatenate([(2 * size / 20) ** 2, (10 * size / 160) ** 2]))
        self.size = size

    def predict_one_frame(self) -> None:
        moves = np.eye(8) + np.eye(8, k=4)
        noise = np.diag(np.concatenate([(self.size / 20) ** 2, (self.size / 160) ** 2]))
        self.mean = moves @ self.mean
        self.covariance = moves @ self.covariance @ moves.T + noise

    def correct(self, measured: Matrix) -> None:
        sees = np.eye(4, 8)
        total = sees @ self.covariance @ sees.T + np.diag((self.size / 20) ** 2)
        gain = self.covariance @ sees.T @ np.linalg.inv(total)
        self.mean = self.mean + gain @ (measured - sees @ self.mean)
        self.covariance = (np.eye(8) - gain @ sees) @ self.covariance
        self.size = np.array([measured[2], measured[3]] * 2)
