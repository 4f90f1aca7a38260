"""The outlines of masks: the form in which a data set keeps them, and pictures are turned with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import Polygons
from streamdet.masks import Mask

_FINER = 4  # an outline is traced on a mask so many times larger: it lies within 1/8 px of the pixels' edges

Ring = npt.NDArray[np.float32]  # [n, 2]


def outlines(mask: Mask) -> Polygons:
    """The rings around the parts of a mask, in pixels, edges from 0.

    A ring goes in to each hole of its part and comes back the same way, so that it encloses all but the holes.
    """
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ()
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    fine = np.repeat(np.repeat(part, _FINER, axis=0), _FINER, axis=1)
    found: Sequence[Any]
    found, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [contour.reshape(-1, 2).astype(np.float32) for contour in found]
    above = tree[0, :, 3].tolist()  # the part that a hole lies in; −1 of a part
    rings = []
    for number, contour in enumerate(contours):
        if above[number] < 0 and len(contour) >= 3:
            holes = [hole for hole, outer in zip(contours, above, strict=True) if outer == number and len(hole) >= 3]
            ring = _corners(_with_holes(contour, holes))
            rings.append(((ring + 0.5) / _FINER + (left, top)).astype(np.float32))
    return tuple(rings)


def _with_holes(ring: Ring, holes: list[Ring]) -> Ring:
    """One ring that takes in the holes, the nearest first: the way to it then crosses none of the others."""
    waiting = list(holes)
    while waiting:
        ways = [_nearest(ring, hole) for hole in waiting]
        number = min(range(len(ways)), key=lambda each: ways[each][0])
        _, leave, enter = ways[number]
        hole = np.roll(waiting.pop(number), -enter, axis=0)
        ring = np.concatenate([ring[: leave + 1], hole, hole[:1], ring[leave:]])
    return ring


def _corners(ring: Ring) -> Ring:
    """Without the points in the middle of straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    goes_on = (turns == 0) & ((before * after).sum(axis=1) > 0)
    return np.asarray(ring[~goes_on], np.float32)


def _nearest(ring: Ring, hole: Ring) -> tuple[float, int, int]:
    """Squared distance of the two nearest points, and their numbers."""
    apart = ((ring[:, None] - hole[None]) ** 2).sum(axis=2)
    leave, enter = np.unravel_index(int(apart.argmin()), apart.shape)
    return float(apart[leave, enter]), int(leave), int(enter)
