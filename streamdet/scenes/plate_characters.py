"""Pictures of one plate, large, with the pixels of each of its characters known exactly.

`plate_characters(seed, index, options)` depends on its arguments alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes import camera_chain as chain
from streamdet.scenes.backgrounds import plain_ground
from streamdet.scenes.dice import Dice
from streamdet.scenes.mounts import Mounted, mount
from streamdet.scenes.not_plates import draw_not_plate
from streamdet.scenes.pasting import paste
from streamdet.scenes.plate_kinds import Kinds, random_plate
from streamdet.scenes.plates import PlateArt
from streamdet.scenes.poses import Corners, homography, of_samples, random_pose, side_heights
from streamdet.scenes.truth import Bgr

Owners = npt.NDArray[np.uint8]  # [h, w]

_SALT = 17
_FINE = 2  # masks are drawn so many times larger, and averaged
_COVERED = 0.5  # from here on a pixel is a character's


@dataclass(frozen=True)
class CharacterOptions:
    """Which pictures are drawn."""

    size: tuple[int, int] = (256, 128)  # width, height
    kinds: Kinds = field(default_factory=Kinds)
    severity: float = 0.6  # of poses, light, blur, noise and transmission
    reach: tuple[float, float] = (0.6, 0.98)  # of the picture's width, or height, that the plate takes
    negatives: float = 0.05  # share of pictures that show no plate


@dataclass(frozen=True, slots=True)
class Characters:
    """One picture and its exact truth."""

    bgr: Bgr
    owners: Owners  # 1 + the number of the character that a pixel belongs to, 0 of none
    text: str  # empty where it shows no plate


def plate_characters(seed: int, index: int, options: CharacterOptions | None = None) -> Characters:
    """Picture `index` of that seed."""
    options = options or CharacterOptions()
    dice = Dice.of(seed, index, _SALT)
    picture = np.ascontiguousarray(plain_ground(options.size, dice))
    owners = np.zeros(picture.shape[:2], np.uint8)
    text = ""
    glyph_px = 0.3 * options.size[1]
    if dice.chance(options.negatives):
        thing = draw_not_plate(dice, glyph_px)
        paste(picture, thing, _placed(thing, dice, options), dice, glyph_px=glyph_px, severity=options.severity)
    else:
        art, alphabet = random_plate(dice, glyph_px, options.kinds)
        thing = mount(art.bgr, alphabet, dice)
        target = _placed(thing, dice, options)
        glyph_px = side_heights(target) * art.glyph_height_px / art.bgr.shape[0]
        paste(picture, thing, target, dice, glyph_px=glyph_px, severity=options.severity)
        owners, text = _owners(art, thing, target, options.size), art.text
    return Characters(_seen(picture, dice, glyph_px, options.severity), owners, text)


def _placed(thing: Mounted, dice: Dice, options: CharacterOptions) -> Corners:
    """Where the corners fall: posed, as large as asked for, wholly inside."""
    width, height = thing.corners[2] - thing.corners[0]
    posed = random_pose(dice, options.severity).corners(float(width / height))
    posed = posed - posed.min(axis=0)
    extent, room = posed.max(axis=0), np.array(options.size, np.float64)
    posed *= dice.between(*options.reach) * float((room / extent).min())
    return np.asarray(posed + dice.random.random(2) * (room - posed.max(axis=0)), np.float32)


def _owners(art: PlateArt, thing: Mounted, target: Corners, size: tuple[int, int]) -> Owners:
    """Which character covers each pixel by half or more."""
    onto = homography(thing.corners, target) @ np.array([[1, 0, thing.left], [0, 1, thing.top], [0, 0, 1]], np.float64)
    fine = (size[0] * _FINE, size[1] * _FINE)
    large = of_samples(np.diag([_FINE, _FINE, 1.0]) @ onto)
    ink = cv2.resize(
        cv2.warpPerspective(art.ink, large, fine, None, cv2.INTER_LINEAR), size, interpolation=cv2.INTER_AREA
    )
    cell = cv2.warpPerspective(art.cell, of_samples(onto), size, None, cv2.INTER_NEAREST)
    return np.where(ink >= 255 * _COVERED, cell, 0).astype(np.uint8)


def _seen(picture: Bgr, dice: Dice, glyph_px: float, severity: float) -> Bgr:
    """Light, lens, sensor and transmission."""
    if dice.chance(0.3):
        picture = chain.light(picture, dice, glyph_px, severity)
    picture = chain.tone(picture, dice, severity * 0.65)
    if dice.chance(0.35 * severity):
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), dice.between(0.3, 1.0)), np.uint8)
    picture = chain.noise(picture, dice, severity, most=9.0)
    return np.asarray(chain.transmit(picture, dice, glyph_px, severity), np.uint8)
