"""RT-DETR, D-FINE, DEIM and their kin: queries with logits and boxes, or already labelled and scaled."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import Head, Network, Preparation, only_head, pair_of_heads, wrong_form
from streamdet.graft.families.pieces import boxes_from_centres, boxes_from_corners, float_head, scores_from_labels
from streamdet.graft.families.torchvision import labelled_heads
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter
from streamdet.infer.tail import CUT_SCORES

_LOGIT_NAMES = {"logits", "pred_logits", "class_logits"}
_BOX_NAMES = {"boxes", "pred_boxes"}
_RF_DETR = {"dets", "labels"}  # RF-DETR calls boxes and logits so


class Detr:
    """Logits [B, Q, C] and boxes [B, Q, 4] as cx, cy, w, h in parts of the input.

    With a second input for the picture's size, the post-processing is inside: boxes in pixels, labels, scores. Some
    exporters join boxes and scores (after the sigmoid) into one [B, Q, 4 + C].
    """

    name = "detr"
    title = (
        "logits [B,Q,C] and boxes [B,Q,4] as cx, cy, w, h in 0..1; or, with an input for sizes, boxes, labels, scores"
    )
    end_to_end = True

    def preparation(self, network: Network) -> Preparation:
        names = {head.name.lower() for head in network.heads}
        return Preparation(
            pixels="imagenet" if names >= _RF_DETR and not network.extra_inputs else "0..1", mode="stretch"
        )

    def fits(self, network: Network) -> bool:
        return any(found is not None for found in (_labelled(network), pair_of_heads(network), joined_head(network)))

    def certain(self, network: Network) -> bool:
        if _labelled(network) is not None:
            return True
        pair = pair_of_heads(network)
        if pair is None:
            return False
        boxes, scores = pair[0].name.lower(), pair[1].name.lower()
        return (scores in _LOGIT_NAMES and boxes in _BOX_NAMES) or {boxes, scores} == _RF_DETR

    def class_count(self, network: Network) -> int | None:
        pair, joined = pair_of_heads(network), joined_head(network)
        if _labelled(network) is not None:
            return None
        return pair[1].shape[2] if pair else joined.shape[2] - 4 if joined else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        labelled = _labelled(network)
        if labelled is not None:
            boxes, label, score = labelled
            boxes_from_corners(writer, float_head(writer, boxes))
            scores_from_labels(writer, float_head(writer, score), float_head(writer, label), classes)
            return CutShape(boxes.shape[1], classes)
        pair, joined = pair_of_heads(network), joined_head(network)
        if joined is not None:
            rows, scores = writer.split(float_head(writer, joined), 2, 4, classes)
            queries, inside = joined.shape[1], True
        elif pair is not None:
            rows, scores = float_head(writer, pair[0]), float_head(writer, pair[1])
            queries, inside = pair[0].shape[1], is_probability(network, pair[1])
        else:
            raise wrong_form(self.name, network, self.title)
        pixels = writer.op("Mul", rows, writer.constant([[[*network.size, *network.size]]]))
        boxes_from_centres(writer, *writer.split(pixels, 2, 2, 2))
        writer.op("Identity" if inside else "Sigmoid", scores, name=CUT_SCORES)
        return CutShape(queries, classes)


def is_probability(network: Network, head: Head) -> bool:
    """Whether the sigmoid is in the network already."""
    return network.makers.get(head.name) == frozenset({"Sigmoid"})


def joined_head(network: Network) -> Head | None:
    """[B, Q, 4 + C] whose every number was in 0..1 when the network was probed: boxes in pixels never are."""
    head = only_head(network, 3)
    if head is None or head.shape[2] < 5 or not head.shape[1] or network.extra_inputs:
        return None
    numbers = np.asarray(network.samples[head.name], np.float64)
    return head if numbers.min() >= 0 and numbers.max() <= 1 else None


def _labelled(network: Network) -> tuple[Head, Head, Head] | None:
    """(boxes [B, Q, 4], labels [B, Q], scores [B, Q]) where the network also asks for the picture's size."""
    found = labelled_heads(network) if network.extra_inputs else None
    return found if found is not None and len(found[0].shape) == 3 else None
