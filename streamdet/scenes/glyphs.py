"""Characters as strokes, drawn by ourselves: a small language of lines and arcs, and families that vary it.

A glyph is a string of strokes parted by `;`. A stroke is a list of points `x,y` and arcs `@cx,cy,rx,ry,from,to`
in percent of the character's box, y downwards; angles in degrees, 0 to the right, growing clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

_BOWL_TOP, _BOWL_BOTTOM = "@50,30,50,30", "@50,70,50,30"

STROKES: dict[str, str] = {
    "0": f"{_BOWL_TOP},180,360 {_BOWL_BOTTOM},0,180 0,30",
    "1": "5,26 62,0 62,100",
    "2": f"{_BOWL_TOP},185,395 0,100 100,100",
    "3": "@48,25,45,25,195,450 @46,75,54,25,270,510",
    "4": "62,0 0,74 100,74;74,44 74,100",
    "5": "94,0 12,0 7,46 @48,68,52,32,222,515",
    "6": "74,0 7,54;@50,68,50,32,0,360",
    "7": "0,0 100,0 36,100",
    "8": "@50,25,43,25,0,360;@50,75,50,25,0,360",
    "9": "26,100 93,46;@50,32,50,32,0,360",
    "A": "0,100 50,0 100,100;18,68 82,68",
    "B": "0,0 0,100;0,0 52,0 @52,24,42,24,270,450 0,48;52,48 @52,74,48,26,270,450 0,100",
    "C": f"{_BOWL_TOP},340,180 {_BOWL_BOTTOM},180,20",
    "D": "0,0 44,0 @44,32,56,32,270,360 @44,68,56,32,0,90 0,100 0,0",
    "E": "96,0 0,0 0,100 96,100;0,48 80,48",
    "F": "96,0 0,0 0,100;0,49 80,49",
    "G": f"{_BOWL_TOP},335,180 {_BOWL_BOTTOM},180,0 100,54 56,54",
    "H": "0,0 0,100;100,0 100,100;0,48 100,48",
    "I": "50,0 50,100",
    "J": "88,0 @44,70,44,30,0,165",
    "K": "0,0 0,100;94,0 0,62;36,40 100,100",
    "L": "0,0 0,100 94,100",
    "M": "0,100 0,0 50,62 100,0 100,100",
    "N": "0,100 0,0 100,100 100,0",
    "O": f"{_BOWL_TOP},180,360 {_BOWL_BOTTOM},0,180 0,30",
    "P": "0,100 0,0 52,0 @52,27,48,27,270,450 0,54",
    "Q": f"{_BOWL_TOP},180,360 {_BOWL_BOTTOM},0,180 0,30;58,74 100,104",
    "R": "0,100 0,0 52,0 @52,26,48,26,270,450 0,52;48,52 100,100",
    "S": "@50,25,47,25,338,90 @50,75,50,25,270,518",
    "T": "0,0 100,0;50,0 50,100",
    "U": f"0,0 {_BOWL_BOTTOM},180,0 100,0",
    "V": "0,0 50,100 100,0",
    "W": "0,0 24,100 50,22 76,100 100,0",
    "X": "0,0 100,100;100,0 0,100",
    "Y": "0,0 50,52 100,0;50,52 50,100",
    "Z": "0,0 100,0 0,100 100,100",
    "-": "10,52 90,52",
    ".": "50,94 50,94",
}

_WIDTHS = {"I": 0.24, "1": 0.6, "J": 0.88, "M": 1.22, "W": 1.32, "O": 1.12, "Q": 1.12, "-": 0.55, ".": 0.24}


@dataclass(frozen=True)
class GlyphFamily:
    """One way to write all characters; lengths in character heights."""

    width_ratio: float = 0.54  # of an ordinary character's box
    stroke_ratio: float = 0.13
    gap_ratio: float = 0.13  # between two characters
    slant_ratio: float = 0.0

    def advance(self, character: str) -> float:
        """Width of that character's box, without the gap."""
        return self.width_ratio * _WIDTHS.get(character, 1.0)


FAMILIES: dict[str, GlyphFamily] = {
    "road": GlyphFamily(),
    "light": GlyphFamily(width_ratio=0.56, stroke_ratio=0.11, gap_ratio=0.16),
    "bold": GlyphFamily(width_ratio=0.6, stroke_ratio=0.17, gap_ratio=0.12),
    "narrow": GlyphFamily(width_ratio=0.44, stroke_ratio=0.115, gap_ratio=0.14),
}


@cache
def strokes(character: str) -> tuple[npt.NDArray[np.float32], ...]:
    """The character's polylines [K, 2] in its unit box; a character without a glyph is a KeyError."""
    return tuple(_stroke(text) for text in STROKES[character].split(";"))


def _stroke(text: str) -> npt.NDArray[np.float32]:
    points: list[npt.NDArray[np.float64]] = []
    for item in text.split():
        if item.startswith("@"):
            cx, cy, rx, ry, start, end = (float(number) for number in item[1:].split(","))
            angles = np.deg2rad(np.linspace(start, end, max(int(abs(end - start) / 8), 2)))
            points.append(np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1))
        else:
            points.append(np.array([[float(number) for number in item.split(",")]]))
    return (np.concatenate(points) / 100).astype(np.float32)


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text laid out: boxes of its characters (not of blanks), in pixels."""

    characters: str
    xyxy: npt.NDArray[np.float32]  # [N, 4]


def line_width(text: str, family: GlyphFamily, height: float, group_gap: float) -> float:
    """How wide `text` is at that character height; a blank is `group_gap` wide."""
    width = -family.gap_ratio * height
    for character in text:
        width += group_gap if character == " " else (family.advance(character) + family.gap_ratio) * height
    return width


def draw_line(
    mask: npt.NDArray[np.uint8],
    text: str,
    family: GlyphFamily,
    *,
    left: float,
    top: float,
    height: float,
    group_gap: float,
    squeeze: float = 1.0,
) -> TextLine:
    """Draw `text` into the coverage `mask` [h, w] with 255; `squeeze` narrows it without changing its height."""
    thickness = max(round(family.stroke_ratio * height), 1)
    inset = thickness / 2
    boxes: list[tuple[float, float, float, float]] = []
    written: list[str] = []
    x = left
    for character in text:
        if character == " ":
            x += group_gap * squeeze
            continue
        width = family.advance(character) * height * squeeze
        scale = np.array([max(width - thickness, 0), height - thickness], np.float32)
        for stroke in strokes(character):
            points = stroke * scale + np.array([x + inset, top + inset], np.float32)
            points[:, 0] += (top + height - points[:, 1]) * family.slant_ratio
            fixed = np.round((points - 0.5) * 16).astype(np.int32)
            cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, 4)
        boxes.append((x, top, x + width, top + height))
        written.append(character)
        x += width + family.gap_ratio * height * squeeze
    return TextLine("".join(written), np.array(boxes, np.float32).reshape(-1, 4))
