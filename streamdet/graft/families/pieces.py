"""Pieces of decoding that several families share, as nodes of the graph."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import Head
from streamdet.graft.writer import GraphWriter, Tensor
from streamdet.infer.tail import CUT_BOXES, CUT_SCORES


def float_head(writer: GraphWriter, head: Head, name: str | None = None) -> Tensor:
    """The raw output as float32: what follows needs the precision, whatever the network was cast to."""
    return writer.cast(writer.foreign(head.name), np.float32, name)


def boxes_from_centres(writer: GraphWriter, centre: Tensor, size: Tensor) -> None:
    """Centres and sizes [B, N, 2] in input pixels → `sd_boxes`."""
    half = writer.op("Mul", size, writer.constant(0.5))
    low, high = writer.op("Sub", centre, half), writer.op("Add", centre, half)
    writer.op("Concat", low, high, name=CUT_BOXES, axis=2)


def boxes_from_corners(writer: GraphWriter, corners: Tensor, size: tuple[int, int] | None = None) -> None:
    """Corners [B, N, 4] in pixels, or in parts of the input where its `size` is given → `sd_boxes`."""
    if size is None:
        writer.op("Identity", corners, name=CUT_BOXES)
    else:
        writer.op("Mul", corners, writer.constant([[[*size, *size]]]), name=CUT_BOXES)


def boxes_objectness_classes(writer: GraphWriter, rows: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Rows [B, N, 5 + C] → places and sizes [B, N, 2]; objectness times class is written as `sd_scores`."""
    place, size, objectness, chances = writer.split(rows, 2, 2, 2, 1, classes)
    writer.op("Mul", objectness, chances, name=CUT_SCORES)
    return place, size


def scores_from_labels(writer: GraphWriter, score: Tensor, label: Tensor, classes: int, first_label: int = 0) -> None:
    """A score and a label per box, [B, N] each → `sd_scores` with the score in the label's column."""
    columns = writer.constant(np.arange(first_label, first_label + classes)[None, None, :])
    label = writer.unsqueeze(writer.cast(label, np.float32), 2)
    # Labels that went through a float may be off by a little.
    near = writer.op("Abs", writer.op("Sub", label, columns))
    same = writer.op("Less", near, writer.constant(0.5))
    writer.op("Where", same, writer.unsqueeze(score, 2), writer.constant(0.0), name=CUT_SCORES)
