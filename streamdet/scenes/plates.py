"""The face of a number plate: a flat picture, its text, and the exact place of every character."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.plate_formats import PlateFormat, plain_text
from streamdet.scenes import plate_parts as parts
from streamdet.scenes.alphabets import Alphabet, Mask, StrokeAlphabet
from streamdet.scenes.dice import Dice
from streamdet.scenes.grouping import regrouped
from streamdet.scenes.lettering import Setting, Sheet, lay, natural_width, set_line
from streamdet.scenes.truth import Bgr

PX_PER_MM = 1.2


@dataclass(frozen=True, slots=True)
class PlateArt:
    """A plate as seen from straight ahead."""

    bgr: Bgr
    text: str  # letters and digits, top line first
    size_m: tuple[float, float]
    characters_xyxy: npt.NDArray[np.float32]  # [len(text), 4], pixels of `bgr`
    format_key: str
    style: str  # the alphabet's name
    line_of: tuple[int, ...]  # [len(text)]: the line of each character, 0 above
    ink: Mask  # [h, w]: coverage of its characters, as they were before dirt
    cell: Mask  # [h, w]: 1 + the number of the character that this place belongs to; 0: none

    @property
    def glyph_height_px(self) -> float:
        """Of its characters in `bgr`."""
        return float((self.characters_xyxy[:, 3] - self.characters_xyxy[:, 1]).mean())


@dataclass(frozen=True, slots=True)
class Look:
    """How a plate is drawn."""

    alphabet: Alphabet | None = None  # None: the one of its format
    px_per_mm: float = PX_PER_MM
    rear: bool = False
    free: bool = False  # any characters in place of what the format's grammar allows
    odd_share: float = 0.0  # of free texts: how often groups, marks and seals stand where no format has them
    variety: float = 0.35  # 0 clean and as the law has it; 1 everything that happens to plates


def draw_plate(
    plate: PlateFormat, random: np.random.Generator, *, rear: bool = False, look: Look | None = None
) -> PlateArt:
    """A plate with random text of this format; by default clean or slightly dirty."""
    look = look or Look(rear=rear)
    dice = Dice(random)
    width = round(plate.size_mm[0] * look.px_per_mm)
    height = round(plate.size_mm[1] * look.px_per_mm * (1 + dice.normal(0.03) * look.variety))
    lines = plate.draw(random, free=look.free)
    odd = look.free and look.odd_share > 0 and dice.chance(look.odd_share)
    lines = regrouped(lines, dice) if odd else lines
    alphabet = look.alphabet or StrokeAlphabet(plate.glyphs)
    face = parts.ground(plate, (width, height), dice, look)
    area = parts.band(face, plate, alphabet, dice)
    area = parts.headings(face, plate, alphabet, area, dice) if plate.headings else area
    sheet = _written(lines, plate, alphabet, (width, height), area, dice, look)
    if dice.chance(0.3 * look.variety):
        parts.bend(sheet, dice)
    ink = parts.ink_colour(plate, dice, look)
    inked = parts.worn_ink(sheet.ink, dice, look)
    lay(face, cv2.max(inked, sheet.other), (0, 0), ink)
    if dice.chance(0.7):
        parts.emboss(face, sheet.ink, dice.between(4, 26))
    if plate.seals or (look.free and dice.chance(0.35 if odd else 0.1)):
        parts.seals(face, sheet, dice)
    parts.border(face, plate, ink, dice, look)
    parts.screws(face, dice, look)
    parts.wear(face, dice, look)
    size_m = (plate.size_mm[0] / 1000, plate.size_mm[1] / 1000)
    return PlateArt(
        face,
        plain_text(lines),
        size_m,
        np.array(sheet.boxes, np.float32).reshape(-1, 4),
        plate.key,
        alphabet.name,
        tuple(sheet.line_of),
        sheet.ink,
        sheet.cell,
    )


def _written(
    lines: tuple[str, ...],
    plate: PlateFormat,
    alphabet: Alphabet,
    size: tuple[int, int],
    area: tuple[float, float, float, float],
    dice: Dice,
    look: Look,
) -> Sheet:
    """All lines, of one weight and height, each in its strip of the area."""
    sheet = Sheet.blank(size[1], size[0])
    left, top, right, bottom = area
    strips = np.linspace(top, bottom, len(lines) + 1)
    height = min(
        plate.glyph_height_mm * look.px_per_mm * (1 + dice.normal(0.04) * look.variety), 0.86 * strips[1] - 0.86 * top
    )
    weight = 2 if look.variety < 0.5 else dice.whole(0, 4)
    gap = alphabet.gap_ratio * height * dice.between(1 - 0.25 * look.variety, 1 + 0.35 * look.variety)
    group_gap = height * (0.62 if plate.seals else dice.between(0.3, 0.42))
    spread = dice.random.random() ** 2 * look.variety
    number = dice.whole(0, 1000)
    margin = height * 0.16
    marks = dice.between(0.6, 1.7) if look.odd_share else 1.0
    for line, (above, below) in zip(lines, itertools.pairwise(strips.tolist()), strict=True):
        setting = Setting(alphabet, weight, height, gap, group_gap, number, 0.012 * height * look.variety, marks)
        room = right - left - 2 * margin - natural_width(line, setting)
        if room > 0 and len(line) > 1:
            wider = min(room * (0.8 if plate.country == "CN" else spread) / (len(line) - 1), height * 0.5)
            setting = replace(setting, gap=gap + wider)
        before = len(sheet.boxes)
        set_line(sheet, line, setting, (left + margin, above, right - margin, below), dice)
        sheet.line_of += [len(set(sheet.line_of))] * (len(sheet.boxes) - before)
    return sheet
