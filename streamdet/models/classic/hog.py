"""HOG: a picture as histograms of slope directions, cell by cell, in blocks that forget the lighting.

What a shape looks like stays the same when the light changes or the paint differs: its borders run in the same
directions. So only directions are kept, counted over cells of a few pixels, which forgives small shifts (Dalal and
Triggs, 2005).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

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
    votes = cell_histograms(planes, asked.cell_px, asked.bins, _bin_of(asked.bins))
    blocks: Blocks = normalised_blocks(votes, asked.block_cells)
    return blocks


@cache
def _bin_of(bins: int) -> npt.NDArray[np.uint8]:
    """The direction's bin of every slope that pixels can have, [down, right], −255 first."""
    slope = np.arange(-255, 256, dtype=np.float64)
    degrees = np.degrees(np.arctan2(slope[:, None], slope[None])) % 180
    return np.minimum(degrees * bins / 180, bins - 1).astype(np.uint8)


def pyramid(
    picture: npt.NDArray[np.uint8], smallest: tuple[int, int], shrink: float, enlarge: float = 1.0
) -> Iterator[tuple[npt.NDArray[np.uint8], float, float]]:
    """The picture smaller and smaller while `smallest` (width, height) fits: (pixels, scale x, scale y).

    `enlarge` is the scale that it begins with: above 1, objects smaller than a window are found too.
    """
    import cv2

    height, width = picture.shape[:2]
    scale, source = enlarge, picture
    while True:
        across, down = round(width * scale), round(height * scale)
        if across < smallest[0] or down < smallest[1]:
            return
        if 2 * down <= source.shape[0]:  # from here on half of it is enough to begin with
            half = source.shape[1] // 2, source.shape[0] // 2
            source = np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
        yield _resized(source, across, down), across / width, down / height
        scale /= shrink


def _resized(picture: npt.NDArray[np.uint8], across: int, down: int) -> npt.NDArray[np.uint8]:
    import cv2

    if (down, across) == picture.shape[:2]:
        return picture
    how = cv2.INTER_AREA if down < picture.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (across, down), interpolation=how), np.uint8)
