"""Groups and marks between them where the dice put them: no country's habit, and no layout that is kept for tests."""

from __future__ import annotations

from collections.abc import Sequence

from streamdet.plate_formats import FORMATS, PRINTED_ONLY
from streamdet.scenes.dice import Dice

_BETWEEN = (" ", " ", " ", "-", "·", ".", " · ", " - ", "  ")
_KEPT_FOR_TESTS = {
    "".join("*" if slot in "@#*" else slot for slot in line)
    for plate in FORMATS
    if plate.held_out
    for lines in plate.layouts
    for line in lines
}


def regrouped(lines: Sequence[str], dice: Dice) -> tuple[str, ...]:
    """The same characters in the same lines, parted anew; a sign that no reader knows stays the first."""
    return tuple(_parted(line, dice) for line in lines)


def _parted(line: str, dice: Dice) -> str:
    characters = [c for c in line if c == "%" or c not in PRINTED_ONLY + " "]
    places = range(1, len(characters))
    parted = "".join(
        character + (dice.pick(_BETWEEN) if place in places and dice.chance(0.25) else "")
        for place, character in enumerate(characters, start=1)
    )
    pattern = "".join(c if c in PRINTED_ONLY + " " else "*" for c in parted)
    return line if pattern in _KEPT_FOR_TESTS else parted
