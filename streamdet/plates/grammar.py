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
    evidence: float  # log belief of the columns that it takes, and of the gaps in the others
    gain: float  # with the prior: to be compared with that of a free text
    share: float  # of all that the columns believe at the slots, given the layout
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
        """The layout and text that columns [m, A + 1] speak for most, those columns left out that hold no character."""
        m, layouts = len(log_belief), len(self._keys)
        letters, gaps = log_belief[:, :-1], log_belief[:, -1]
        allowed = np.where(self._barred[None], -np.inf, letters[:, None, None, :])  # [m, L, N, A]
        choice = allowed.argmax(axis=3)
        value = np.take_along_axis(allowed, choice[..., None], 3)[..., 0]  # [m, L, N]
        longest = value.shape[2]
        reach = np.full((m + 1, layouts, longest + 1), -np.inf)
        reach[0, :, 0] = 0
        for column in range(m):
            reach[column + 1] = reach[column] + gaps[column]
            taken = reach[column, :, :-1] + value[column]
            reach[column + 1, :, 1:] = np.maximum(reach[column + 1, :, 1:], taken)
        total = reach[m, np.arange(layouts), self._lengths]
        gain = total + self._log_prior
        row = int(gain.argmax())
        if not np.isfinite(gain[row]):
            return None
        text, share = self._trace(
            reach[:, row], value[:, row], choice[:, row], gaps, int(self._lengths[row]), allowed[:, row]
        )
        return Fitting(text, float(total[row]), float(gain[row]), share, self._keys[row])

    def _trace(
        self,
        reach: npt.NDArray[np.float64],
        value: npt.NDArray[np.float64],
        choice: npt.NDArray[np.intp],
        gaps: npt.NDArray[np.float64],
        slot: int,
        allowed: npt.NDArray[np.float64],
    ) -> tuple[str, float]:
        """The text of the best way, and how sure its characters are among those allowed."""
        text, share = "", 1.0
        for column in range(len(gaps) - 1, -1, -1):
            if slot and reach[column + 1, slot] == reach[column, slot - 1] + value[column, slot - 1]:
                slot -= 1
                text = self._alphabet[choice[column, slot]] + text
                among = allowed[column, slot]
                share *= float(np.exp(value[column, slot] - np.logaddexp.reduce(np.append(among, gaps[column]))))
        return text, share


def _slots(entry: PlateFormat, alphabet: str) -> list[npt.NDArray[np.bool_]]:
    """[n, A] per layout: which characters may stand in each slot."""
    wild = {"@": entry.letters, "#": string.digits, "*": entry.letters + string.digits}
    chains = []
    for lines in entry.layouts:
        kept = [slot for slot in "".join(lines) if slot not in PRINTED_ONLY + " "]
        chains.append(np.array([[letter in wild.get(slot, slot) for letter in alphabet] for slot in kept]))
    return chains
