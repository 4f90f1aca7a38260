"""Coloured rectangles that drift over a grey ground and bounce: the cheapest picture whose boxes are known exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.scenes.truth import Planes, Truth

_CHROMA = ((90, 240), (54, 34), (240, 110), (16, 146), (202, 222), (166, 16))  # U, V of the bars' colours


class Bars:
    """`count` rectangles moving at steady speeds; even coordinates, so that luma and chroma have the same edges."""

    def __init__(self, seed: int, size: tuple[int, int] = (640, 360), *, count: int = 4) -> None:
        random = np.random.default_rng([seed, 5])
        width, height = size
        self.size = size
        self._sides = np.maximum(random.uniform(0.08, 0.22, (count, 2)) * size // 2 * 2, 2).astype(np.int64)
        self._starts = random.uniform(0, 1, (count, 2))
        self._speeds = random.uniform(0.05, 0.2, (count, 2)) * random.choice([-1, 1], (count, 2))  # sizes per second
        self._levels = random.integers(120, 225, count)
        ramp = np.linspace(40, 100, width) + np.linspace(0, 30, height)[:, None]
        chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
        self._ground: Planes = (ramp.astype(np.uint8), chroma, chroma)

    def frame(self, t_s: float) -> tuple[Planes, tuple[Truth, ...]]:
        """The picture at that moment and its truth; a later bar lies over an earlier one."""
        y, u, v = (plane.copy() for plane in self._ground)
        boxes = self._boxes(t_s)
        for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
            y[top:bottom, left:right] = self._levels[number]
            blue, red = _CHROMA[number % len(_CHROMA)]
            u[top // 2 : bottom // 2, left // 2 : right // 2] = blue
            v[top // 2 : bottom // 2, left // 2 : right // 2] = red
        return (y, u, v), tuple(_truth(number, box) for number, box in enumerate(boxes.tolist()))

    def _boxes(self, t_s: float) -> npt.NDArray[np.int64]:
        room = np.maximum(np.array(self.size) - self._sides, 0)
        way = np.mod(self._starts + self._speeds * t_s, 2.0)
        corner = (np.where(way > 1, 2 - way, way) * room / 2).astype(np.int64) * 2
        return np.asarray(np.concatenate([corner, corner + np.minimum(self._sides, self.size)], axis=1), np.int64)


def _truth(number: int, box: list[int]) -> Truth:
    left, top, right, bottom = (float(edge) for edge in box)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Truth(number, "bar", (left, top, right, bottom), corners, visible_ratio=1.0)
