"""A reader's maps and sequence → characters, and where each of them stands.

The core map parts the characters, the glyph map says what each is, the line map which line it stands in. The sequence
of the CTC head reads the same text without parting it, so that thin characters and such as have run together are not
lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtra
from streamdet.plates.alignment import align

# The core of a character as the renderer draws it is so much of its width and height: the way back to the whole.
_CORE_SHARE = (0.5, 0.56)
_REACH = 1.15  # how far ink may lie beyond its character's box, in halves of it
_LEAST_AREA_PX = 3
_LEAST_HEIGHT = 0.5  # of the median: dealer's text, seals
_MOST = 16  # characters of a plate
_SEQUENCE = 0.8  # the sequence's share of what a character is
_ALONE = 0.7  # of its confidence stays to a character that the maps do not have


@dataclass(frozen=True, slots=True)
class Reading:
    """The characters of one crop in reading order."""

    posterior: npt.NDArray[np.float32]  # [n, A]
    xyxy: npt.NDArray[np.float32]  # [n, 4], pixels of the crop; zeros where the sequence alone told
    line: npt.NDArray[np.int64]  # [n], 0 or 1
    confidence: npt.NDArray[np.float32]  # [n]

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def classes(self) -> tuple[int, ...]:
        """The likeliest character of each, as numbers of the alphabet."""
        return tuple(self.posterior.argmax(axis=1).tolist()) if len(self) else ()

    @property
    def score(self) -> float:
        """The geometric mean of the characters' confidences."""
        return float(np.exp(np.log(np.maximum(self.confidence, 1e-6)).mean())) if len(self) else 0.0


def nothing(letters: int) -> Reading:
    """No character was found."""
    return Reading(
        np.zeros((0, letters), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int64),
        np.zeros(0, np.float32),
    )


class Decoder:
    """Makes readings of a reader's arrays. One per thread: its kernels are loaded with it."""

    def __init__(self, letters: int) -> None:
        try:
            from streamdet.plates import kernels
        except ImportError as error:  # pragma: no cover - a base dependency
            raise MissingExtra("numba", None, "reading plates") from error
        self._kernels = kernels
        self._letters = letters

    def read(self, arrays: Mapping[str, npt.NDArray[Any]], i: int) -> Reading:
        """What stands in picture i of a session's answer."""
        mapped = self.from_maps(arrays["glyph"][i], arrays["core"][i], arrays["line"][i])
        return joined(mapped, from_sequence(arrays["sequence"][i])) if "sequence" in arrays else mapped

    def from_maps(
        self, glyph: npt.NDArray[np.float32], core: npt.NDArray[np.float32], line: npt.NDArray[np.float32]
    ) -> Reading:
        """Characters from the three maps."""
        labels = np.zeros(core.shape, np.int32)
        n = self._kernels.components(core, labels)
        if n == 0:
            return nothing(self._letters)
        box, certainty, lower = np.zeros((n, 4), np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
        self._kernels.measure(core, line, labels, box, certainty, lower)
        chosen = _chosen(box, np.bincount(labels.ravel(), minlength=n + 1)[1:])
        if not len(chosen):
            return nothing(self._letters)
        row = (lower[chosen] > 0.5).astype(np.int64)
        middle = (box[chosen, 0] + box[chosen, 2]) / 2
        order = np.lexsort((middle, row))
        chosen, row = chosen[order], row[order]
        cell = _cells(box[chosen])
        posterior, ink = np.zeros((len(chosen), self._letters), np.float32), np.zeros(len(chosen), np.float32)
        self._kernels.posteriors(glyph, cell, np.float32(_REACH), posterior, ink)
        inked = ink >= _LEAST_AREA_PX / 2
        xyxy = 2 * np.concatenate([cell[:, :2] - cell[:, 2:], cell[:, :2] + cell[:, 2:]], axis=1)
        confidence = (posterior.max(axis=1) * certainty[chosen]).astype(np.float32)
        return Reading(posterior[inked], xyxy[inked].astype(np.float32), row[inked], confidence[inked])


def _chosen(box: npt.NDArray[np.float32], area: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """The components that are characters: neither specks nor small print, and no more than a plate holds."""
    height = box[:, 3] - box[:, 1]
    rows = np.flatnonzero(area >= _LEAST_AREA_PX)
    if not len(rows):
        return rows
    rows = rows[height[rows] >= _LEAST_HEIGHT * np.median(height[rows])]
    return np.sort(rows[np.argsort(-area[rows], kind="stable")][:_MOST])


def _cells(box: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Core boxes [n, 4] → whole characters: centre x, y, half width, half height, in pixels of the map."""
    centre = (box[:, :2] + box[:, 2:]) / 2
    half = (box[:, 2:] - box[:, :2]) / 2 / np.array(_CORE_SHARE, np.float32)
    half[:, 0] = np.maximum(half[:, 0], 1.0)
    return np.ascontiguousarray(np.concatenate([centre, half], axis=1), np.float32)


def from_sequence(logits: npt.NDArray[np.float32]) -> Reading:
    """The best path of a CTC head [T, 1 + A]: runs of one class are one character, blanks part and vanish."""
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    best = share.argmax(axis=1)
    edges = np.flatnonzero(np.diff(best)) + 1
    runs = [run for run in np.split(np.arange(len(best)), edges) if best[run[0]] != 0]
    if not runs:
        return nothing(logits.shape[1] - 1)
    rows = [share[run[share[run, best[run[0]]].argmax()]] for run in runs]  # the surest moment of each
    inked = np.array([row[1:] / max(float(row[1:].sum()), 1e-6) for row in rows], np.float32)
    confidence = np.array([row.max() for row in rows], np.float32)
    n = len(runs)
    return Reading(inked, np.zeros((n, 4), np.float32), np.zeros(n, np.int64), confidence)


def joined(mapped: Reading, sequence: Reading) -> Reading:
    """Both opinions as one: the sequence says how many characters there are, the maps where they stand.

    What a character is, both say. The sequence has seen the whole line and errs less often, so it has the larger say;
    a character that the maps do not have beside it is believed a little less.
    """
    letters = sequence.posterior.shape[1]
    xyxy, line = sequence.xyxy.copy(), sequence.line.copy()
    posterior, confidence = sequence.posterior.copy(), sequence.confidence * np.float32(_ALONE)
    match = np.log(mapped.posterior @ sequence.posterior.T + 1 / letters**2)
    alone = float(np.log(1 / letters))
    for there, place in align(match, [alone] * len(mapped), [alone] * len(sequence)):
        if there is None or place is None:
            continue
        one, other = np.maximum(mapped.posterior[there], 1e-6), np.maximum(sequence.posterior[place], 1e-6)
        both = one ** (1 - _SEQUENCE) * other**_SEQUENCE
        posterior[place] = both / both.sum()
        alike = one.argmax() == other.argmax()
        sure = np.sqrt(mapped.confidence[there] * sequence.confidence[place]) if alike else posterior[place].max() / 2
        xyxy[place], line[place], confidence[place] = mapped.xyxy[there], mapped.line[there], sure
    return Reading(posterior, xyxy, line, confidence)
