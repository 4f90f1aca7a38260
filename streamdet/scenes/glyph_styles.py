"""Alphabets of number plates in styles of our own: what varies between the plates of the world, as a few numbers each.

Every style writes the skeletons of `glyphs.STROKES`, changed by sets of alternates, with its own width, weight, ends,
roundness and feet. None is a copy of a real typeface. `TEST_STYLES` are never learnt from: they show whether a reader
has learnt characters or pictures of characters. `mixed_style` throws dice over all that styles vary in: a reader that
has seen some hundred hands no longer leans on what two of them happen to share.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamdet.scenes.dice import Dice
from streamdet.scenes.glyphs import STROKES

_TOP, _BOTTOM = "@50,30,50,30", "@50,70,50,30"

ALTERNATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "flat 3": {"3": "3,0 97,0 44,40 @46,69,54,31,275,510"},
        "open 4": {"4": "26,0 0,66 100,66;74,36 74,100"},
        "upright 4": {"4": "74,100 74,0 0,68 100,68"},
        "bar 7": {"7": "0,0 100,0 36,100;24,52 80,52"},
        "bent 7": {"7": "0,0 100,0 100,12 @140,100,96,88,250,180"},
        "plain 1": {"1": "50,0 50,100"},
        "flag 1": {"1": "0,20 50,0 50,100"},
        "stub 1": {"1": "22,10 54,0 54,100"},
        "foot 1": {"1": "6,22 52,0 52,100;0,100 100,100"},
        "curled 6 9": {
            "6": "@52,30,48,30,340,180 2,68;@50,68,50,32,0,360",
            "9": "@48,70,48,30,160,0 98,32;@50,32,50,32,0,360",
        },
        "slashed 0": {"0": f"{_TOP},180,360 {_BOTTOM},0,180 0,30;30,70 70,30"},
        "dotted 0": {"0": f"{_TOP},180,360 {_BOTTOM},0,180 0,30;50,48 50,52"},
        "deep M": {"M": "0,100 0,0 50,100 100,0 100,100"},
        "short M": {"M": "0,100 0,0 50,40 100,0 100,100"},
        "splayed M": {"M": "0,100 12,0 50,70 88,0 100,100"},
        "tall W": {"W": "0,0 25,100 50,0 75,100 100,0"},
        "upright W": {"W": "0,0 8,100 50,40 92,100 100,0"},
        "spur G": {"G": f"{_TOP},335,180 {_BOTTOM},180,0 100,54 56,54;100,60 100,100"},
        "square G": {"G": "98,0 0,0 0,100 100,100 100,52 52,52"},
        "barred J": {"J": "36,0 92,0 92,70 @46,70,46,30,0,165"},
        "inner Q": {"Q": f"{_TOP},180,360 {_BOTTOM},0,180 0,30;52,60 96,98"},
        "low Q": {"Q": f"{_TOP},180,360 {_BOTTOM},0,180 0,30;62,84 94,104"},
        "serif I": {"I": "0,0 100,0;50,0 50,100;0,100 100,100"},
        "jointed K": {"K": "0,0 0,100;96,0 14,52 100,100;0,52 14,52"},
        "upright R": {"R": "0,100 0,0 52,0 @52,26,48,26,270,450 0,52;54,52 90,62 94,100"},
        "joined R": {"R": "0,100 0,0 52,0 @52,26,48,26,270,450 0,52;12,52 100,100"},
        "low Y": {"Y": "0,0 50,62 100,0;50,62 50,100"},
        "high A": {"A": "0,100 50,0 100,100;12,78 88,78"},
        "flat A": {"A": "0,100 30,0 70,0 100,100;14,62 86,62"},
        "round A": {"A": "0,100 0,34 @50,34,50,34,180,360 100,100;0,62 100,62"},
        "waisted 8": {"8": "@50,27,50,27,0,360;@50,73,50,27,0,360"},
        "low bar": {"E": "96,0 0,0 0,100 96,100;0,56 84,56", "F": "96,0 0,0 0,100;0,58 84,58"},
        "long bars": {"E": "98,0 0,0 0,100 98,100;0,49 96,49", "F": "98,0 0,0 0,100;0,49 94,49"},
        "marked": {  # each sign cut so that none can be painted into another
            "0": f"{_TOP},180,300;{_TOP},330,360 {_BOTTOM},0,180 0,30",
            "O": "@50,48,50,48,0,360",
            "Q": f"{_TOP},180,360 {_BOTTOM},0,20;{_BOTTOM},60,180 0,30;52,66 98,102",
            "1": "0,24 60,0 60,100",
            "2": f"{_TOP},190,380 0,100 100,100",
            "4": "58,0 0,70 100,70;74,40 74,100",
            "5": "92,0 12,0 8,44 60,40;@48,68,52,32,250,515",
            "6": "80,0 6,58;@50,69,50,31,190,520",
            "9": "20,100 94,42;@50,31,50,31,10,340",
            "7": "0,0 100,0 40,100",
            "8": "@50,24,40,24,0,360;@50,74,50,26,0,360",
            "A": "0,100 36,0 64,0 100,100;20,72 80,72",
            "B": "0,0 0,100;0,0 46,0 @46,23,40,23,270,450 12,46;46,46 @46,73,54,27,270,450 0,100",
            "C": f"{_TOP},330,180 {_BOTTOM},180,10",
            "D": "0,0 44,0 @44,32,56,32,270,360 @44,68,56,32,0,90 20,100;0,0 0,100",
            "E": "90,0 0,0 0,100 100,100;0,46 72,46",
            "F": "100,0 0,0 0,100;0,44 70,44",
            "G": f"{_TOP},325,180 {_BOTTOM},180,0 100,58 60,58",
            "I": "10,0 90,0;50,0 50,100;10,100 90,100",
            "J": "40,0 88,0 88,70 @44,70,44,30,0,170",
            "M": "0,100 8,0 50,58 92,0 100,100",
            "P": "0,100 0,0 54,0 @54,28,46,28,270,450 24,56",
            "R": "0,100 0,0 54,0 @54,25,46,25,270,450 28,50;44,50 100,100",
            "S": "@50,26,47,26,335,90 @50,75,50,25,270,525",
            "U": f"0,0 {_BOTTOM},180,0 100,20",
            "W": "0,0 18,100 50,34 82,100 100,0",
            "Z": "8,0 100,0 0,100 100,100;30,50 70,50",
        },
    }
)

_USUAL = {"I": 0.26, "1": 0.6, "J": 0.88, "M": 1.2, "W": 1.3, "O": 1.1, "Q": 1.1, "-": 0.55, ".": 0.3, "·": 0.3}
_EVEN = {"I": 0.34, "1": 0.66, "J": 0.94, "M": 1.08, "W": 1.1, "O": 1.06, "Q": 1.06, "-": 0.6, ".": 0.3, "·": 0.3}
_WIDTHS = {  # by that of an ordinary character
    "usual": _USUAL,
    "even": _EVEN,
    "marked": {**_EVEN, "I": 0.62, "1": 0.6},
    "slabs": {**_USUAL, "I": 0.7, "1": 0.78},
}


_MARKS = {"·": "50,50 50,50", "-": "0,52 100,52"}


@dataclass(frozen=True)
class GlyphStyle:
    """One way to write all characters; lengths in character heights."""

    name: str
    width_ratio: float = 0.54  # of an ordinary character
    stroke_ratio: float = 0.13
    gap_ratio: float = 0.14  # between two characters
    ends: Literal["round", "flat"] = "flat"
    squareness: float = 2.0  # of its bowls: 2 an ellipse, 4 nearly a box
    arc_step: float = 8.0  # degrees between the points of a bowl; 45 makes octagons
    contrast: float = 1.0  # thickness of what lies by thickness of what stands
    slant_ratio: float = 0.0
    serif_ratio: float = 0.0  # length of the feet, by the width
    stencil: bool = False
    waist: float = 0.0  # how far what is half way up moves down, by the height: high bars and low ones
    unevenness: float = 0.0  # deviation of that from character to character
    alternates: tuple[str, ...] = ()
    widths: Literal["usual", "even", "marked", "slabs"] = "usual"

    def skeleton(self, character: str) -> str:
        """Its strokes, in the language of `glyphs.STROKES`; KeyError for what no style can write."""
        for name in self.alternates:
            if character in ALTERNATES[name]:
                return ALTERNATES[name][character]
        return _MARKS.get(character) or STROKES[character]

    def width(self, character: str) -> float:
        """Of that character without the gap."""
        return self.width_ratio * _WIDTHS[self.widths].get(character, 1.0)


TRAIN_STYLES: tuple[GlyphStyle, ...] = (
    GlyphStyle("din", alternates=("flag 1",)),
    GlyphStyle("din-narrow", 0.43, 0.115, 0.13, squareness=2.6, alternates=("curled 6 9", "flag 1")),
    GlyphStyle("light", 0.55, 0.105, 0.17, "round", alternates=("open 4", "flat 3", "deep M")),
    GlyphStyle(
        "uk", 0.62, 0.17, 0.14, squareness=3.4, alternates=("upright R", "flag 1", "spur G", "short M", "curled 6 9")
    ),
    GlyphStyle("fe", 0.55, 0.125, 0.15, alternates=("marked",), widths="marked"),
    GlyphStyle(
        "us-tall", 0.37, 0.1, 0.17, "round", squareness=2.2, alternates=("open 4", "plain 1", "barred J", "deep M")
    ),
    GlyphStyle(
        "us-block",
        0.5,
        0.15,
        0.15,
        squareness=3.2,
        arc_step=45,
        alternates=("flat 3", "serif I", "foot 1"),
        widths="slabs",
    ),
    GlyphStyle(
        "mandatory", 0.56, 0.155, 0.13, squareness=2.6, alternates=("flat A", "plain 1", "square G", "splayed M")
    ),
    GlyphStyle("cn", 0.5, 0.112, 0.16, alternates=("stub 1", "flat 3", "upright W"), widths="even"),
    GlyphStyle("vn", 0.46, 0.14, 0.13, squareness=2.8, alternates=("curled 6 9", "open 4", "flag 1", "inner Q")),
    GlyphStyle(
        "square", 0.54, 0.12, 0.15, "round", squareness=4.5, alternates=("flat A", "curled 6 9", "plain 1", "spur G")
    ),
    GlyphStyle("stencil", 0.56, 0.15, 0.14, stencil=True, alternates=("upright 4", "long bars")),
    GlyphStyle("slab", 0.58, 0.11, 0.18, serif_ratio=0.2, alternates=("spur G", "foot 1"), widths="slabs"),
    GlyphStyle("contrast", 0.58, 0.16, 0.14, contrast=0.62, alternates=("bent 7", "deep M", "waisted 8", "low Q")),
    GlyphStyle("hair", 0.5, 0.085, 0.2, "round", alternates=("slashed 0", "bar 7", "tall W", "low bar")),
    GlyphStyle("round", 0.64, 0.15, 0.13, "round", alternates=("low Y", "round A", "jointed K", "joined R")),
)
TEST_STYLES: tuple[GlyphStyle, ...] = (
    GlyphStyle(
        "held-grotesque", 0.48, 0.145, 0.14, squareness=2.3, alternates=("waisted 8", "upright R", "flat A", "bent 7")
    ),
    GlyphStyle(
        "held-slanted", 0.52, 0.12, 0.16, "round", slant_ratio=0.12, alternates=("open 4", "barred J", "high A")
    ),
    GlyphStyle(
        "held-octagon", 0.52, 0.125, 0.15, squareness=2.7, arc_step=30, alternates=("upright 4", "long bars", "inner Q")
    ),
    GlyphStyle(
        "held-wide", 0.68, 0.125, 0.13, "round", squareness=3.2, alternates=("short M", "low bar", "curled 6 9")
    ),
)
STYLES: Mapping[str, GlyphStyle] = MappingProxyType({style.name: style for style in TRAIN_STYLES + TEST_STYLES})

MIXED = 320  # styles that are mixed by dice
_MIXED = "mixed-"
_FAMILIAR = 0.35  # how likely a mixed style takes up a set of alternates


def mixed_names() -> tuple[str, ...]:
    """Those of all mixed styles."""
    return tuple(f"{_MIXED}{number}" for number in range(MIXED))


def is_mixed(name: str) -> bool:
    """Whether that style was mixed by dice; such a one has a weight of its own and no others."""
    return name.startswith(_MIXED)


def style_named(name: str) -> GlyphStyle:
    """That style; KeyError where there is none."""
    return mixed_style(int(name.removeprefix(_MIXED))) if is_mixed(name) else STYLES[name]


@cache
def mixed_style(number: int) -> GlyphStyle:
    """The style of that number: anything from thin to fat, narrow to wide, round to square, upright to slanted."""
    dice = Dice.of(number, 0, 29)
    width = dice.between(0.36, 0.7)
    feet = dice.between(0.12, 0.22) if dice.chance(0.08) else 0.0
    marked = dice.chance(0.08)
    sets = [name for name in ALTERNATES if name != "marked" and dice.chance(_FAMILIAR)]
    dice.random.shuffle(sets)  # the first that knows a character writes it
    return GlyphStyle(
        f"{_MIXED}{number}",
        width_ratio=width,
        stroke_ratio=dice.between(0.085, min(0.18, 0.32 * width)),
        gap_ratio=dice.between(0.11, 0.2),
        ends="round" if dice.chance(0.4) else "flat",
        squareness=2.0 + 2.5 * dice.random.random() ** 1.5,
        arc_step=dice.pick((8.0, 8.0, 8.0, 8.0, 22.5, 36.0, 45.0)),
        contrast=dice.between(0.6, 1.0) if dice.chance(0.25) else 1.0,
        slant_ratio=dice.between(-0.06, 0.15) if dice.chance(0.3) else 0.0,
        serif_ratio=feet,
        stencil=dice.chance(0.04),
        waist=dice.normal(0.045),
        unevenness=0.02,
        alternates=("marked",) if marked else tuple(sets),
        widths="marked" if marked else "slabs" if feet else dice.pick(("usual", "even")),
    )


@dataclass(frozen=True, slots=True)
class Stroke:
    """A polyline of a skeleton in its unit box."""

    points: npt.NDArray[np.float64]  # [K, 2], 0..1
    closed: bool


@cache
def skeleton_strokes(style: str, character: str) -> tuple[Stroke, ...]:
    """The character's polylines in that style."""
    chosen = style_named(style)
    waist = chosen.waist
    if chosen.unevenness:
        waist += Dice.of(zlib.crc32(style.encode()), ord(character), 31).normal(chosen.unevenness)
    return tuple(_stroke(text, chosen, waist) for text in chosen.skeleton(character).split(";"))


