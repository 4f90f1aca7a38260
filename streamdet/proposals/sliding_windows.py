"""Sliding windows: every place, at every size. What detection began with, and what proposals must be better than."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamdet.boxes import Boxes, clip
from streamdet.proposals.contract import Proposals, Rgb


class SlidingWindowOptions(BaseModel):
    """Options of sliding windows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    smallest_px: Annotated[float, Field(gt=0, description="The side of the smallest window, were it square.")] = 32.0
    growth: Annotated[float, Field(gt=1, description="How much larger the next size of window is.")] = 2**0.5
    stride_ratio: Annotated[float, Field(gt=0, le=1, description="A step, as a share of the window's side.")] = 0.25
    aspects: Annotated[tuple[float, ...], Field(min_length=1, description="Width / height of the windows.")] = (
        0.5,
        1.0,
        2.0,
    )
    most: Annotated[int | None, Field(ge=1, description="Keep this many, drawn by chance; None: all.")] = None
    seed: Annotated[int, Field(ge=0, description="Of the order.")] = 0


class SlidingWindows:
    """A Proposer that does not look at the picture: its order is chance."""

    name = "sliding-windows"

    def __init__(self, options: SlidingWindowOptions | None = None) -> None:
        self.options = options or SlidingWindowOptions()

    def __call__(self, rgb: Rgb) -> Proposals:
        height, width = rgb.shape[:2]
        xyxy = pyramid_of_windows(width, height, self.options)
        order = np.random.default_rng(self.options.seed).permutation(len(xyxy))[: self.options.most]
        return Proposals(xyxy[order], np.linspace(1, 0, len(order), endpoint=False, dtype=np.float32))


def pyramid_of_windows(width: int, height: int, options: SlidingWindowOptions) -> Boxes:
    """All windows that fit into the picture, small ones first; where none fits, the picture itself."""
    found = []
    for aspect in options.aspects:
        side = options.smallest_px
        while True:
            across, down = side * aspect**0.5, side / aspect**0.5
            if across > width or down > height:
                break
            left, top = (
                _starts(length, window, options.stride_ratio) for length, window in ((width, across), (height, down))
            )
            x, y = (grid.ravel() for grid in np.meshgrid(left, top))
            found.append(np.stack([x, y, x + across, y + down], axis=1))
            side *= options.growth
    if not found:
        return np.array([[0, 0, width, height]], np.float32)
    # sums of sides round by a hair beyond the edge
    return clip(np.concatenate(found).astype(np.float32), width, height)


def _starts(length: float, window: float, stride_ratio: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Evenly spread from edge to edge, no further apart than the stride."""
    steps = int(np.ceil((length - window) / (window * stride_ratio) - 1e-9))
    return np.linspace(0, length - window, steps + 1)
