"""What every way of proposing boxes gives: places where an object may be, the likeliest first, of no class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from streamdet.boxes import Boxes
from streamdet.datasets.pictures import Rgb as Rgb


@dataclass(frozen=True, slots=True)
class Proposals:
    """Boxes that a classifier should look at."""

    xyxy: Boxes  # f32 [N, 4], pixels of the picture, inside of it
    score: npt.NDArray[np.float32]  # [N], falling; comparable within one picture only

    def __len__(self) -> int:
        return len(self.score)

    def best(self, count: int) -> Proposals:
        """The first `count`."""
        return Proposals(self.xyxy[:count], self.score[:count])


class Proposer(Protocol):
    """Boxes for a picture, the same ones every time: what is random is drawn from a seed among the options.

    It holds no state between pictures and may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """`selective-search`."""

    @property
    def options(self) -> BaseModel:
        """Everything that its answer depends on, apart from the picture."""

    def __call__(self, rgb: Rgb) -> Proposals: ...
