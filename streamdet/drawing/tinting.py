"""Areas shown in a colour that lets the picture through."""

from __future__ import annotations

import numpy as np

from streamdet.drawing.canvas import Tile
from streamdet.drawing.colours import Yuv
from streamdet.masks import Mask


def tint(part: Mask, corner: tuple[int, int], colour: Yuv, opacity: float) -> tuple[Tile, int, int]:
    """A mask, 0 or 1, with its corner at (left, top) → a tile of that colour, and the even place where it belongs."""
    left, top = corner
    rows, columns = part.shape
    before = (top & 1, left & 1)
    padding = [(before[0], (rows + before[0]) & 1), (before[1], (columns + before[1]) & 1)]
    share = np.pad(part, padding).astype(np.float32) * opacity  # of the colour
    coarse = share.reshape(share.shape[0] // 2, 2, share.shape[1] // 2, 2).mean(axis=(1, 3))
    y, u, v = (
        np.rint(each * value).astype(np.uint8) for each, value in zip((share, coarse, coarse), colour, strict=True)
    )
    through, coarse_through = (np.rint(255 * (1 - each)).astype(np.uint8) for each in (share, coarse))
    return Tile((y, u, v), (through, coarse_through)), left - before[1], top - before[0]
