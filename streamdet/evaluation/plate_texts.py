"""How right texts are: character by character, as wholes, and by how high the characters were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

HEIGHTS_PX = (0.0, 8.0, 10.0, 12.0, 16.0, 24.0, math.inf)  # of characters: bins by their lower edges


@dataclass(frozen=True, slots=True)
class TextRead:
    """One plate: what stands there, and what was read; None: it was not found, or not read."""

    truth: str
    said: str | None
    glyph_px: float = math.nan
    plate: str = ""  # which physical plate


@dataclass(frozen=True, slots=True)
class TextScores:
    """Shares in 0..1, NaN where there is nothing to read."""

    plates: int
    exact: float
    characters: float  # 1 − edits by characters of the truth
    unread: int  # of the plates
    distinct: int  # physical plates
    distinct_exact: float  # of these, read right at least half of the times that they were seen

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in ((name, getattr(self, name)) for name in self.__slots__)
        }


def score_texts(reads: Sequence[TextRead]) -> TextScores:
    """All together."""
    right = [read.said == read.truth for read in reads]
    by_plate: dict[str, list[bool]] = {}
    for read, correct in zip(reads, right, strict=True):
        by_plate.setdefault(read.plate or f"#{len(by_plate)}", []).append(correct)
    length = sum(len(read.truth) for read in reads)
    wrong = sum(min(edits(read.truth, read.said or ""), len(read.truth)) for read in reads)
    return TextScores(
        len(reads),
        float(np.mean(right)) if reads else math.nan,
        1 - wrong / length if length else math.nan,
        sum(read.said is None for read in reads),
        len(by_plate),
        float(np.mean([2 * sum(each) >= len(each) for each in by_plate.values()])) if reads else math.nan,
    )


def by_height(reads: Sequence[TextRead]) -> dict[str, TextScores]:
    """The same for each bin of the characters' heights that has any."""
    found = {}
    for low, high in pairwise(HEIGHTS_PX):
        part = [read for read in reads if low <= read.glyph_px < high]
        if part:
            found[bin_name(low, high)] = score_texts(part)
    return found


def bin_name(low: float, high: float) -> str:
    """`12-16 px`, `>= 24 px`."""
    return f">= {low:g} px" if math.isinf(high) else f"{low:g}-{high:g} px"


def edits(one: str, other: str) -> int:
    """How many characters must be put in, taken out or changed."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            before, row[j] = row[j], min(before + (left != right), row[j] + 1, row[j - 1] + 1)
    return row[-1]
