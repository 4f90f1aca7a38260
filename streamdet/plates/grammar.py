"""What may stand where on the plates of some countries: each layout a chain of slots, run over a vote's columns."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.errors import ConfigError
from streamdet.plate_formats import FORMATS, PRINTED_ONLY, PlateFormat, formats_of

_PRIOR = np.log(20.0)  # a plate of these countries is so much likelier than any other


@dataclass(frozen=True, slots=True)
class Fitting:
    """The best text that a layout allows."""

    text: str
    gain: float  # log belief with the prior: to be compared with that of a free text
    share: float  # of all that the columns believe at the slots, given the layout
    others: float  # as `gain`, of all layouts together under which the columns say another text; -inf: of none
    key: str


class Grammar:
    """The layouts of some countries, compiled to chains of allowed characters.

    A text of a layout with few possibilities weighs more than one of many: each layout has one prior, and shares it
    among its texts.
    """

    def __init__(self, countries: Sequence[str], alphabet: str) -> None:
        self._alphabet = alphabet
        unknown = sorted(set(countries) - {entry.country for entry in FORMATS})
        if unknown:
            raise ConfigError(
                "no plate formats of these countries",
                expected=", ".join(sorted({entry.country for entry in FORMATS})),
                got=", ".join(unknown),
            )
        chains = [(entry.key, slots) for entry in formats_of(countries) for slots in _slots(entry, alphabet)]
        self._keys = [key for key, _ in chains]
        self._lengths = np.array([len(slots) for _, slots in chains], np.int64)
        longest = int(self._lengths.max())
        self._barred = np.ones((len(chains), longest, len(alphabet)), np.bool_)
        for row, (_, slots) in enumerate(chains):
            self._barred[row, : len(slots)] = ~slots
        free = np.array([np.log(slots.sum(axis=1)).sum() for _, slots in chains])
        self._log_prior = _PRIOR - np.log(len(chains)) - free

    def best(self, log_belief: npt.NDArray[np.float64]) -> Fitting | None:
        """The layout and text that columns [m, A] speak for most; None where no layout has so many slots.

        How many characters there are is for the looks to say, and not for the layouts.
        """
        m = len(log_belief)
        rows = np.flatnonzero(self._lengths == m)
        if not m or not len(rows):
            return None
        allowed = np.where(self._barred[rows, :m], -np.inf, log_belief[None])  # [L, m, A]
        value = allowed.max(axis=2)  # [L, m]
        gain = value.sum(axis=1) + self._log_prior[rows]
        which = int(gain.argmax())
        if not np.isfinite(gain[which]):
            return None
        said = allowed.argmax(axis=2)  # [L, m]
        text = "".join(self._alphabet[k] for k in said[which])
        share = np.exp(value[which] - np.logaddexp.reduce(allowed[which], axis=1)).prod()
        others = np.logaddexp.reduce(gain[(said != said[which]).any(axis=1)], initial=-np.inf)
        return Fitting(text, float(gain[which]), float(share), float(others), self._keys[rows[which]])


def _slots(entry: PlateFormat, alphabet: str) -> list[npt.NDArray[np.bool_]]:
    """[n, A] per layout: which characters may stand in each slot."""
    wild = {"@": entry.letters, "#": string.digits, "*": entry.letters + string.digits}
    chains = []
    for lines in entry.layouts:
        kept = [slot for slot in "".join(lines) if slot not in PRINTED_ONLY + " "]
        chains.append(np.array([[letter in wild.get(slot, slot) for letter in alphabet] for slot in kept]))
    return chains
