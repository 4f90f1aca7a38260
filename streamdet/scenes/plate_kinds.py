"""Which plates are drawn: countries, layouts, styles; what training may see and what only tests show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from streamdet.plate_formats import FORMATS, PlateFormat
from streamdet.scenes.alphabets import Alphabet, StrokeAlphabet, TypefaceAlphabet
from streamdet.scenes.dice import Dice
from streamdet.scenes.glyph_styles import STYLES, TEST_STYLES, TRAIN_STYLES, mixed_names
from streamdet.scenes.plate_parts import recoloured
from streamdet.scenes.plates import Look, PlateArt, draw_plate

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Kinds:
    """The plates to draw from."""

    split: Split = "train"  # test: styles and layouts that training never draws
    countries: tuple[str, ...] | None = None  # None: all of the split
    typefaces: tuple[str, ...] = ()  # files, see alphabets.usable_typefaces
    typeface_share: float = 0.2  # of the plates, where there are any
    mixed_share: float = 0.0  # of the plates of training, in styles that are mixed by dice
    odd_share: float = 0.0  # of the free texts, parted and sealed where the dice put it
    free_share: float = 0.3  # of the plates whose text ignores its country's grammar


@cache
def formats_for(split: Split, countries: tuple[str, ...] | None) -> tuple[PlateFormat, ...]:
    """The layouts of a split; the likelier ones come several times."""
    chosen = [f for f in FORMATS if f.held_out == (split == "test") and (countries is None or f.country in countries)]
    return tuple(entry for f in chosen for entry in (f,) * _weight(f))


def _weight(plate: PlateFormat) -> int:
    """Two lines are rarer than one, and no country's plate should be known by heart."""
    return (2 if plate.country == "XX" else 1) * (1 if len(plate.layouts[0]) > 1 else 2)


def random_plate(dice: Dice, glyph_px: float, kinds: Kinds) -> tuple[PlateArt, Alphabet]:
    """A plate of these kinds, drawn as finely as that height of its characters in the picture needs."""
    plate = dice.pick(formats_for(kinds.split, kinds.countries))
    alphabet = random_alphabet(dice, plate, kinds)
    if dice.chance(0.2):
        plate = recoloured(plate, dice)
    look = Look(
        alphabet=alphabet,
        px_per_mm=min(max(1.5 * glyph_px, 22.0), 66.0) / plate.glyph_height_mm,
        rear=dice.chance(0.5),
        free=plate.country == "XX" or dice.chance(kinds.free_share),
        odd_share=kinds.odd_share,
        variety=dice.random.random() ** 0.5,
    )
    return draw_plate(plate, dice.random, look=look), alphabet


def random_alphabet(dice: Dice, plate: PlateFormat, kinds: Kinds) -> Alphabet:
    """Often the format's own, else any of the split."""
    if kinds.typefaces and dice.chance(kinds.typeface_share):
        return TypefaceAlphabet(dice.pick(kinds.typefaces))
    if kinds.split == "test":
        return StrokeAlphabet(dice.pick(TEST_STYLES).name)
    if kinds.mixed_share and dice.chance(kinds.mixed_share):
        return StrokeAlphabet(dice.pick(mixed_names()))
    if dice.chance(0.45) and plate.glyphs in STYLES:
        return StrokeAlphabet(plate.glyphs)
    return StrokeAlphabet(dice.pick(TRAIN_STYLES).name)
