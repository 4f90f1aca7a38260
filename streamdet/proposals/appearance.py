"""What a patch looks like, as histograms: 25 shades per channel, and the strengths of edges in eight directions.

Histograms are what makes grouping fast: that of two joined patches is the mean of theirs, weighted by size, so that
the pixels are read only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamdet.proposals.segmentation import Segments

ColourSpace = Literal["rgb", "hsv", "lab", "grey", "hue", "normalised"]
Planes = npt.NDArray[np.uint8]  # [H, W, C]

SHADES, STRENGTHS, DIRECTIONS = 25, 10, 8


def in_colour_space(rgb: npt.NDArray[np.uint8], space: ColourSpace) -> Planes:
    """The picture as others see it: each space is blind to something else (shadows, highlights, tint)."""
    import cv2

    if space == "rgb":
        return rgb
    if space == "normalised":  # shares of red and green, and the brightness
        total = rgb.sum(axis=2, dtype=np.uint16)[..., None]
        shares = rgb[..., :2].astype(np.uint32) * 255 // np.maximum(total, 1)
        return np.concatenate([shares, total // 3], axis=2).astype(np.uint8)
    if space == "grey":
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    planes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB if space == "lab" else cv2.COLOR_RGB2HSV), np.uint8)
    return np.ascontiguousarray(planes[..., :1]) if space == "hue" else planes


@dataclass(frozen=True)
class Appearance:
    """Histograms of one picture's patches; every row adds up to 1."""

    colour: npt.NDArray[np.float32]  # [N, C · 25]
    texture: npt.NDArray[np.float32]  # [N, C · 80]
    size: npt.NDArray[np.int32]  # [N], pixels
    xyxy: npt.NDArray[np.int32]  # [N, 4]


class Codes:
    """For each pixel the histogram cells that it falls into: worked out once per colour space, used at every scale."""

    def __init__(self, planes: Planes) -> None:
        from streamdet.proposals.appearance_kernels import texture_codes

        slope_x, slope_y = gaussian_slopes(planes)
        self._planes = np.ascontiguousarray(planes)
        self._texture = texture_codes(slope_x, slope_y)

    def of(self, segments: Segments) -> Appearance:
        """What the patches look like."""
        from streamdet.proposals.appearance_kernels import count_colours, count_textures, measure

        channels = self._planes.shape[2]
        size, xyxy = np.zeros(segments.count, np.int32), np.zeros((segments.count, 4), np.int32)
        colour = np.zeros((segments.count, channels * SHADES), np.float32)
        texture = np.zeros((segments.count, channels * DIRECTIONS * STRENGTHS), np.float32)
        measure(segments.label, size, xyxy)
        count_colours(self._planes, segments.label, size, colour)
        count_textures(self._texture, segments.label, size, texture)
        return Appearance(colour, texture, size, xyxy)


def gaussian_slopes(planes: Planes, sigma_px: float = 1.0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Derivatives of the blurred picture to the right and down, f32 [H, W, C] each.

    That in any other direction is their mixture by cosine and sine: Gaussian derivatives can be steered.
    """
    import cv2

    reach = int(np.ceil(3 * sigma_px))
    at = np.arange(-reach, reach + 1, dtype=np.float32)
    bell = np.exp(-(at**2) / (2 * sigma_px**2))
    bell /= bell.sum()
    slope = at * bell / sigma_px**2
    slopes = [
        np.asarray(cv2.sepFilter2D(planes, cv2.CV_32F, *kernels), np.float32).reshape(planes.shape)
        for kernels in ((slope, bell), (bell, slope))
    ]
    return slopes[0], slopes[1]
