"""Torchvision's detectors: boxes, labels and scores after their own suppression, as many as there happen to be."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import Head, Network, Preparation, wrong_form
from streamdet.graft.families.pieces import boxes_from_corners, float_head, scores_from_labels
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter, Tensor

FIRST_LABEL = 1  # label 0 is the background and never comes out
DETECTIONS = 300  # rows that a variable number of them is padded to; torchvision's own limit is 100


class Torchvision:
    """Boxes [n, 4] in pixels of the input, labels [n] from 1 on, scores [n]; or the same with a batch before n."""

    name = "torchvision"
    title = "boxes [n,4] in input pixels, labels [n] from 1 on, scores [n]"
    end_to_end = True

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels="0..1", anchor="top_left", pad=0)  # it normalises by itself

    def fits(self, network: Network) -> bool:
        return labelled_heads(network) is not None and not network.extra_inputs

    def certain(self, network: Network) -> bool:
        found = labelled_heads(network)
        return found is not None and not network.extra_inputs and len(found[0].shape) == 2

    def class_count(self, network: Network) -> int | None:
        return None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        found = labelled_heads(network)
        if found is None:
            raise wrong_form(self.name, network, self.title)
        boxes, label, score = (float_head(writer, head) for head in found)
        count = found[0].shape[1] if len(found[0].shape) == 3 else DETECTIONS
        if len(found[0].shape) == 2:
            boxes, label, score = _padded(writer, boxes, label, score)
        boxes_from_corners(writer, boxes)
        scores_from_labels(writer, score, label, classes, FIRST_LABEL)
        return CutShape(count, classes)


def _padded(writer: GraphWriter, boxes: Tensor, label: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """n rows, best first → the first DETECTIONS of them with a batch of one; what is missing has score 0."""

    def padded(tensor: Tensor, *dims: int) -> Tensor:
        longer = writer.op("Concat", tensor, writer.constant(np.zeros((DETECTIONS, *dims))), axis=0)
        return writer.reshape(writer.slice(longer, 0, 0, DETECTIONS), 1, DETECTIONS, *dims)

    return padded(boxes, 4), padded(label), padded(score)


def labelled_heads(network: Network) -> tuple[Head, Head, Head] | None:
    """(boxes, labels, scores) where the network has exactly one output of each form."""
    boxes = [head for head in network.heads if head.is_float and len(head.shape) >= 2 and head.shape[-1] == 4]
    if len(boxes) != 1:
        return None
    rest = [head for head in network.heads if head.shape == boxes[0].shape[:-1]]
    labels = [head for head in rest if not head.is_float]
    scores = [head for head in rest if head.is_float]
    if len(scores) == 2:  # some exports keep labels as floats: then the names decide
        labels = [head for head in scores if "label" in head.name.lower() or "class" in head.name.lower()]
        scores = [head for head in scores if head not in labels]
    return (boxes[0], labels[0], scores[0]) if len(labels) == len(scores) == 1 else None
