"""Number plates by country, as data: what may stand on one, how large it is and what it looks like.

A format's lines are patterns, one character per slot: `@` is a letter of the format, `#` a digit, `*` either, a blank
parts two groups, `-`, `.` and `·` are printed but are no part of the text, nor is `%`, a sign that no reader knows
(the province of a Chinese plate). Anything else stands for itself. Text is letters and digits alone: `B 123 ABC` is
`B123ABC`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

Rgb = tuple[int, int, int]
Band = Literal["none", "left", "both", "top"]  # where the coloured strip of the country stands
Vehicle = Literal["car", "motorbike"]

WHITE: Rgb = (240, 240, 236)
YELLOW: Rgb = (246, 200, 20)
BLACK: Rgb = (22, 22, 24)
EU_BLUE: Rgb = (20, 60, 160)
RED: Rgb = (176, 28, 34)
GREEN: Rgb = (22, 96, 62)
SILVER: Rgb = (202, 204, 204)

PRINTED_ONLY = "-.·%"  # slots that are no part of the text
# What stands in a free text: not the letters I and O, which many plates draw like a one and a nought.
FREE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class PlateFormat:
    """One kind of plate of one country."""

    country: str  # ISO 3166 alpha-2; XX for no country in particular
    name: str
    layouts: tuple[tuple[str, ...], ...]  # each a choice: the lines of one plate, top first
    size_mm: tuple[int, int]  # width, height
    glyph_height_mm: int
    letters: str = string.ascii_uppercase
    vehicle: Vehicle = "car"
    glyphs: str = "din"  # the style of its characters: scenes.glyph_styles
    ground: Rgb = WHITE
    ground_top: Rgb | None = None  # where the ground runs from one colour above to `ground` below
    rear_ground: Rgb | None = None  # where the rear plate has another colour
    ink: Rgb = BLACK
    band: Band = "none"
    band_colour: Rgb = EU_BLUE
    seals: bool = False  # round stickers between the first two groups
    headings: bool = False  # small print above and below, and stickers in the corners, as in the Americas
    held_out: bool = False  # never learnt from: only test sets draw it

    @property
    def key(self) -> str:
        """Country and name, such as `DE/car`."""
        return f"{self.country}/{self.name}"

    @cached_property
    def _grammar(self) -> re.Pattern[str]:
        return re.compile("|".join("".join(map(self._slot, "".join(lines))) for lines in self.layouts))

    def _slot(self, slot: str) -> str:
        letters = re.escape(self.letters)
        if slot in PRINTED_ONLY:
            return f"{re.escape(slot)}?"
        return {"@": f"[{letters}]", "#": "[0-9]", "*": f"[0-9{letters}]", " ": ""}.get(slot, re.escape(slot))

    def matches(self, text: str) -> bool:
        """Whether `text`, without blanks, could stand on such a plate."""
        return self._grammar.fullmatch(text) is not None

    def draw(self, random: np.random.Generator, *, free: bool = False) -> tuple[str, ...]:
        """The lines of a random plate, every slot uniform over its characters, blanks and signs between groups kept.

        With `free`, every letter and digit may be any of FREE_ALPHABET: the layout without its grammar.
        """
        lines = self.layouts[int(random.integers(len(self.layouts)))]
        return tuple("".join(self._fill(slot, random, free) for slot in line) for line in lines)

    def _fill(self, slot: str, random: np.random.Generator, free: bool) -> str:
        alphabet = {"@": self.letters, "#": string.digits, "*": self.letters + string.digits}.get(slot)
        if alphabet is None:
            return slot
        alphabet = FREE_ALPHABET if free else alphabet
        return alphabet[int(random.integers(len(alphabet)))]


def plain_text(lines: Sequence[str]) -> str:
    """What is read off those lines: letters and digits, top line first."""
    return "".join(character for line in lines for character in line if character not in PRINTED_ONLY + " ")


_WITHOUT_IO = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_WITHOUT_IOQ = "ABCDEFGHJKLMNPRSTUVWXYZ"
_SPAIN = "BCDFGHJKLMNPRSTVWXYZ"
_NETHERLANDS = "BDFGHJKLNPRSTVXZ"
_POLAND = "ACEFGHJKLMNPRSTUVWXY"
_BRITAIN = "ABCDEFGHJKLMNOPRSTUVWXY"
_VIETNAM = "ABCDEFGHKLMNPSTUVXYZ"
_NAVY: Rgb = (24, 44, 110)
_MERCOSUR: Rgb = (20, 60, 150)
_LONG, _MOTORBIKE = (520, 110), (240, 200)

FORMATS: tuple[PlateFormat, ...] = (
    PlateFormat("RO", "car", (("@@ ## @@@",), ("B ## @@@",), ("B ### @@@",)), _LONG, 75, band="left"),
    PlateFormat("RO", "motorbike", (("@@ ##", "@@@"), ("B ###", "@@@")), _MOTORBIKE, 72, vehicle="motorbike"),
    PlateFormat("RO", "temporary", (("@@ 0#####",), ("B 0#####",)), _LONG, 75, ink=RED, band="left"),
    PlateFormat(
        "DE", "car", (("@@ @@ ####",), ("@ @@ ####",), ("@@@ @ ###",)), _LONG, 75, glyphs="fe", band="left", seals=True
    ),
    PlateFormat(
        "DE", "motorbike", (("@ @@", "####"), ("@@ @", "###")), (220, 200), 75, vehicle="motorbike", glyphs="fe"
    ),
    PlateFormat("FR", "car", (("@@-###-@@",),), _LONG, 75, _WITHOUT_IOQ, glyphs="light", band="both"),
    PlateFormat(
        "FR", "motorbike", (("@@-###", "@@"),), (210, 130), 45, _WITHOUT_IOQ, "motorbike", glyphs="light", band="left"
    ),
    PlateFormat("IT", "car", (("@@ ### @@",),), _LONG, 75, _WITHOUT_IOQ, glyphs="light", band="both"),
    PlateFormat("IT", "motorbike", (("@@", "#####"),), (177, 177), 55, _WITHOUT_IOQ, "motorbike", glyphs="light"),
    PlateFormat("ES", "car", (("#### @@@",),), _LONG, 77, _SPAIN, band="left"),
    PlateFormat("ES", "motorbike", (("####", "@@@"),), (220, 160), 65, _SPAIN, "motorbike", band="left"),
    PlateFormat("NL", "car", (("@@-###-@",), ("#-@@@-##",)), _LONG, 77, _NETHERLANDS, ground=YELLOW, band="left"),
    PlateFormat(
        "NL", "motorbike", (("@@-##", "@@"),), (210, 143), 55, _NETHERLANDS, "motorbike", ground=YELLOW, band="left"
    ),
    PlateFormat("PL", "car", (("@@ #####",), ("@@@ ##@@",)), (520, 114), 80, _POLAND, glyphs="square", band="left"),
    PlateFormat(
        "PL", "two-line", (("@@@", "##@@"), ("@@", "#####")), (305, 214), 76, _POLAND, glyphs="square", band="left"
    ),
    PlateFormat("GB", "car", (("@@## @@@",),), (520, 111), 79, _BRITAIN, glyphs="uk", rear_ground=YELLOW),
    PlateFormat("GB", "square", (("@@##", "@@@"),), (285, 203), 79, _BRITAIN, glyphs="uk", rear_ground=YELLOW),
    PlateFormat(
        "US",
        "car",
        (("### @@@",), ("@@@ ####",), ("#@@@###",), ("@@@-####",), ("##@·###",)),
        (305, 152),
        66,
        glyphs="us-tall",
        ink=_NAVY,
        headings=True,
    ),
    PlateFormat("BR", "old", (("@@@-####",),), (400, 130), 63, glyphs="mandatory", ground=SILVER, headings=True),
    PlateFormat("BR", "mercosur", (("@@@#@##",),), (400, 130), 65, glyphs="fe", band="top", band_colour=_MERCOSUR),
    PlateFormat(
        "BR",
        "motorbike",
        (("@@@", "#@##"),),
        (200, 170),
        53,
        vehicle="motorbike",
        glyphs="fe",
        band="top",
        band_colour=_MERCOSUR,
    ),
    PlateFormat("VN", "car", (("##@-###.##",), ("##@-####",)), (520, 110), 80, _VIETNAM, glyphs="vn"),
    PlateFormat("VN", "square", (("##@", "###.##"), ("##@", "####")), (330, 165), 63, _VIETNAM, glyphs="vn"),
    PlateFormat(
        "VN", "motorbike", (("##-@#", "###.##"), ("##-@#", "####")), (190, 140), 55, _VIETNAM, "motorbike", glyphs="vn"
    ),
    PlateFormat(
        "CN", "blue", (("%@·*****",),), (440, 140), 90, _WITHOUT_IO, glyphs="cn", ground=(24, 62, 168), ink=WHITE
    ),
    PlateFormat(
        "CN",
        "green",
        (("%@·******",),),
        (480, 140),
        90,
        _WITHOUT_IO,
        glyphs="cn",
        ground=(96, 196, 120),
        ground_top=(228, 240, 230),
    ),
    PlateFormat("CN", "yellow", (("%@", "*****"),), (440, 220), 90, _WITHOUT_IO, glyphs="cn", ground=(232, 170, 30)),
    PlateFormat("XX", "any", (("****** *",), ("*** ****",), ("*****",), ("****-***",), ("** ** **",)), _LONG, 75),
    PlateFormat(
        "XX", "short", (("****",), ("*****",), ("*** ***",), ("******",)), (300, 150), 80, _WITHOUT_IO, headings=True
    ),
    PlateFormat(
        "XX",
        "two-line",
        (("***", "****"), ("****", "***"), ("** *", "** **"), ("*** **", "***")),
        (305, 200),
        75,
        _WITHOUT_IO,
    ),
    PlateFormat("XX", "dark", (("*** ****",), ("** *****",)), (460, 110), 76, _WITHOUT_IO, ground=BLACK, ink=SILVER),
    PlateFormat("XX", "stacked", (("**-**", "*****"), ("** **", "** **")), (230, 170), 60, _WITHOUT_IO, held_out=True),
    PlateFormat(
        "XX", "spread", (("* *** ***",), ("*** · ***",), ("**-**-**",)), (480, 120), 72, _WITHOUT_IO, held_out=True
    ),
    PlateFormat("XX", "wide", (("*** ***",), ("***·****",)), (372, 134), 78, _WITHOUT_IO, headings=True, held_out=True),
)


KNOWN_COUNTRIES = tuple(sorted({entry.country for entry in FORMATS} - {"XX"}))


def plate_format(key: str) -> PlateFormat:
    """The format of that key, such as `DE/car`; KeyError where there is none."""
    return {entry.key: entry for entry in FORMATS}[key]


def formats_of(countries: Sequence[str], vehicle: Vehicle | None = None) -> tuple[PlateFormat, ...]:
    """All formats of these countries, in the table's order."""
    return tuple(f for f in FORMATS if f.country in countries and vehicle in (None, f.vehicle))
