"""The colours of tracks and classes, and their way into luma and chroma."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from streamdet.picture import ColourMatrix, yuv_to_rgb

Rgb = tuple[int, int, int]
Yuv = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)
INK: Rgb = (16, 18, 22)
AMBER: Rgb = (255, 176, 0)
GREY: Rgb = (176, 182, 190)
GREEN: Rgb = (60, 200, 110)

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))  # neighbours in number are far apart in hue, however many there are


def _oklch(lightness: float, chroma: float, hue: float) -> Rgb:
    """A colour of Björn Ottosson's Oklab space, where equal steps look equal, as sRGB."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (_gamma(min(max(value, 0.0), 1.0)) for value in linear)
    return red, green, blue


def _gamma(value: float) -> int:
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


PALETTE: tuple[Rgb, ...] = tuple(
    _oklch((0.78, 0.68, 0.86)[number % 3], 0.17, 0.6 + number * _GOLDEN_ANGLE)
    for number in range(42)  # so many that the last is far from the first, too
)


def colour_of(number: int) -> Rgb:
    """The colour of a track id or a class id: the same number has the same colour in every frame and every run."""
    return PALETTE[number % len(PALETTE)]


def ink_on(background: Rgb) -> Rgb:
    """Black or white, whichever reads better on that background."""
    luma = 0.2126 * background[0] + 0.7152 * background[1] + 0.0722 * background[2]
    return INK if luma > 110 else WHITE


@lru_cache(maxsize=1024)
def to_yuv(rgb: Rgb, matrix: ColourMatrix, full_range: bool) -> Yuv:
    """An RGB colour as luma and chroma of that matrix and range."""
    forward = yuv_to_rgb(matrix, full_range).astype(np.float64)
    solved = np.linalg.solve(forward[:, :3], np.array(rgb, np.float64) - forward[:, 3])
    y, u, v = (int(value) for value in np.clip(np.round(solved), 0, 255))
    return y, u, v
