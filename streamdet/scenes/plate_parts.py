"""What a plate has beside its characters: ground, bands, seals, small print, screws, rims and wear."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.plate_formats import PlateFormat, Rgb
from streamdet.scenes.alphabets import CHARACTERS, Alphabet, Mask
from streamdet.scenes.dice import Dice
from streamdet.scenes.lettering import Sheet, lay, small_print
from streamdet.scenes.truth import Bgr

if TYPE_CHECKING:
    from streamdet.scenes.plates import Look

Colour = tuple[float, float, float]  # BGR
Area = tuple[float, float, float, float]  # left, top, right, bottom

# grounds and inks that no format names, for the plates of the rest of the world
_SCHEMES: tuple[tuple[Rgb, Rgb], ...] = (
    ((240, 240, 236), (20, 20, 22)),
    ((240, 240, 236), (20, 20, 22)),
    ((246, 200, 20), (20, 20, 22)),
    ((238, 196, 60), (120, 20, 24)),
    ((22, 22, 24), (226, 226, 222)),
    ((20, 60, 160), (240, 240, 236)),
    ((170, 24, 30), (240, 240, 236)),
    ((20, 96, 56), (240, 240, 236)),
    ((236, 238, 236), (18, 90, 50)),
    ((236, 238, 236), (166, 24, 30)),
    ((236, 238, 236), (26, 48, 120)),
    ((170, 206, 236), (20, 30, 60)),
    ((196, 198, 198), (40, 40, 44)),
    ((206, 120, 30), (20, 20, 22)),
)


def ground(plate: PlateFormat, size: tuple[int, int], dice: Dice, look: Look) -> Bgr:
    """The bare plate: one colour, two running into each other, or a faded landscape."""
    width, height = size
    colour = np.array((plate.rear_ground if look.rear and plate.rear_ground is not None else plate.ground)[::-1])
    colour = colour + dice.random.standard_normal(3) * (7 * look.variety) - dice.between(0, 24) * look.variety
    rows = np.broadcast_to(colour, (height, 3))
    if plate.ground_top is not None:
        rows = rows + (np.array(plate.ground_top[::-1]) - colour) * np.linspace(1, 0, height)[:, None]
    face = poured(rows, width)
    if plate.headings and dice.chance(0.6 * look.variety):
        hills = dice.random.standard_normal((3, 5, 3), np.float32) * dice.between(2, 12)
        hills += dice.random.standard_normal((3, 5, 1), np.float32) * dice.between(2, 16)
        cv2.add(face, cv2.resize(hills, size, interpolation=cv2.INTER_LINEAR), dst=face, dtype=cv2.CV_8U)
    return face


def poured(rows: npt.NDArray[np.float64], width: int) -> Bgr:
    """A sheet [h, width, 3] whose rows have those colours [h, 3]."""
    column = np.clip(rows, 0, 255).astype(np.uint8)[:, None]
    return np.asarray(cv2.resize(column, (width, len(rows)), interpolation=cv2.INTER_NEAREST), np.uint8)


def recoloured(plate: PlateFormat, dice: Dice) -> PlateFormat:
    """The format on another ground and in another ink than its own, as other lands have them."""
    ground_colour, ink = dice.pick(_SCHEMES)
    return replace(plate, ground=ground_colour, ground_top=None, rear_ground=None, ink=ink)


def ink_colour(plate: PlateFormat, dice: Dice, look: Look) -> Colour:
    """The format's, faded a little."""
    faded = dice.random.random() ** 2 * 0.35 * look.variety
    towards = (128, 128, 128) if dice.chance(0.5) else plate.ground
    red, green, blue = (
        a + dice.normal(6) * look.variety + (b - a) * faded for a, b in zip(plate.ink, towards, strict=True)
    )
    return blue, green, red


