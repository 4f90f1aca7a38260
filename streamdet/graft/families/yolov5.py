"""YOLOv5 and YOLOv7: decoded boxes, three anchors per cell, objectness times class. YOLOv6 gives one row per cell."""

from __future__ import annotations

from streamdet.graft.families.contract import STRIDES, Head, Network, Preparation, only_head, strides_of, wrong_form
from streamdet.graft.families.pieces import boxes_from_centres, boxes_objectness_classes, float_head
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter


class Yolov5:
    """[B, N, 5 + C]: cx, cy, w, h in pixels of the input, objectness, classes."""

    name = "yolov5"
    title = "[B,N,5+C] decoded: cx, cy, w, h in input pixels, objectness, classes; three rows per cell"
    end_to_end = False

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels="0..1")

    def fits(self, network: Network) -> bool:
        return _head(network) is not None

    def certain(self, network: Network) -> bool:
        head = _head(network)
        return head is not None and _three_per_cell(network, head.shape[1])

    def class_count(self, network: Network) -> int | None:
        head = _head(network)
        return head.shape[2] - 5 if head else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        head = _head(network)
        if head is None:
            raise wrong_form(self.name, network, self.title)
        place, size = boxes_objectness_classes(writer, float_head(writer, head), classes)
        boxes_from_centres(writer, place, size)
        return CutShape(head.shape[1], classes)


def _three_per_cell(network: Network, count: int) -> bool:
    return any(3 * network.grid_cells(*strides) == count for strides in STRIDES)


def _head(network: Network) -> Head | None:
    # Exports for training also carry the undecoded grids, of rank 5.
    head = only_head(network, 3)
    if head is None or head.shape[2] < 6 or network.is_bare(head):
        return None
    cells = head.shape[1]
    return head if _three_per_cell(network, cells) or strides_of(network, cells) is not None else None
