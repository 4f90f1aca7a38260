"""Flat things laid into pictures: softly at the edges, in the light of the place, as sharp as a lens shows them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamdet.scenes.camera_chain import Pixels, blur
from streamdet.scenes.dice import Dice
from streamdet.scenes.mounts import Mounted
from streamdet.scenes.poses import Corners, Matrix, flat_corners, homography, of_samples, side_heights, through
from streamdet.scenes.truth import Bgr


def prefiltered(picture: Pixels, corners: Corners, seen: Corners) -> Pixels:
    """The picture softened as far as it is going to shrink from `corners` to `seen`, so that nothing is skipped."""
    width, height = corners[2] - corners[0]
    shrink_x = float(width) / max(float(np.hypot(*(seen[1] - seen[0])) + np.hypot(*(seen[2] - seen[3]))) / 2, 1)
    shrink_y = float(height) / max(side_heights(seen), 1)
    sigma = (0.42 * max(shrink_x - 0.7, 0.02), 0.42 * max(shrink_y - 0.7, 0.02))
    if max(sigma) < 0.2:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma[0], sigmaY=sigma[1]), np.uint8)


@dataclass(frozen=True, slots=True)
class _Place:
    """The part of a picture that something covers."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, picture: Bgr) -> Bgr:
        return picture[self.top : self.bottom, self.left : self.right]


def paste(picture: Bgr, thing: Mounted, target: Corners, dice: Dice, *, glyph_px: float, severity: float) -> bool:
    """Lay `thing` into the picture so that its corners fall on `target`; False where nothing of it lies inside."""
    onto = homography(thing.corners, target)
    place = _place(thing, onto, picture)
    if place is None:
        return False
    shift = np.array([[1, 0, -place.left], [0, 1, -place.top], [0, 0, 1]], np.float64)
    matrix = of_samples(shift @ onto)
    size = (place.right - place.left, place.bottom - place.top)
    art = cv2.warpPerspective(
        prefiltered(thing.bgr, thing.corners, target), matrix, size, None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    )
    share = cv2.warpPerspective(prefiltered(thing.alpha, thing.corners, target), matrix, size, None, cv2.INTER_LINEAR)
    part = place.of(picture)
    art = in_light_of(part, art, dice)
    art = blur(art, dice, glyph_px, severity * 0.8)
    cover = cv2.cvtColor(share, cv2.COLOR_GRAY2BGR)
    behind = cv2.multiply(part, cv2.bitwise_not(cover), scale=1 / 255)
    cv2.add(behind, cv2.multiply(art, cover, scale=1 / 255), dst=part)
    return True


def _place(thing: Mounted, onto: Matrix, picture: Bgr) -> _Place | None:
    height, width = thing.bgr.shape[:2]
    outline = through(flat_corners(width, height), onto)
    low, high = np.floor(outline.min(0)) - 1, np.ceil(outline.max(0)) + 1
    left, top = (max(int(edge), 0) for edge in low)
    right, bottom = min(int(high[0]), picture.shape[1]), min(int(high[1]), picture.shape[0])
    return _Place(left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None


def in_light_of(around: Bgr, art: Bgr, dice: Dice) -> Bgr:
    """The art as bright and as tinted as what is around it, more or less; plates shine a little more than that."""
    mean = np.maximum(np.array(cv2.mean(around)[:3]), 4)
    level = float(mean.mean())
    gain = (0.45 * level + 62) / 150 * dice.log_between(0.62, 1.35)
    tint = (mean / level) ** dice.between(0.2, 0.9)
    gains = np.clip(gain * tint, 0.08, 1.4)
    return np.asarray(cv2.multiply(art, (*gains.tolist(), 0.0)), np.uint8)
