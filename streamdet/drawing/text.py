"""Words on a filled background, made once and laid down many times."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from streamdet.drawing.canvas import Bytes, Tile
from streamdet.drawing.colours import Rgb, to_yuv
from streamdet.picture import ColourMatrix


@lru_cache(maxsize=512)
def words(
    text: str, size_px: int, ink: Rgb, background: Rgb, opacity: float, matrix: ColourMatrix, full_range: bool
) -> Tile:
    """A line of text of that letter height on a rounded background, as a tile for canvases of that colour space."""
    letters = _letters("".join(letter if letter.isprintable() else "?" for letter in text), size_px)
    height, width = letters.shape
    ground = _rounded(width, height, max(size_px // 4, 2)) * opacity
    # The letters are opaque whatever the background is.
    solid = np.maximum(ground, letters)
    share = np.divide(letters, solid, out=np.zeros_like(letters), where=solid > 0)
    half_solid, half_share = _halved(solid), _halved(share)
    front, back = to_yuv(ink, matrix, full_range), to_yuv(background, matrix, full_range)
    paint: list[Bytes] = []
    for number in range(3):
        opaque, part = (half_solid, half_share) if number else (solid, share)
        colour = back[number] + (front[number] - back[number]) * part
        paint.append(np.rint(colour * opaque).astype(np.uint8))
    through = tuple(np.rint(255 * (1 - plane)).astype(np.uint8) for plane in (solid, half_solid))
    return Tile((paint[0], paint[1], paint[2]), (through[0], through[1]))


@lru_cache(maxsize=64)
def _metrics(size_px: int) -> tuple[float, int, int]:
    """Font scale, height of capitals and depth of descenders, for capitals of about that height."""
    import cv2

    scale = float(cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_DUPLEX, size_px, 1))
    (_, capital), depth = cv2.getTextSize("HQgj|", cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    return scale, int(capital), int(depth)


def _letters(text: str, size_px: int) -> npt.NDArray[np.float32]:
    """The coverage of the text, 0..1, on a field of even size with some room around."""
    import cv2

    scale, capital, depth = _metrics(size_px)
    (advance, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    side, above = max(round(size_px * 0.45), 3), max(round(size_px * 0.4), 2)
    width, height = int(advance) + 2 * side, capital + 2 * max(above, depth)
    field = np.zeros((height + height % 2, width + width % 2), np.uint8)
    baseline = (field.shape[0] + capital) // 2
    cv2.putText(field, text, (side, baseline), cv2.FONT_HERSHEY_DUPLEX, scale, 255, 1, cv2.LINE_AA)
    return np.asarray(field / 255, np.float32)


def _rounded(width: int, height: int, radius: int) -> npt.NDArray[np.float32]:
    """The coverage of a rectangle with round corners, 0..1."""
    radius = min(radius, width // 2, height // 2)
    x = np.maximum(np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius), 0)
    y = np.maximum(np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius), 0)
    distance = np.hypot(y[:, None], x[None, :])
    return np.asarray(np.clip(radius - distance + 0.5, 0, 1), np.float32)


def _halved(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = plane.shape
    return np.asarray(plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)), np.float32)