def _stroke(text: str, style: GlyphStyle, waist: float) -> Stroke:
    pieces: list[npt.NDArray[np.float64]] = []
    for item in text.split():
        if item.startswith("@"):
            pieces.append(_arc(tuple(float(number) for number in item[1:].split(",")), style))
        else:
            pieces.append(np.array([[float(number) for number in item.split(",")]]))
    points = np.concatenate(pieces) / 100
    points[:, 1] += waist * 4 * points[:, 1] * (1 - points[:, 1])  # the edges stay where they are
    kept = np.concatenate([[True], np.abs(np.diff(points, axis=0)).max(1) > 1e-6])
    closed = len(points) > 2 and bool(np.abs(points[0] - points[-1]).max() < 1e-6)
    return Stroke(points[kept], closed)


def _arc(numbers: tuple[float, ...], style: GlyphStyle) -> npt.NDArray[np.float64]:
    """Points of a superellipse; the angles of its ends are those of the ellipse."""
    cx, cy, rx, ry, start, end = numbers
    angles = np.deg2rad(np.linspace(start, end, max(round(abs(end - start) / style.arc_step), 2) + 1))
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    bent = np.sign(unit) * np.abs(unit) ** (2 / style.squareness)
    return np.asarray(bent * [rx, ry] + [cx, cy], np.float64)
