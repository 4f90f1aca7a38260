"""Ridge regression: the straight line through points that also keeps its slopes small (Hoerl and Kennard 1970)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Lines:
    """From points to K numbers each."""

    weight: npt.NDArray[np.float32]  # [K, D]
    bias: npt.NDArray[np.float32]  # [K]

    def __call__(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Points [N, D] → [N, K]."""
        found: npt.NDArray[np.float32] = points @ self.weight.T + self.bias
        return found


class Ridge:
    """Gathers points bit by bit, as their sums: however many there are, it takes no more memory."""

    def __init__(self, features: int, wanted: int) -> None:
        self.count = 0
        self._point = np.zeros(features)
        self._wanted = np.zeros(wanted)
        self._points = np.zeros((features, features))
        self._both = np.zeros((features, wanted))

    def add(self, points: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating]) -> None:
        """Points [N, D], and what is to be said of them [N, K]."""
        x, y = points.astype(np.float64), wanted.astype(np.float64)
        self.count += len(x)
        self._point += x.sum(axis=0)
        self._wanted += y.sum(axis=0)
        self._points += x.T @ x
        self._both += x.T @ y

    def lines(self, damping: float) -> Lines:
        """The lines that err least, in squares, plus `damping` times the squares of their slopes; the bias is free."""
        if self.count == 0:
            return Lines(np.zeros(self._both.shape[::-1], np.float32), np.zeros(len(self._wanted), np.float32))
        centre, level = self._point / self.count, self._wanted / self.count
        spread = self._points - self.count * np.outer(centre, centre)
        together = self._both - self.count * np.outer(centre, level)
        weight = np.linalg.solve(spread + damping * np.eye(len(centre)), together).T
        return Lines(weight.astype(np.float32), (level - weight @ centre).astype(np.float32))
