"""Number plates by country, as data: what may stand on one, how large it is and what it looks like.

A format's lines are patterns, one character per slot: `@` is a letter of the format, `#` a digit, `*` either, a blank
parts two groups, and anything else stands for itself. Text is written without blanks: `B 123 ABC` is `B123ABC`.
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
    glyphs: str = "road"  # the family of its characters
    ground: Rgb = WHITE
    rear_ground: Rgb | None = None  # where the rear plate has another colour
    ink: Rgb = BLACK
    band: Band = "none"
    band_colour: Rgb = EU_BLUE
    seals: bool = False  # round stickers between the first two groups

    @property
    def key(self) -> str:
        """Country and name, such as `DE/car`."""
        return f"{self.country}/{self.name}"

    @cached_property
    def _grammar(self) -> re.Pattern[str]:
        return re.compile("|".join("".join(map(self._slot, "".join(lines))) for lines in self.layouts))

    def _slot(self, slot: str) -> str:
        letters = re.escape(self.letters)
        return {"@": f"[{letters}]", "#": "[0-9]", "*": f"[0-9{letters}]", " ": ""}.get(slot, re.escape(slot))

    def matches(self, text: str) -> bool:
        """Whether `text`, without blanks, could stand on such a plate."""
        return self._grammar.fullmatch(text) is not None

    def draw(self, random: np.random.Generator) -> tuple[str, ...]:
        """The lines of a random plate, every slot uniform over its characters, blanks between groups kept."""
        lines = self.layouts[int(random.integers(len(self.layouts)))]
        return tuple("".join(self._fill(slot, random) for slot in line) for line in lines)

    def _fill(self, slot: str, random: np.random.Generator) -> str:
        alphabet = {"@": self.letters, "#": string.digits, "*": self.letters + string.digits}.get(slot)
        return slot if alphabet is None else alphabet[int(random.integers(len(alphabet)))]


_WITHOUT_IOQ = "ABCDEFGHJKLMNPRSTUVWXYZ"

FORMATS: tuple[PlateFormat, ...] = (
    PlateFormat("RO", "car", (("@@ ## @@@",), ("B ## @@@",), ("B ### @@@",)), (520, 110), 75, band="left"),
    PlateFormat(
        "DE", "car", (("@@ @@ ####",), ("@ @@ ####",), ("@@@ @ ###",)), (520, 110), 75, band="left", seals=True
    ),
    PlateFormat("FR", "car", (("@@ ### @@",),), (520, 110), 75, _WITHOUT_IOQ, glyphs="light", band="both"),
    PlateFormat("IT", "car", (("@@ ### @@",),), (520, 110), 75, _WITHOUT_IOQ, glyphs="light", band="both"),
    PlateFormat("ES", "car", (("#### @@@",),), (520, 110), 77, "BCDFGHJKLMNPRSTVWXYZ", band="left"),
    PlateFormat(
        "NL", "car", (("@@ ### @",), ("# @@@ ##",)), (520, 110), 77, "BDFGHJKLNPRSTVXZ", ground=YELLOW, band="left"
    ),
    PlateFormat("PL", "car", (("@@ #####",), ("@@@ ##@@",)), (520, 114), 80, "ACEFGHJKLMNPRSTUVWXY", band="left"),
    PlateFormat(
        "GB", "car", (("@@## @@@",),), (520, 111), 79, "ABCDEFGHJKLMNOPRSTUVWXY", glyphs="bold", rear_ground=YELLOW
    ),
    PlateFormat(
        "US", "car", (("### @@@",), ("@@@ ####",), ("#@@@###",)), (305, 152), 66, glyphs="narrow", ink=(24, 44, 110)
    ),
    PlateFormat(
        "BR", "mercosur", (("@@@#@##",),), (400, 130), 65, glyphs="light", band="top", band_colour=(20, 60, 150)
    ),
    PlateFormat(
        "VN", "motorbike", (("##-@#", "### ##"),), (190, 140), 55, "ABCDEFGHKLMNPSTUVXYZ", "motorbike", glyphs="narrow"
    ),
    PlateFormat("XX", "any", (("****** *",), ("*** ****",), ("*****",)), (520, 110), 75),
)


def plate_format(key: str) -> PlateFormat:
    """The format of that key, such as `DE/car`; KeyError where there is none."""
    return {entry.key: entry for entry in FORMATS}[key]


def formats_of(countries: Sequence[str], vehicle: Vehicle | None = None) -> tuple[PlateFormat, ...]:
    """All formats of these countries, in the table's order."""
    return tuple(f for f in FORMATS if f.country in countries and vehicle in (None, f.vehicle))
