"""What a reader sees: one plate cut out by its corners and straightened, and where each character stands in it.

`plate_crop(seed, index, options)` depends on its arguments alone: any crop can be drawn by itself, in any process.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.alphabets import CHARACTERS
from streamdet.scenes.camera_chain import Pixels, expose
from streamdet.scenes.dice import Dice
from streamdet.scenes.mounts import Mounted, mount
from streamdet.scenes.not_plates import draw_not_plate
from streamdet.scenes.pasting import prefiltered
from streamdet.scenes.plate_kinds import Kinds, random_plate
from streamdet.scenes.plates import PlateArt
from streamdet.scenes.poses import (
    Corners,
    Matrix,
    Pose,
    flat_corners,
    homography,
    of_samples,
    random_pose,
    side_heights,
    through,
)
from streamdet.scenes.truth import Bgr

Map = npt.NDArray[np.uint8]  # [h / 2, w / 2]

CLASSES = ("background", *CHARACTERS)  # of the label map
_SALT = 11
_INKED = 90  # coverage from which a pixel of the label map belongs to a character


@dataclass(frozen=True)
class CropOptions:
    """Which crops are drawn."""

    size: tuple[int, int] = (192, 64)  # width, height; the same for one line and two
    colour: Literal["gray", "rgb"] = "gray"
    kinds: Kinds = field(default_factory=Kinds)  # which plates, in which styles
    glyph_px: tuple[float, float] = (8.0, 60.0)  # height of the characters on the sensor
    severity: float = 1.0  # of light, blur, noise and transmission
    negatives: float = 0.06  # share of crops that show no plate
    upright_share: float = 0.18  # cut by an upright box in place of the corners
    corner_error: float = 1.0  # of the detector: 1 is about 3 % of the plate's height and width


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop and its exact truth."""

    pixels: npt.NDArray[np.uint8]  # [h, w] gray or [h, w, 3] RGB
    labels: Map  # class of each character's ink: an index of CLASSES
    core: Map  # 1 in the middle of each character, never touching the next one's
    lines: Map  # 1 in the upper line, 2 in the next; 0 beside the characters
    characters_xyxy: npt.NDArray[np.float32]  # [len(text), 4], pixels of the crop
    line_of: tuple[int, ...]  # [len(text)]
    text: str  # empty where it shows no plate
    glyph_px: float  # height of the characters on the sensor
    format_key: str
    style: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What is photographed."""

    art: PlateArt | None  # None: no plate
    mounted: Mounted


@dataclass(frozen=True, slots=True)
class View:
    """How a plate meets the sensor and is cut out of it."""

    pose: Pose
    glyph_px: float
    severity: float
    blur: float = 1.0  # times what the severity has of it
    upright: bool = False  # cut by an upright box: what is left of the tilt, the reader sees


def plate_crop(seed: int, index: int, options: CropOptions | None = None) -> Crop:
    """Crop `index` of that seed."""
    options = options or CropOptions()
    dice = Dice.of(seed, index, _SALT)
    pose, upright = random_pose(dice, options.severity), dice.chance(options.upright_share)
    if upright:
        pose = replace(pose, roll=max(-20.0, min(pose.roll + dice.normal(6), 20.0)))
    view = View(pose, dice.log_between(*options.glyph_px), options.severity, upright=upright)
    return cut(random_subject(dice, view.glyph_px, options), view, dice, options)


def random_subject(dice: Dice, glyph_px: float, options: CropOptions) -> Subject:
    """A plate on its mount, or in the share of negatives something that a detector may take for one."""
    if dice.chance(options.negatives):
        return Subject(None, draw_not_plate(dice, min(max(2.0 * glyph_px, 24.0), 100.0)))
    art, alphabet = random_plate(dice, glyph_px, options.kinds)
    return Subject(art, mount(art.bgr, alphabet, dice))


def cut(subject: Subject, view: View, dice: Dice, options: CropOptions, steady: Dice | None = None) -> Crop:
    """Put it before the camera, let the camera do its worst, and cut it out again; `steady` see camera_chain.expose."""
    art, mounted = subject.art, subject.mounted
    share = 0.6 if art is None else art.glyph_height_px / art.bgr.shape[0]
    pixels, matrix = _photographed(mounted, view, share, dice, options, steady)
    if art is None:
        blank = np.zeros((options.size[1] // 2, options.size[0] // 2), np.uint8)
        nobody = np.zeros((0, 4), np.float32)
        return Crop(pixels, blank, blank.copy(), blank.copy(), nobody, (), "", view.glyph_px, "", "")
    labels, core, lines, boxes = _maps(art, mounted, matrix, options.size)
    return Crop(pixels, labels, core, lines, boxes, art.line_of, art.text, view.glyph_px, art.format_key, art.style)


def _photographed(
    mounted: Mounted, view: View, glyph_share: float, dice: Dice, options: CropOptions, steady: Dice | None
) -> tuple[npt.NDArray[np.uint8], Matrix]:
    """The crop, and the homography from the mounted picture to it (edges)."""
    seen = _placed(mounted.corners, view, glyph_share)
    cutting = seen_by_detector(seen, dice, options.corner_error, upright=view.upright)
    every = np.concatenate([seen, cutting])
    low, high = np.floor(every.min(0)) - 2, np.ceil(every.max(0)) + 2
    seen, cutting = seen - low, cutting - low
    width, height = (int(side) for side in np.clip(high - low, 8, 1100))
    onto = homography(mounted.corners, seen.astype(np.float32))
    picture = mounted.bgr if options.colour == "rgb" else _gray(mounted.bgr, steady or dice)
    source = prefiltered(picture, mounted.corners, seen)
    sensed = cv2.warpPerspective(
        source, of_samples(onto), (width, height), None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    )
    sensed = expose(sensed, dice, view.glyph_px, view.severity, steady, view.blur)
    back = homography(cutting.astype(np.float32), flat_corners(*options.size))
    return straightened(sensed, back, cutting, options), np.asarray(back @ onto, np.float64)


def _placed(corners: Corners, view: View, glyph_share: float) -> Corners:
    """Where the corners fall on the sensor: in the pose, with characters as high as asked for."""
    width, height = corners[2] - corners[0]
    posed = view.pose.corners(float(width / height))
    return np.asarray(posed * (view.glyph_px / glyph_share / side_heights(posed)), np.float32)


def seen_by_detector(corners: Corners, dice: Dice, corner_error: float, *, upright: bool) -> Corners:
    """The corners as a detector would give them, or its upright box, widened by 6 to 8 % as readers do."""
    cutting = corners.astype(np.float64)
    if upright:
        cutting = flat_corners(*np.ptp(cutting, axis=0), *cutting.min(0)).astype(np.float64)
    across = (cutting[1] + cutting[2] - cutting[0] - cutting[3]) / 2
    down = (cutting[2] + cutting[3] - cutting[0] - cutting[1]) / 2
    error = 0.03 * corner_error
    deviation = dice.random.standard_normal((4, 2)) * error * (2.0 if dice.chance(0.12) else 1.0)
    shift = dice.random.standard_normal(2) * error * 0.6
    move = np.clip(deviation + shift, -0.14, 0.14)
    sides = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * dice.between(0.0 if upright else 0.05, 0.1)
    # the error goes by the height in both directions: a detector errs by pixels
    flat = float(np.hypot(*down) / max(np.hypot(*across), 1e-6))
    move[:, 0] *= min(2 * flat, 1.0)
    outward = np.maximum((move + sides) * np.sign(sides), -0.03) * np.sign(sides)  # never into the characters
    return np.asarray(cutting + outward[:, :1] * across + outward[:, 1:] * down, np.float32)


def _gray(bgr: Bgr, dice: Dice) -> Pixels:
    """As a camera with its own idea of white would give it."""
    weights = np.array([0.114, 0.587, 0.299]) * np.exp(dice.random.standard_normal(3) * 0.25)
    return np.asarray(cv2.transform(bgr, (weights / weights.sum())[None]), np.uint8)


def straightened(picture: Pixels, back: Matrix, cutting: Corners, options: CropOptions) -> npt.NDArray[np.uint8]:
    """The four corners pulled to those of the crop; averaged where it shrinks."""
    width, height = options.size
    across = max(float(np.hypot(*(cutting[1] - cutting[0]))), float(np.hypot(*(cutting[2] - cutting[3])))) / width
    fine = 2 if max(across, side_heights(cutting) / height) > 1.5 else 1
    matrix = of_samples(np.diag([fine, fine, 1.0]) @ back)
    size = (width * fine, height * fine)
    crop = cv2.warpPerspective(picture, matrix, size, None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    if fine > 1:
        crop = cv2.resize(crop, options.size, interpolation=cv2.INTER_AREA)
    return np.asarray(crop if options.colour == "gray" else cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), np.uint8)


def _maps(
    art: PlateArt, mounted: Mounted, matrix: Matrix, size: tuple[int, int]
) -> tuple[Map, Map, Map, npt.NDArray[np.float32]]:
    """Label, core and line maps and the characters' boxes; `matrix` goes from the mounted picture to the crop."""
    moved = matrix @ np.array([[1, 0, mounted.left], [0, 1, mounted.top], [0, 0, 1]], np.float64)
    half = np.diag([0.5, 0.5, 1.0]) @ moved
    small = (size[0] // 2, size[1] // 2)
    ink = cv2.warpPerspective(art.ink, of_samples(moved), size, None, cv2.INTER_LINEAR)
    ink = cv2.resize(ink, small, interpolation=cv2.INTER_AREA)
    cell = cv2.warpPerspective(art.cell, of_samples(half), small, None, cv2.INTER_NEAREST)
    classes = np.array([0, *(CHARACTERS.index(character) + 1 for character in art.text)], np.uint8)
    rows = np.array([0, *(line + 1 for line in art.line_of)], np.uint8)
    labels = np.where(ink >= _INKED, classes[cell], 0).astype(np.uint8)
    core = np.zeros((small[1], small[0]), np.uint8)
    quads = through(_quads(art.characters_xyxy, 1.0, 1.0), moved).reshape(-1, 4, 2)
    inner = through(_quads(art.characters_xyxy, 0.5, 0.56), half).reshape(-1, 4, 2)
    for quad in inner:
        cv2.fillConvexPoly(core, np.rint((quad - 0.5) * 8).astype(np.int32), 1, cv2.LINE_8, 3)
    boxes = np.concatenate([quads.min(1), quads.max(1)], axis=1)
    return labels, core, rows[cell], boxes.astype(np.float32)


def _quads(boxes: npt.NDArray[np.float32], wide: float, high: float) -> npt.NDArray[np.float32]:
    """The corners [N * 4, 2] of boxes shrunk around their middles; a narrow one stays a tenth as wide as high."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = sides * np.array([wide, high], np.float32)
    if wide < 1:
        reach[:, 0] = np.maximum(reach[:, 0], sides[:, 1] * 0.1)
    turns = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    return np.asarray((middle[:, None] + reach[:, None] * turns).reshape(-1, 2), np.float32)
