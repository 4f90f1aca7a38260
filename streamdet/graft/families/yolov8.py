"""YOLOv8, YOLO9, YOLO11 and their kin: channels first, no objectness; pose networks append keypoints."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import (
    Head,
    Network,
    Preparation,
    keypoint_shape,
    only_head,
    strides_of,
    wrong_form,
)
from streamdet.graft.families.pieces import boxes_from_centres, float_head
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter, Tensor
from streamdet.infer.tail import CUT_EXTRAS, CUT_SCORES


class Yolov8:
    """[B, 4 + C, N]: cx, cy, w, h in pixels of the input, then the classes, then 3P of keypoints where it has any."""

    name = "yolov8"
    title = "[B,4+C,N], one column per cell of the grids of strides 8, 16, 32: cx, cy, w, h in input pixels, classes"
    end_to_end = False

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels="0..1")

    def fits(self, network: Network) -> bool:
        return _head(network) is not None

    def certain(self, network: Network) -> bool:
        head = _head(network)
        # In a small network the number of channels may look like a grid too.
        return head is not None and strides_of(network, head.shape[1]) is None

    def class_count(self, network: Network) -> int | None:
        head = _head(network)
        return head.shape[1] - 4 - int(np.prod(keypoint_shape(network) or (0,))) if head else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        head = _head(network)
        if head is None:
            raise wrong_form(self.name, network, self.title)
        rows = writer.op("Transpose", float_head(writer, head), perm=[0, 2, 1])  # [B, N, 4 + C + …]
        columns = int(np.prod(keypoint_shape(network) or (0,)))
        place, size, scores, *points = writer.split(rows, 2, 2, 2, classes, *([columns] if columns else []))
        boxes_from_centres(writer, place, size)
        writer.op("Identity", scores, name=CUT_SCORES)
        return CutShape(head.shape[2], classes, write_keypoints(writer, network, points))


def write_keypoints(writer: GraphWriter, network: Network, columns: list[Tensor]) -> dict[str, tuple[int, ...]]:
    """The last columns as `sd_keypoints` [B, N, P, 3], where the file says that it has them."""
    shape = keypoint_shape(network)
    if shape is None:
        return {}
    points, numbers = shape
    name = CUT_EXTRAS["keypoints"]
    if numbers == 3:
        writer.reshape(columns[0], 0, 0, points, 3, name=name)
    else:  # no visibility is told: every point counts as seen
        pairs = writer.reshape(columns[0], 0, 0, points, 2)
        seen = writer.op("Add", writer.op("Mul", writer.column(pairs, 0), writer.constant(0.0)), writer.constant(1.0))
        writer.op("Concat", pairs, seen, name=name, axis=3)
    return {"keypoints": (points, 3)}


def _head(network: Network) -> Head | None:
    head = only_head(network, 3)
    if head is None or head.shape[1] < 5 or network.is_bare(head) or strides_of(network, head.shape[2]) is None:
        return None
    return head
