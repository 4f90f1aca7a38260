"""Masks as COCO writes them, run by run down the columns, and their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import Polygons
from streamdet.errors import DataError

Mask = npt.NDArray[np.uint8]  # [height, width], 0 or 1

_FINER = 4  # an outline is traced on a mask so many times larger: it lies within 1/8 px of the pixels' edges


def mask_of(runs: dict[str, Any], where: object) -> Mask:
    """{"size": [height, width], "counts": numbers or text} → the mask."""
    size, counts = runs.get("size"), runs.get("counts")
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(side, int) and 0 < side < 1 << 16 for side in size)
    ):
        raise DataError("a mask has no size", where=where, expected="[height, width]", got=size)
    if isinstance(counts, str):
        lengths = _unpacked(counts, where)
    elif isinstance(counts, list) and all(isinstance(length, int) for length in counts):
        lengths = counts
    else:
        raise DataError("a mask has no runs", where=where, expected="`counts`, numbers or text", got=type(counts))
    height, width = size
    if sum(lengths) != height * width or min(lengths, default=0) < 0:
        raise DataError(
            "a mask's runs do not fill it", where=where, expected=f"{height * width} pixels", got=sum(lengths)
        )
    values = np.arange(len(lengths), dtype=np.uint8) % 2
    return np.asarray(np.repeat(values, lengths).reshape(width, height).T)


def _unpacked(text: str, where: object) -> list[int]:
    """Runs packed as text: five bits a letter, the lowest first, from the third on as differences to the one before
    the last."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise DataError("a mask's runs are damaged", where=where, got=repr(letter))
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift  # the last group's top bit is the sign
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("a mask's runs are damaged", where=where, got="a text that ends within a number")
    return lengths


def outlines(mask: Mask) -> Polygons:
    """The rings around the parts of a mask, in pixels, edges from 0; holes are filled."""
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ()
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    fine = np.repeat(np.repeat(part, _FINER, axis=0), _FINER, axis=1)
    found: Sequence[Any] = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    return tuple(
        ((contour.reshape(-1, 2) + 0.5) / _FINER + (left, top)).astype(np.float32)
        for contour in found
        if len(contour) >= 3
    )
