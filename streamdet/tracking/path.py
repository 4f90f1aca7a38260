"""A path drawn with as few points as tell where it went."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Path = npt.NDArray[np.float64]  # [N, 3]: time, x, y


def simplified(points: Path, tolerance_px: float) -> Path:
    """The points of a path without those that lie, at their time, within `tolerance_px` of the line drawn without them.

    Ramer, Douglas and Peucker's way, but measured against where a steady walker would be at that moment, so that a
    stop is kept as well as a turn.
    """
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    pending = [(0, len(points) - 1)]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        start, stop = points[first], points[last]
        between = points[first + 1 : last]
        share = (between[:, 0] - start[0]) / max(stop[0] - start[0], 1e-9)
        off = np.hypot(*(between[:, 1:] - (start[1:] + share[:, None] * (stop[1:] - start[1:]))).T)
        worst = int(off.argmax())
        if off[worst] > tolerance_px:
            middle = first + 1 + worst
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    return points[keep]
