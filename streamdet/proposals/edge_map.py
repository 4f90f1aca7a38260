"""Where contours run: thin lines of strength 0..1 and the direction that they take.

A learnt edge detector knows contours from texture; this one does without learning and so compares each slope with those
around it: a line in a calm area counts fully, the same slope among a meadow's many counts little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.proposals.appearance import gaussian_slopes, in_colour_space
from streamdet.proposals.contract import Rgb

_CLEAR = 0.98  # the share of contour pixels that are fainter than what counts as fully clear


@dataclass(frozen=True)
class EdgeMap:
    """One picture's contours."""

    strength: npt.NDArray[np.float32]  # [H, W], 0 off the lines
    direction: npt.NDArray[np.float32]  # [H, W], radians along the line, 0..π, y down


def edge_map(rgb: Rgb, sigma_px: float = 1.5, surround_px: float = 8.0) -> EdgeMap:
    """Slopes of the lab picture, thinned to their ridges; `surround_px` is how far around they are compared."""
    import cv2

    from streamdet.proposals.edge_kernels import steepest, thinned

    slope_x, slope_y = steepest(*gaussian_slopes(in_colour_space(rgb, "lab"), sigma_px))
    magnitude = np.hypot(slope_x, slope_y)
    around = np.asarray(cv2.GaussianBlur(magnitude, (0, 0), surround_px), np.float32)
    relative = magnitude / (around + np.float32(magnitude.mean()) + np.float32(1e-6))
    lines = thinned(relative, slope_x, slope_y)
    seen = lines[lines > 0]
    if seen.size:
        lines = np.minimum(lines / np.float32(np.quantile(seen, _CLEAR)), 1).astype(np.float32)
    along = np.mod(np.arctan2(slope_y, slope_x) + np.pi / 2, np.pi)
    return EdgeMap(lines, along.astype(np.float32))
