"""Pictures that are the same, or nearly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.datasets.doctor.pictures import is_flat
from streamdet.datasets.doctor.snapshot import Scanned, Snapshot

_BITS = 10  # of 64 that may differ before a pair is not worth verifying
_ALIKE = 0.96  # correlation of grey thumbnails
_ROWS = 1024  # compared at a time


@dataclass(frozen=True, slots=True)
class Place:
    """A picture of a snapshot."""

    scanned: Scanned
    at: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, the first in an earlier data set or at an earlier place."""

    first: Place
    second: Place
    likeness: float  # 1: the same file


def same(snapshot: Snapshot) -> Iterator[Pair]:
    """Files that are equal to the byte: each with the first one like it."""
    seen: dict[bytes, Place] = {}
    for place in _places(snapshot):
        digest = place.scanned.facts[place.at].digest
        first = seen.setdefault(digest, place)
        if first is not place and digest:
            yield Pair(first, place, 1.0)


def similar(snapshot: Snapshot) -> Iterator[Pair]:
    """Pictures that look alike, though the files differ: by a 64-bit hash, then verified by correlation."""
    places = [place for place in _places(snapshot) if place.scanned.facts[place.at].hash is not None]
    if len(places) < 2:
        return
    facts = [place.scanned.facts[place.at] for place in places]
    signs = np.stack([each.hash for each in facts if each.hash is not None]).astype(np.float32) * 2 - 1  # [N, 64]
    smalls = _normalised(np.stack([each.small for each in facts if each.small is not None]))  # [N, 1024]
    for start in range(0, len(places), _ROWS):
        agreeing = signs[start : start + _ROWS] @ signs.T  # 64 − 2 · the bits that differ
        for first, second in np.argwhere(agreeing >= 64 - 2 * _BITS).tolist():
            first += start
            if first >= second or facts[first].digest == facts[second].digest:
                continue
            likeness = float(smalls[first] @ smalls[second])
            if likeness >= _ALIKE:
                yield Pair(places[first], places[second], likeness)


def _places(snapshot: Snapshot) -> Iterator[Place]:
    for scanned in snapshot.scanned:
        for at, facts in enumerate(scanned.facts):
            if facts.readable and not is_flat(facts):
                yield Place(scanned, at)


def _normalised(smalls: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    flat = smalls.reshape(len(smalls), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)
