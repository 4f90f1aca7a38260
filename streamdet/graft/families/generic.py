"""Generic: boxes and scores that are already what the cut wants. Also the form of our own exports."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import Network, Preparation, pair_of_heads, wrong_form
from streamdet.graft.nms_graph import CUT_BOXES, CUT_EXTRAS, CUT_SCORES, CutShape
from streamdet.graft.writer import GraphWriter


class Generic:
    """Boxes [B, N, 4] xyxy in pixels of the input and scores [B, N, C] in 0..1; keypoints and masks where present."""

    name = "generic"
    title = "boxes [B,N,4] xyxy in input pixels, scores [B,N,C] in 0..1"
    end_to_end = False

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
        writer.cast(boxes.name, np.float32, CUT_BOXES)
        writer.cast(scores.name, np.float32, CUT_SCORES)
        extras: dict[str, tuple[int, ...]] = {}
        for meaning, cut in CUT_EXTRAS.items():
            head = network.head(meaning, cut)
            if head is not None and len(head.shape) == 4:
                writer.cast(head.name, np.float32, cut)
                extras[meaning] = head.shape[2:]
        return CutShape(boxes.shape[1], classes, extras)
