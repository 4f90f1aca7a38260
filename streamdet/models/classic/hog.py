"""HOG: a picture as histograms of slope directions, cell by cell, in blocks that forget the lighting.

What a shape looks like stays the same when the light changes or the paint differs: its borders run in the same
directions. So only directions are kept, counted over cells of a few pixels, which forgives small shifts (Dalal and
Triggs, 2005).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Blocks = npt.NDArray[np.float32]  # [rows, columns, cells² · bins]


@dataclass(frozen=True)
class HogOptions:
    """How slopes are counted."""

    cell_px: int = 8
    block_cells: int = 2
    bins: int = 9

    @property
    def features(self) -> int:
        """Numbers per block."""
        return self.block_cells**2 * self.bins


def hog(picture: npt.NDArray[np.uint8], options: HogOptions | None = None) -> Blocks:
    """Blocks of a picture [H, W, C] or [H, W]; they overlap by all but one cell."""
    from streamdet.models.classic.hog_kernels import cell_histograms, normalised_blocks

    asked = options or HogOptions()
    planes = np.ascontiguousarray(picture.reshape(*picture.shape[:2], -1))
    votes = cell_histograms(planes, asked.cell_px, asked.bins)
    blocks: Blocks = normalised_blocks(votes, asked.block_cells)
    return blocks


def pyramid(
    picture: npt.NDArray[np.uint8], smallest: tuple[int, int], shrink: float, enlarge: float = 1.0
) -> Iterator[tuple[npt.NDArray[np.uint8], float, float]]:
    """The picture smaller and smaller while `smallest` (width, height) fits: (pixels, scale x, scale y).

    `enlarge` is the scale that it begins with: above 1, objects smaller than a window are found too.
    """
    import cv2

    height, width = picture.shape[:2]
    scale = enlarge
    while True:
        across, down = round(width * scale), round(height * scale)
        if across < smallest[0] or down < smallest[1]:
            return
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        level = picture if scale == 1 else np.asarray(cv2.resize(picture, (across, down), interpolation=how), np.uint8)
        yield level, across / width, down / height
        scale /= shrink
