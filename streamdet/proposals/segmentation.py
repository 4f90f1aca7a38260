"""Over-segmentation: a picture cut into patches that belong together, by the graph of its pixels.

Every pixel is a node, tied to its four neighbours by edges that weigh as much as their colours differ. Walking over
the edges from light to heavy, two patches join where the edge between them is not heavier than the heaviest edge that
either of them needed inside: a smooth slope stays one patch and a rough meadow too, while a sharp border between two
calm areas holds (Felzenszwalb and Huttenlocher, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Segments:
    """Which patch each pixel belongs to; they are numbered by their first pixel, row by row."""

    label: npt.NDArray[np.int32]  # [H, W], 0..count−1
    count: int


class PixelGraph:
    """The edges of one picture in rising order: sorted once, walked for as many scales as wanted."""

    def __init__(self, picture: npt.NDArray[np.uint8], sigma_px: float = 0.8) -> None:
        """Of a picture [H, W, C] or [H, W] in any colour space; `sigma_px` of blur takes away single noisy pixels."""
        import cv2

        from streamdet.proposals.segmentation_kernels import rising_order, weigh_edges

        pixels = np.asarray(picture, np.float32)
        if sigma_px > 0:
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.float32)
        self._shape = pixels.shape[:2]
        weight, source, target = weigh_edges(np.ascontiguousarray(pixels.reshape(*self._shape, -1)))
        order = rising_order(weight.view(np.uint32))
        self._weight, self._source, self._target = weight[order], source[order], target[order]

    def segments(self, scale: float, smallest_px: int = 100) -> Segments:
        """Patches of at least `smallest_px` pixels; a larger `scale` gives fewer and larger ones."""
        from streamdet.proposals.segmentation_kernels import join_pixels

        height, width = self._shape
        label = np.empty(height * width, np.int32)
        count = join_pixels(self._weight, self._source, self._target, label.size, scale, smallest_px, label)
        return Segments(label.reshape(height, width), int(count))
