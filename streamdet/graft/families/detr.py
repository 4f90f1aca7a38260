"""RT-DETR, D-FINE, DEIM and their kin: queries with logits and boxes, or already labelled and scaled."""

from __future__ import annotations

from streamdet.graft.families.contract import Head, Network, Preparation, pair_of_heads, wrong_form
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

    With a second input for the picture's size, the post-processing is inside: boxes in pixels, labels, scores.
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
        return _labelled(network) is not None or pair_of_heads(network) is not None

    def certain(self, network: Network) -> bool:
        if _labelled(network) is not None:
            return True
        pair = pair_of_heads(network)
        if pair is None:
            return False
        boxes, scores = pair[0].name.lower(), pair[1].name.lower()
        return (scores in _LOGIT_NAMES and boxes in _BOX_NAMES) or {boxes, scores} == _RF_DETR

    def class_count(self, network: Network) -> int | None:
        pair = pair_of_heads(network)
        return pair[1].shape[2] if pair and _labelled(network) is None else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        labelled = _labelled(network)
        if labelled is not None:
            boxes, label, score = labelled
            boxes_from_corners(writer, float_head(writer, boxes))
            scores_from_labels(writer, float_head(writer, score), float_head(writer, label), classes)
            return CutShape(boxes.shape[1], classes)
        pair = pair_of_heads(network)
        if pair is None:
            raise wrong_form(self.name, network, self.title)
        rows = writer.op("Mul", float_head(writer, pair[0]), writer.constant([[[*network.size, *network.size]]]))
        boxes_from_centres(writer, *writer.split(rows, 2, 2, 2))
        scores = float_head(writer, pair[1])
        writer.op("Identity" if is_probability(network, pair[1]) else "Sigmoid", scores, name=CUT_SCORES)
        return CutShape(pair[0].shape[1], classes)


def is_probability(network: Network, head: Head) -> bool:
    """Whether the sigmoid is in the network already."""
    return network.makers.get(head.name) == frozenset({"Sigmoid"})


def _labelled(network: Network) -> tuple[Head, Head, Head] | None:
    """(boxes [B, Q, 4], labels [B, Q], scores [B, Q]) where the network also asks for the picture's size."""
    found = labelled_heads(network) if network.extra_inputs else None
    return found if found is not None and len(found[0].shape) == 3 else None
