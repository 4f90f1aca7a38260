"""A pinhole camera above a street.

World: metres; X to the right, Y up from the road, Z ahead along it. The camera stands at (x_m, height_m, 0), turned by
`yaw_rad` to the right; it is tilted by shifting the picture (verticals stay vertical), which the horizon tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

NEAREST_M = 0.8  # what lies nearer than this plane is cut away


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it maps the world to pixels."""

    size: tuple[int, int]  # width, height
    focal_px: float
    horizon_px: float  # height of the horizon in the picture, from the top
    height_m: float
    x_m: float = 0.0
    yaw_rad: float = 0.0

    def view(self, points: Floats) -> Floats:
        """[N, 3] world → [N, 3] seen from the camera: right, up, depth."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x, y, z = points[:, 0] - self.x_m, points[:, 1] - self.height_m, points[:, 2]
        return np.stack([x * cos - z * sin, y, x * sin + z * cos], axis=1).astype(np.float32)

    def picture(self, viewed: Floats) -> Floats:
        """[N, 3] of `view`, all deeper than NEAREST_M → [N, 2] pixels (edges)."""
        scale = self.focal_px / viewed[:, 2]
        x = self.size[0] / 2 + viewed[:, 0] * scale
        y = self.horizon_px - viewed[:, 1] * scale
        return np.stack([x, y], axis=1).astype(np.float32)

    def project(self, points: Floats) -> Floats:
        """[N, 3] world → [N, 2] pixels (edges)."""
        return self.picture(self.view(points))

    def ground(self, x_px: Floats, y_px: Floats) -> tuple[Floats, Floats]:
        """Pixels below the horizon → X and Z on the road."""
        depth = self.height_m * self.focal_px / np.maximum(y_px - self.horizon_px, 1e-3)
        right = (x_px - self.size[0] / 2) / self.focal_px * depth
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return (right * cos + depth * sin + self.x_m).astype(np.float32), (depth * cos - right * sin).astype(np.float32)


def clip_near(viewed: Floats, nearest: float = NEAREST_M) -> Floats:
    """The part of a polygon [K, 3] that lies beyond the nearest plane; may be empty."""
    depth = viewed[:, 2]
    if depth.min() >= nearest:
        return viewed
    kept: list[Floats] = []
    for here, there in zip(viewed, np.roll(viewed, -1, axis=0), strict=True):
        if here[2] >= nearest:
            kept.append(here)
        if (here[2] >= nearest) != (there[2] >= nearest):
            kept.append(here + (there - here) * ((nearest - here[2]) / (there[2] - here[2])))
    return np.array(kept, np.float32).reshape(-1, 3)
