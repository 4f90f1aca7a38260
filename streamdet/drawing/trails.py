"""The paths that tracks have left behind them, for a short time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from streamdet.frames import Tracks

_STEP_PX = 4.0  # a track that hardly moves gets no new points: its path would cost time and show nothing


class Trails:
    """The last `keep_s` seconds of every track of one stream: where its box stood on the ground."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._epoch: int | None = None
        self._points: dict[int, deque[tuple[float, float, float]]] = {}  # track id → pts_s, x, y

    def extend(self, epoch: int, pts_s: float, tracks: Tracks) -> None:
        """Add where the tracks are at that time; a new epoch begins with a clean sheet."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._points.clear()
        for track_id, (left, _, right, bottom) in zip(
            tracks.track_id.tolist(), tracks.smooth_xyxy.tolist(), strict=True
        ):
            if track_id >= 0:
                self._add(track_id, pts_s, (left + right) / 2, bottom)
        for track_id, points in list(self._points.items()):
            while points and points[0][0] < pts_s - self._keep_s:
                points.popleft()
            if not points:
                del self._points[track_id]

    def _add(self, track_id: int, pts_s: float, x: float, y: float) -> None:
        points = self._points.setdefault(track_id, deque())
        if not points or abs(points[-1][1] - x) + abs(points[-1][2] - y) >= _STEP_PX:
            points.append((pts_s, x, y))

    def lines(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Track id and its points [P, 2], oldest first; a track seen once has none."""
        for track_id, points in self._points.items():
            if len(points) > 1:
                yield track_id, np.array([(x, y) for _, x, y in points], np.float32)