def band(face: Bgr, plate: PlateFormat, alphabet: Alphabet, dice: Dice) -> Area:
    """Paint the coloured strips; answers what is left for the text."""
    height, width = face.shape[:2]
    colour = plate.band_colour[::-1]
    unit = width / plate.size_mm[0]
    if plate.band == "none":
        return 0.0, 0.0, float(width), float(height)
    if plate.band == "top":
        strip = round(28 * unit)
        face[:strip] = colour
        title = small_print(alphabet, "".join(dice.pick(CHARACTERS[10:]) for _ in range(6)), max(round(strip * 0.5), 3))
        lay(face, title, ((width - title.shape[1]) // 2, round(strip * 0.25)), (240, 240, 240))
        return 0.0, float(strip), float(width), float(height)
    strip = round(min(42 * unit, width * 0.12))
    face[:, :strip] = colour
    _stars(face, (strip / 2, height * 0.3), strip * 0.3)
    code = small_print(alphabet, plate.country[:2], max(round(min(height * 0.2, strip * 0.55)), 3))
    lay(face, code, (max((strip - code.shape[1]) // 2, 0), round(height * 0.66)), (242, 242, 242))
    if plate.band == "both":
        face[:, width - strip :] = colour
        return float(strip), 0.0, float(width - strip), float(height)
    return float(strip), 0.0, float(width), float(height)


def _stars(face: Bgr, centre: tuple[float, float], radius: float) -> None:
    size = max(radius * 0.16, 0.6)
    for angle in np.deg2rad(np.arange(0, 360, 30)):
        spot = (round((centre[0] + radius * np.cos(angle)) * 8), round((centre[1] + radius * np.sin(angle)) * 8))
        cv2.circle(face, spot, round(size * 8), (60, 210, 250), -1, cv2.LINE_8, 3)


def headings(face: Bgr, plate: PlateFormat, alphabet: Alphabet, area: Area, dice: Dice) -> Area:
    """Small print above and below, and stickers in the corners; answers what is left for the text."""
    height, width = face.shape[:2]
    left, top, right, bottom = area
    ink = plate.ink[::-1] if dice.chance(0.5) else dice.random.uniform(0, 160, 3).tolist()
    for y, share in ((0.035, 0.85), (0.86, 0.6)):
        if not dice.chance(share):
            continue
        words = "".join(dice.pick(CHARACTERS[10:] + "    ") for _ in range(dice.whole(4, 16))).strip() or "AB"
        title = small_print(alphabet, words, max(round(height * dice.between(0.07, 0.11)), 3))
        title = title[:, : round(width * 0.8)]
        lay(face, title, ((width - title.shape[1]) // 2, round(height * y)), ink)
    for x, y in ((0.05, 0.04), (0.83, 0.04), (0.05, 0.8), (0.83, 0.8)):
        if dice.chance(0.3):
            corner = (round(width * x), round(height * y))
            other = (round(width * (x + 0.11)), round(height * (y + 0.14)))
            cv2.rectangle(face, corner, other, dice.random.uniform(0, 250, 3).tolist(), -1)
    return left, max(top, height * 0.13), right, min(bottom, height * 0.87)


def bend(sheet: Sheet, dice: Dice) -> None:
    """The lines rise or sag a little: a sheet that follows the bumper, or was pressed askew."""
    height, width = sheet.ink.shape
    phase, turns = dice.between(0, np.pi), dice.between(0.3, 1.2) * np.pi
    drop = height * dice.between(0.008, 0.03) * np.sin(np.linspace(phase, phase + turns, width))
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    rows = down - drop.astype(np.float32)[None]
    sheet.ink, sheet.other = (
        np.asarray(cv2.remap(mask, across, rows, cv2.INTER_LINEAR), np.uint8) for mask in (sheet.ink, sheet.other)
    )
    for number, (left, top, right, bottom) in enumerate(sheet.boxes):
        under = drop[max(round(left), 0) : max(round(right), 1)]
        sheet.boxes[number] = (left, top + float(under.min()), right, bottom + float(under.max()))


def seals(face: Bgr, sheet: Sheet, dice: Dice) -> None:
    """Round stickers in the first wide gap of the first line."""
    boxes = sheet.boxes
    for one, other in itertools.pairwise(boxes):
        room = other[0] - one[2]
        if room < 0.4 * (one[3] - one[1]) or other[1] > one[3] or other[0] < one[2]:
            continue
        top, bottom = one[1], one[3]
        radius = min((bottom - top) * 0.21, room * 0.46)
        x = (one[2] + other[0]) / 2
        for y, colour in ((top + radius, dice.random.uniform(40, 200, 3)), (bottom - radius, (190.0, 190.0, 195.0))):
            spot = (round(x * 8), round(y * 8))
            cv2.circle(face, spot, round(radius * 8), tuple(float(c) for c in colour), -1, cv2.LINE_8, 3)
            cv2.circle(face, spot, round(radius * 8), (90, 90, 90), 1, cv2.LINE_8, 3)
        return


def emboss(face: Bgr, ink: Mask, strength: float) -> None:
    """Light from above on characters that are pressed out of the sheet."""
    step = max(face.shape[0] // 60, 1)
    part = face[step:]
    for above, below, share in ((ink[:-step], ink[step:], -strength), (ink[step:], ink[:-step], strength)):
        edge = cv2.cvtColor(cv2.subtract(below, above), cv2.COLOR_GRAY2BGR)
        cv2.addWeighted(part, 1, edge, share / 255, 0, dst=part)


def border(face: Bgr, plate: PlateFormat, ink: Colour, dice: Dice, look: Look) -> None:
    """The line along the edge, where there is one."""
    height, width = face.shape[:2]
    if dice.chance(0.25 * look.variety):
        return
    colour = ink if dice.chance(0.7) else (dice.between(90, 220),) * 3
    thick = max(round(height * dice.between(0.012, 0.03)), 1)
    inset = round(height * dice.between(0.01, 0.045 if look.variety > 0.5 else 0.02)) + thick // 2
    cv2.rectangle(face, (inset, inset), (width - 1 - inset, height - 1 - inset), colour, thick)


def screws(face: Bgr, dice: Dice, look: Look) -> None:
    """Heads of screws and their shadows, caps in any colour."""
    height, width = face.shape[:2]
    if not dice.chance(0.25 + 0.3 * look.variety):
        return
    radius = height * dice.between(0.025, 0.06)
    level = dice.between(0.06, 0.94) if dice.chance(0.4) else (0.5, 0.09, 0.91)[dice.whole(0, 2)]
    offset = dice.between(0.03, 0.3)
    colour = (dice.between(60, 220),) * 3 if dice.chance(0.7) else tuple(dice.random.uniform(0, 255, 3).tolist())
    for x in (offset, 1 - offset):
        spot = (round(width * x * 8), round(height * level * 8))
        cv2.circle(face, (spot[0], spot[1] + round(radius * 3)), round(radius * 8), (70, 70, 70), -1, cv2.LINE_8, 3)
        cv2.circle(face, spot, round(radius * 8), colour, -1, cv2.LINE_8, 3)


def worn_ink(ink: Mask, dice: Dice, look: Look) -> Mask:
    """The characters' coverage where the paint has come off in places."""
    if not dice.chance(0.12 * look.variety):
        return ink
    grid = dice.random.uniform(0, 1, (5, 24)).astype(np.float32)
    patches = cv2.resize(grid, (ink.shape[1], ink.shape[0]), interpolation=cv2.INTER_CUBIC)
    keep = np.clip((patches - dice.between(0.0, 0.12)) * 5, 0.45, 1)
    return np.asarray((ink * keep).astype(np.uint8))


def wear(face: Bgr, dice: Dice, look: Look) -> None:
    """A film of dirt that thickens downwards, splashes, and the shadow of the frame above."""
    height, width = face.shape[:2]
    cells = (4, 10) if dice.chance(0.6) else (8, 30)
    film = dice.random.random(cells) * np.linspace(0.3, 1, cells[0])[:, None]
    film *= dice.between(0, 0.28) if look.variety < 0.5 else dice.random.random() ** 2 * 0.55
    dirt = np.array([88, 100, 108]) * dice.between(0.5, 1.2)
    clean = np.repeat((255 * (1 - film))[:, :, None], 3, axis=2).astype(np.uint8)
    brown = (film[:, :, None] * dirt).astype(np.uint8)
    cv2.multiply(face, cv2.resize(clean, (width, height)), dst=face, scale=1 / 255)
    cv2.add(face, cv2.resize(brown, (width, height)), dst=face)
    if dice.chance(0.3 * look.variety):
        for _ in range(dice.whole(1, 14)):
            spot = (round(dice.between(0, width)), round(dice.between(0, height)))
            cv2.circle(face, spot, max(round(height * dice.random.random() ** 2 * 0.06), 1), dirt.tolist(), -1)
    if dice.chance(0.35 * look.variety):
        rows = max(round(height * dice.between(0.04, 0.3)), 1)
        shade = np.linspace(dice.between(0.35, 0.8), 1, rows, dtype=np.float32)
        face[:rows] = face[:rows] * shade[:, None, None]
