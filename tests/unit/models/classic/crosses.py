"""Pictures of noise to learn from, each with a bright cross of another size somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamdet.datasets.samples import Entry, Objects, Sample


@dataclass
class Crosses:
    """A data set that is drawn when it is read."""

    count: int
    name: str = "crosses"
    classes: tuple[str, ...] = ("cross",)

    def _draw(self, index: int) -> Sample:
        chance = np.random.default_rng(index)
        rgb = chance.integers(0, 80, (120, 160, 3)).astype(np.uint8)
        rgb[70:110, 5:40] = 160  # a square, to be told apart
        side = int(chance.integers(40, 70))
        x, y = int(chance.integers(45, 160 - side)), int(chance.integers(0, 120 - side))
        bar = slice(2 * side // 5, 3 * side // 5)
        part = rgb[y : y + side, x : x + side]
        part[bar] = part[:, bar] = 220
        box = np.array([[x, y, x + side, y + side]], np.float32)
        return Sample(str(index), rgb, Objects(box, np.zeros(1, np.int64), np.zeros(1, np.bool_)))

    @property
    def entries(self) -> list[Entry]:
        return [Entry(str(i), Path(str(i)), (160, 120), self._draw(i).objects) for i in range(self.count)]

    def read(self, index: int) -> Sample:
        return self._draw(index)
