"""A reader's maps → characters: components of the core map, each with the class of the ink around it.

The core map parts the characters, the glyph map says what each is, the line map which line it stands in. The sequence
of the CTC head is a second opinion on the same text, and the first where characters have run together.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtra

# The core of a character as the renderer draws it is so much of its width and height: the way back to the whole.
_CORE_SHARE = (0.5, 0.56)
_REACH = 1.15  # how far ink may lie beyond its character's box, in halves of it
_LEAST_AREA_PX = 3
_LEAST_HEIGHT = 0.5  # of the median: dealer's text, seals
_MERGED = 1.7  # of the median width of a core: two characters run together
_MOST = 16  # characters of a plate
_DOUBTFUL = 0.3  # confidence below which the sequence is asked whether there is a character


@dataclass(frozen=True, slots=True)
class Reading:
    """The characters of one crop in reading order."""

    posterior: npt.NDArray[np.float32]  # [n, A]
    xyxy: npt.NDArray[np.float32]  # [n, 4], pixels of the crop; zeros where the sequence alone told
    line: npt.NDArray[np.int64]  # [n], 0 or 1
    confidence: npt.NDArray[np.float32]  # [n]
    agreed: bool = False  # maps and sequence give the same text

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
        mapped, merged = self.from_maps(arrays["glyph"][i], arrays["core"][i], arrays["line"][i])
        if "sequence" not in arrays:
            return mapped
        return joined(mapped, merged, from_sequence(arrays["sequence"][i]))

    def from_maps(
        self, glyph: npt.NDArray[np.float32], core: npt.NDArray[np.float32], line: npt.NDArray[np.float32]
    ) -> tuple[Reading, bool]:
        """Characters from the three maps, and whether some seem to have run together."""
        labels = np.zeros(core.shape, np.int32)
        n = self._kernels.components(core, labels)
        if n == 0:
            return nothing(self._letters), False
        box, certainty, lower = np.zeros((n, 4), np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
        self._kernels.measure(core, line, labels, box, certainty, lower)
        chosen = _chosen(box, np.bincount(labels.ravel(), minlength=n + 1)[1:])
        if not len(chosen):
            return nothing(self._letters), False
        row = (lower[chosen] > 0.5).astype(np.int64)
        middle = (box[chosen, 0] + box[chosen, 2]) / 2
        order = np.lexsort((middle, row))
        chosen, row = chosen[order], row[order]
        cell = _cells(box[chosen])
        posterior, ink = np.zeros((len(chosen), self._letters), np.float32), np.zeros(len(chosen), np.float32)
        self._kernels.posteriors(glyph, cell, np.float32(_REACH), posterior, ink)
        inked = ink >= _LEAST_AREA_PX / 2
        xyxy = 2 * np.concatenate([cell[:, :2] - cell[:, 2:], cell[:, :2] + cell[:, 2:]], axis=1)
        width = box[chosen, 2] - box[chosen, 0]
        merged = bool((width > _MERGED * max(float(np.median(width)), 3.0)).any())
        confidence = (posterior.max(axis=1) * certainty[chosen]).astype(np.float32)
        return Reading(posterior[inked], xyxy[inked].astype(np.float32), row[inked], confidence[inked]), merged


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


def _without_inventions(mapped: Reading, sequence: Reading) -> Reading:
    """The maps' characters without doubtful ones, if what is left is the sequence's text; else as they are."""
    classes = mapped.classes
    # A sequence easily misses the second of a pair: that is no reason to doubt it.
    doubtful = [
        place
        for place in np.flatnonzero(mapped.confidence < _DOUBTFUL).tolist()
        if classes[place] not in classes[max(place - 1, 0) : place] + classes[place + 1 : place + 2]
    ]
    for gone in itertools.combinations(doubtful, len(mapped) - len(sequence)):
        kept = [place for place in range(len(mapped)) if place not in gone]
        if tuple(classes[place] for place in kept) == sequence.classes:
            return Reading(mapped.posterior[kept], mapped.xyxy[kept], mapped.line[kept], mapped.confidence[kept])
    return mapped


def joined(mapped: Reading, merged: bool, sequence: Reading) -> Reading:
    """Both opinions as one.

    Of the same length they are multiplied, character by character. Where they differ in length the maps are believed,
    unless characters have run together or the sequence is much surer, and but for characters that they alone see and
    hardly believe themselves: separators, seals.
    """
    if len(mapped) > len(sequence):
        mapped = _without_inventions(mapped, sequence)
    if len(mapped) == len(sequence):
        if not len(mapped):
            return mapped
        both = np.sqrt(np.maximum(mapped.posterior, 1e-6) * np.maximum(sequence.posterior, 1e-6))
        both /= both.sum(axis=1, keepdims=True)
        agreed = mapped.classes == sequence.classes
        confidence = np.sqrt(mapped.confidence * sequence.confidence) if agreed else both.max(axis=1) * 0.5
        return Reading(both.astype(np.float32), mapped.xyxy, mapped.line, confidence.astype(np.float32), agreed)
    if len(sequence) > len(mapped) and (merged or sequence.score > mapped.score + 0.15):
        return sequence
    return Reading(mapped.posterior, mapped.xyxy, mapped.line, mapped.confidence * np.float32(0.7))
