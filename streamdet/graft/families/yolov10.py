"""YOLOv10 and YOLO26: the network picks its own detections, none twice."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import (
    STRIDES,
    Head,
    Network,
    Preparation,
    keypoint_shape,
    only_head,
    wrong_form,
)
from streamdet.graft.families.pieces import boxes_from_corners, float_head, scores_from_labels
from streamdet.graft.families.yolov8 import write_keypoints
from streamdet.graft.nms_graph import TOPK_LIMIT, CutShape
from streamdet.graft.writer import GraphWriter


class Yolov10:
    """[B, D, 6]: x1, y1, x2, y2 in pixels of the input, score, label; keypoints behind them where it has any."""

    name = "yolov10"
    title = "[B,D,6] end to end: x1, y1, x2, y2 in input pixels, score, label"
    end_to_end = True

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels="0..1")

    def fits(self, network: Network) -> bool:
        return _head(network) is not None

    def certain(self, network: Network) -> bool:
        head = _head(network)
        if head is None or "TopK" not in network.operators:
            return False
        grids = {network.grid_cells(*strides) * anchors for strides in STRIDES for anchors in (1, 3)}
        return head.shape[1] not in grids

    def class_count(self, network: Network) -> int | None:
        return None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        head = _head(network)
        if head is None:
            raise wrong_form(self.name, network, self.title)
        rows = float_head(writer, head)
        columns = head.shape[2] - 6
        corners, score, label, *points = writer.split(rows, 2, 4, 1, 1, *([columns] if columns else []))
        boxes_from_corners(writer, corners)
        scores_from_labels(writer, writer.squeeze(score, 2), writer.squeeze(label, 2), classes)
        return CutShape(head.shape[1], classes, write_keypoints(writer, network, points))


def _head(network: Network) -> Head | None:
    head = only_head(network, 3)
    width = 6 + int(np.prod(keypoint_shape(network) or (0,)))
    return head if head is not None and head.shape[2] == width and head.shape[1] <= TOPK_LIMIT else None
