"""YOLOX: one box per cell, objectness times class; offsets and log sizes unless the export decoded them already."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.graft.families.contract import Head, Network, Preparation, only_head, strides_of, wrong_form
from streamdet.graft.families.pieces import boxes_from_centres, boxes_objectness_classes, float_head
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter


class Yolox:
    """[B, N, 5 + C]: dx, dy, log w, log h (or cx, cy, w, h in pixels), objectness, classes; one row per cell."""

    name = "yolox"
    title = "[B,N,5+C], one row per cell of the grids of strides 8, 16, 32: box, objectness, classes"
    end_to_end = False

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels="0..255", colour="bgr", anchor="top_left", rounding="floor")

    def fits(self, network: Network) -> bool:
        return _head(network) is not None

    def certain(self, network: Network) -> bool:
        head = _head(network)
        return head is not None and network.is_bare(head)

    def class_count(self, network: Network) -> int | None:
        head = _head(network)
        return head.shape[2] - 5 if head else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        head = _head(network)
        if head is None:
            raise wrong_form(self.name, network, self.title)
        place, size = boxes_objectness_classes(writer, float_head(writer, head), classes)
        if network.is_bare(head):
            origin, stride = (writer.constant(table[None]) for table in grid(network, head.shape[1]))
            place = writer.op("Mul", writer.op("Add", place, origin), stride)
            size = writer.op("Mul", writer.op("Exp", size), stride)
        boxes_from_centres(writer, place, size)
        return CutShape(head.shape[1], classes)


def grid(network: Network, cells: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Column and row of every cell [N, 2], and its stride [N, 1]: fine grids first, each row by row."""
    origins, strides = [], []
    width, height = network.size
    for stride in strides_of(network, cells) or ():
        columns, rows = -(-width // stride), -(-height // stride)
        y, x = np.mgrid[:rows, :columns]
        origins.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(origins).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _head(network: Network) -> Head | None:
    head = only_head(network, 3)
    if head is None or head.shape[2] < 6 or strides_of(network, head.shape[1]) is None:
        return None
    return head
