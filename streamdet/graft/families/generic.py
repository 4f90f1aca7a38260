"""Generic: boxes and scores that are already what the cut wants. Also the form of our own exports."""

from __future__ import annotations

from streamdet.graft.families.contract import Network, Preparation, pair_of_heads, wrong_form
from streamdet.graft.families.pieces import float_head
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES


class Generic:
    """Boxes [B, N, 4] xyxy in pixels of the input and scores [B, N, C] in 0..1; keypoints and masks where present."""

    name = "generic"
    title = "boxes [B,N,4] xyxy in input pixels, scores [B,N,C] in 0..1"

    def __init__(self, end_to_end: bool = False) -> None:
        self.end_to_end = end_to_end

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels=None)

    def fits(self, network: Network) -> bool:
        return pair_of_heads(network) is not None

    def certain(self, network: Network) -> bool:
        return network.head(CUT_BOXES) is not None and network.head(CUT_SCORES) is not None

    def class_count(self, network: Network) -> int | None:
        pair = pair_of_heads(network)
        return pair[1].shape[2] if pair else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        pair = pair_of_heads(network)
        if pair is None:
            raise wrong_form(self.name, network, self.title)
        boxes, scores = pair
        float_head(writer, boxes, CUT_BOXES)
        float_head(writer, scores, CUT_SCORES)
        extras: dict[str, tuple[int, ...]] = {}
        for meaning, cut in CUT_EXTRAS.items():
            head = network.head(meaning, cut)
            if head is not None and len(head.shape) == 4:
                float_head(writer, head, cut)
                extras[meaning] = head.shape[2:]
        return CutShape(boxes.shape[1], classes, extras)
