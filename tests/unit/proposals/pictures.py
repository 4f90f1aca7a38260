"""What these tests look at; the outside libraries were shown the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def hills() -> npt.NDArray[np.float32]:
    """Three channels of soft waves of every length: no two slopes are alike, so no order depends on ties."""
    chance = np.random.default_rng(4)
    y, x = np.mgrid[0:60, 0:80].astype(np.float64)
    picture = np.zeros((60, 80, 3))
    for channel in range(3):
        for _ in range(12):
            across, down, phase = chance.uniform(-0.5, 0.5), chance.uniform(-0.5, 0.5), chance.uniform(0, 6)
            picture[..., channel] += np.sin(across * x + down * y + phase) * chance.uniform(0.2, 1)
    picture -= picture.min()
    return (picture / picture.max() * 255).astype(np.float32)


def shapes(height: int = 96, width: int = 128) -> npt.NDArray[np.uint8]:
    """Squares and a disc of plain colours on a noisy slope."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 12, (height, width, 3))
    picture = 60 + (40 * x / width)[..., None] + noise
    picture[20:50, 15:55] = (220, 40, 40)
    picture[40:80, 70:110] = (40, 60, 210)
    picture[(y - 70) ** 2 + (x - 35) ** 2 < 15**2] = (230, 220, 60)
    return picture.astype(np.uint8)


SHAPES_XYXY = np.array([[15, 20, 55, 50], [70, 40, 110, 80], [21, 56, 50, 85]], np.float32)


def two_clouds() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Points that no plane parts entirely, and which of them are wanted."""
    chance = np.random.default_rng(11)
    positive = np.arange(200) % 3 == 0
    points = chance.normal(0, 1, (200, 12)) + 0.6 * positive[:, None]
    return points.astype(np.float32), positive
