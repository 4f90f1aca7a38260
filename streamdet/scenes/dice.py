"""The few kinds of chance that drawing needs, spelled shortly over one seeded generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Draws from a generator; everything that is drawn depends on it alone."""

    __slots__ = ("random",)

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    @classmethod
    def of(cls, *numbers: int) -> Dice:
        """Those of a seed, an index and up to two more whole numbers, none negative.

        Philox takes them as its key, which is ten times as fast as mixing them into another generator's state.
        """
        key, rest = np.array(numbers[:2], np.uint64), list(numbers[2:])
        return cls(np.random.Generator(np.random.Philox(key=key, counter=[0] * (4 - len(rest)) + rest)))

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return self.random.random() < share

    def between(self, low: float, high: float) -> float:
        """Anything from low to high, evenly."""
        return low + (high - low) * self.random.random()

    def log_between(self, low: float, high: float) -> float:
        """Anything from low to high, every doubling equally often."""
        return float(low * (high / low) ** self.random.random())

    def normal(self, deviation: float) -> float:
        """Around zero."""
        return self.random.standard_normal() * deviation

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + math.floor((high - low + 1) * self.random.random())

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self.whole(0, len(items) - 1)]
