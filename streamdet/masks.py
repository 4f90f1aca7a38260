"""Masks: run by run as COCO writes them, soft ones pasted from their box into the picture, and maps of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, Placement
from streamdet.errors import DataError

Mask = npt.NDArray[np.uint8]  # [height, width], 0 or 1
Soft = npt.NDArray[np.float32]  # [h, w], 0..1, over a box

UNKNOWN = 255  # of a map of labels: neither learnt nor counted
INSIDE = 0.5  # from here on a soft mask says that a place belongs to the object


class Runs(TypedDict):
    """COCO's compressed form: runs of nothing and of something in turn, down the columns, packed as text."""

    size: list[int]  # height, width
    counts: str


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What every place of a frame is: a segmenter's answer."""

    labels: Mask  # [h, w], spread over the whole frame: 0 nothing, i: names[i - 1]
    names: tuple[str, ...]

    @classmethod
    def of_input(cls, labels: Mask, names: tuple[str, ...], placement: Placement) -> ClassMap:
        """Labels of an engine's whole input, [h, w] → those of the frame that lies in it, copied."""
        across, down = (
            given / whole for given, whole in zip(reversed(labels.shape), placement.input_size, strict=True)
        )
        left, top = int(placement.left_px * across), int(placement.top_px * down)
        width, height = (round(side * fine) for side, fine in zip(placement.scaled_size, (across, down), strict=True))
        return cls(labels[top : top + max(height, 1), left : left + max(width, 1)].copy(), names)

    def at(self, size: tuple[int, int]) -> Mask:
        """[height, width] for that width and height: each pixel has the class of the place that it lies in."""
        rows, columns = (
            (np.arange(side) * given // side) for side, given in zip(reversed(size), self.labels.shape, strict=True)
        )
        return np.asarray(self.labels[rows[:, None], columns])

    def only(self, wanted: npt.NDArray[np.bool_]) -> ClassMap:
        """[classes]: the map with nothing in the place of every class that is not wanted."""
        table = np.append(np.uint8(0), np.where(wanted, np.arange(1, len(wanted) + 1), 0)).astype(np.uint8)
        return ClassMap(table[self.labels], self.names)


def runs_of(mask: Mask) -> Runs:
    """A mask as COCO writes it."""
    height, width = mask.shape
    return runs_in(mask, (0, 0), (width, height))


def runs_in(part: Mask, corner: tuple[int, int], size: tuple[int, int]) -> Runs:
    """The same of a mask that is a part of a picture of `size` (width, height) at `corner` (left, top), 0 elsewhere."""
    width, height = size
    rows, columns = part.shape
    edged = np.zeros((columns, rows + 2), np.int8)  # column by column, so that every run ends in its own
    edged[:, 1:-1] = part.T != 0
    change = np.diff(edged, axis=1)
    below = (np.arange(columns)[:, None] + corner[0]) * height + corner[1] + np.arange(rows + 1)
    begins, ends = below[change > 0], below[change < 0]
    apart = begins[1:] != ends[:-1]  # a run that goes on at the top of the next column is one run
    begins, ends = begins[np.append(True, apart)[: len(begins)]], ends[np.append(apart, True)[: len(ends)]]
    bounds = np.concatenate([[0], np.stack([begins, ends], axis=1).reshape(-1), [height * width]])
    lengths = np.diff(bounds).tolist()
    if len(begins) and not lengths[-1]:
        lengths.pop()
    return {"size": [height, width], "counts": packed(lengths)}


def mask_of(runs: Mapping[str, Any], where: object) -> Mask:
    """{"size": [height, width], "counts": numbers or text} → the mask; `where` is for the message."""
    size, counts = runs.get("size"), runs.get("counts")
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(side, int) and 0 < side < 1 << 16 for side in size)
    ):
        raise DataError("a mask has no size", where=where, expected="[height, width]", got=size)
    if isinstance(counts, str):
        lengths = unpacked(counts, where)
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


def packed(lengths: Sequence[int]) -> str:
    """Runs as text: five bits a letter, the lowest first, from the third on as differences to the one before the
    last."""
    letters: list[int] = []
    for number, length in enumerate(lengths):
        value = length - lengths[number - 2] if number > 2 else length
        while True:
            bits = value & 31
            value >>= 5
            if value == (-1 if bits & 16 else 0):  # the last group's top bit is the sign
                letters.append(bits + 48)
                break
            letters.append(bits + 80)
    return bytes(letters).decode("ascii")


def unpacked(text: str, where: object) -> list[int]:
    """The way back."""
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
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("a mask's runs are damaged", where=where, got="a text that ends within a number")
    return lengths


def pasted(soft: Soft, xyxy: Sequence[float], size: tuple[int, int]) -> tuple[Mask, tuple[int, int]]:
    """A soft mask over its box → the part of a picture of `size` that it covers, 0 or 1, and that part's corner.

    A pixel is inside where the mask, between the middles of its cells taken linearly, says so at the pixel's middle.
    """
    left, top, right, bottom = (float(edge) for edge in xyxy)
    across, first_x = _weights((left, right), soft.shape[1], size[0])
    down, first_y = _weights((top, bottom), soft.shape[0], size[1])
    return (down @ soft @ across.T >= INSIDE).astype(np.uint8), (first_x, first_y)


def runs_pasted(soft: Soft, xyxy: Sequence[float], size: tuple[int, int]) -> Runs:
    """A soft mask over its box as COCO writes the mask of a whole picture."""
    part, corner = pasted(soft, xyxy, size)
    return runs_in(part, corner, size)


def _weights(span: tuple[float, float], cells: int, limit: int) -> tuple[Soft, int]:
    """[pixels, cells]: what each cell counts for each pixel whose middle lies in the span; and the first of these."""
    low, high = span
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low:
        return np.zeros((0, cells), np.float32), 0
    first, last = (int(np.clip(np.ceil(edge - 0.5), 0, limit)) for edge in span)
    middles = np.arange(first, last) + 0.5
    return _linear((middles - low) / (high - low) * cells, cells), first


def _linear(places: npt.NDArray[np.floating], cells: int) -> Soft:
    """[n] places, edges of cells being whole → [n, cells]: the weights of the two cells around each."""
    place = np.clip(places - 0.5, 0, cells - 1)
    return np.asarray(np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0), np.float32)


def recut(soft: npt.NDArray[np.float32], xyxy: Boxes, cut: Boxes) -> npt.NDArray[np.float32]:
    """Soft masks [N, h, w] over boxes [N, 4] → over what was left of the boxes when they were cut, as fine as before.

    A new array: what was given stays as it is.
    """
    height, width = soft.shape[1:]
    new = soft.copy()
    for row in np.flatnonzero((xyxy != cut).any(axis=1)).tolist():
        left, top, right, bottom = xyxy[row].tolist()
        if not (np.isfinite(xyxy[row]).all() and right > left and bottom > top):
            continue
        x = np.linspace(cut[row, 0], cut[row, 2], 2 * width + 1)[1::2]  # the middles of the new cells
        y = np.linspace(cut[row, 1], cut[row, 3], 2 * height + 1)[1::2]
        down = _linear((y - top) / (bottom - top) * height, height)
        across = _linear((x - left) / (right - left) * width, width)
        new[row] = down @ soft[row] @ across.T
    return new
