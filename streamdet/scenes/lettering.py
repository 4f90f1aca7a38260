"""Lines of text set in an alphabet: where each character stands, its ink, and the cell that is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from streamdet.plate_formats import PRINTED_ONLY
from streamdet.scenes.alphabets import HEIGHTS, IDEOGRAPHS, Alphabet, Mask, ideograph
from streamdet.scenes.dice import Dice
from streamdet.scenes.truth import Bgr


@dataclass(slots=True)
class Sheet:
    """What is written on one plate so far."""

    ink: Mask  # [h, w], coverage of its characters
    other: Mask  # [h, w], coverage of what is printed beside them: dashes, dots, signs that no reader knows
    cell: Mask  # [h, w]: 1 + the number of the character whose cell it is; 0: nobody's
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    line_of: list[int] = field(default_factory=list)

    @classmethod
    def blank(cls, height: int, width: int) -> Sheet:
        """Nothing written."""
        ink, other, cell = (np.zeros((height, width), np.uint8) for _ in range(3))
        return cls(ink, other, cell)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a line is set; lengths in pixels."""

    alphabet: Alphabet
    weight: int
    height: float
    gap: float  # between two characters
    group_gap: float  # a blank
    ideograph: int = 0
    shiver: float = 0.0  # how far characters stray from the line
    marks: float = 1.0  # size of dashes and dots, by the usual


def scaled(mask: Mask, width: int, height: int) -> Mask:
    """The mask at that size."""
    way = cv2.INTER_AREA if height < mask.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, (max(width, 1), max(height, 1)), interpolation=way), np.uint8)


def level_for(height: float) -> int:
    """Which of the kept sizes a character of that height is drawn from."""
    return sum(height <= kept * 1.05 for kept in HEIGHTS[1:])


def glyph(setting: Setting, character: str) -> Mask:
    """The kept mask of a character; `%` is a sign that no reader knows."""
    level = level_for(setting.height)
    if character == "%":
        return ideograph(setting.ideograph % IDEOGRAPHS, level)
    return setting.alphabet.mask(character, setting.weight, level)


def natural_width(line: str, setting: Setting) -> float:
    """How wide the line is, unsqueezed."""
    width = -setting.gap
    for character in line:
        if character == " ":
            width += setting.group_gap
            continue
        mask = glyph(setting, character)
        width += mask.shape[1] * setting.height / mask.shape[0] + setting.gap
    return width


def set_line(sheet: Sheet, line: str, setting: Setting, area: tuple[float, float, float, float], dice: Dice) -> None:
    """Write the line into the middle of an area (left, top, right, bottom), squeezed where it would not fit."""
    left, top, right, bottom = area
    natural = natural_width(line, setting)
    squeeze = min(1.0, (right - left) / max(natural, 1.0))
    x = left + (right - left - natural * squeeze) / 2
    y = top + (bottom - top - setting.height) / 2
    rows = slice(max(round(top), 0), max(round(bottom), 0))
    for character in line:
        if character == " ":
            x += setting.group_gap * squeeze
            continue
        mask = glyph(setting, character)
        width = mask.shape[1] * setting.height / mask.shape[0] * squeeze
        drop = dice.normal(setting.shiver) if setting.shiver else 0.0
        placed = (x, y + drop, width, setting.height)
        if character in PRINTED_ONLY:
            _stamp(sheet.other, mask, placed if character == "%" else _grown(placed, setting.marks))
        else:
            half = setting.gap * squeeze / 2
            sheet.cell[rows, max(round(x - half), 0) : round(x + width + half)] = len(sheet.boxes) + 1
            sheet.boxes.append(_stamp(sheet.ink, mask, placed))
        x += width + setting.gap * squeeze


def _grown(placed: tuple[float, float, float, float], times: float) -> tuple[float, float, float, float]:
    """As large so many times, the middle staying where it is."""
    x, y, width, height = placed
    return x - width * (times - 1) / 2, y - height * (times - 1) / 2, width * times, height * times


def _stamp(canvas: Mask, mask: Mask, placed: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Lay the mask onto the canvas; answers the box of whole pixels that it took."""
    x, y, width, height = placed
    left, top = round(x), round(y)
    piece = scaled(mask, round(width), round(height))
    bottom, right = top + piece.shape[0], left + piece.shape[1]
    inner = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    cut = piece[max(-top, 0) :, max(-left, 0) :][: inner.shape[0], : inner.shape[1]]
    np.maximum(inner, cut, out=inner)
    return float(left), float(top), float(right), float(bottom)


def small_print(alphabet: Alphabet, text: str, height: int) -> Mask:
    """A line of lesser text as a mask of its own [height, w], blanks half as wide as high."""
    setting = Setting(alphabet, 2, float(height), max(height * alphabet.gap_ratio, 1.0), height * 0.5)
    width = max(round(natural_width(text, setting)) + 2, 1)
    mask = np.zeros((height, width), np.uint8)
    x = 0.0
    for character in text:
        if character == " ":
            x += setting.group_gap
            continue
        source = glyph(setting, character)
        wide = source.shape[1] * height / source.shape[0]
        _stamp(mask, source, (x, 0, wide, float(height)))
        x += wide + setting.gap
    return mask


def lay(picture: Bgr, mask: Mask, spot: tuple[int, int], colour: Sequence[float]) -> None:
    """Colour a picture through a mask whose upper left corner lies at (x, y); what is outside is cut."""
    left, top, width, height = cv2.boundingRect(mask)
    mask = mask[top : top + height, left : left + width]
    x, y = spot[0] + left, spot[1] + top
    target = picture[max(y, 0) : max(y + mask.shape[0], 0), max(x, 0) : max(x + mask.shape[1], 0)]
    cut = mask[max(-y, 0) :, max(-x, 0) :][: target.shape[0], : target.shape[1]]
    if not cut.size:
        return
    share = cv2.cvtColor(cut, cv2.COLOR_GRAY2BGR)
    fresh = cv2.multiply(share, tuple(min(max(float(part), 0.0), 255.0) for part in (*colour, 0)), scale=1 / 255)
    cv2.add(cv2.multiply(target, cv2.bitwise_not(share), scale=1 / 255), fresh, dst=target)
