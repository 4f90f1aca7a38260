"""SSD: boxes in parts of the input, and scores of which the first is the background."""

from __future__ import annotations

import numpy as np

from streamdet.graft.families.contract import Network, Preparation, pair_of_heads, wrong_form
from streamdet.graft.families.pieces import boxes_from_corners, float_head
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.writer import GraphWriter
from streamdet.infer.tail import CUT_SCORES


class Ssd:
    """Boxes [B, N, 4] as corners in 0..1 and scores [B, N, 1 + C], the background first, before or after softmax."""

    name = "ssd"
    title = "boxes [B,N,4] as corners in 0..1, scores [B,N,1+C] with the background first"
    end_to_end = False

    def preparation(self, network: Network) -> Preparation:
        return Preparation(pixels=None, mode="stretch")

    def fits(self, network: Network) -> bool:
        pair = pair_of_heads(network)
        return pair is not None and pair[1].shape[2] >= 2

    def certain(self, network: Network) -> bool:
        pair = pair_of_heads(network)
        if pair is None or not has_softmax(network) or len(network.classes) != pair[1].shape[2] - 1:
            return False
        corners = network.samples[pair[0].name]
        return bool(np.all(np.abs(corners) < 4))  # parts, never pixels

    def class_count(self, network: Network) -> int | None:
        pair = pair_of_heads(network)
        return pair[1].shape[2] - 1 if pair else None

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape:
        pair = pair_of_heads(network)
        if pair is None:
            raise wrong_form(self.name, network, self.title)
        boxes, scores = pair
        boxes_from_corners(writer, float_head(writer, boxes), network.size)
        rows = float_head(writer, scores)
        if not has_softmax(network):
            rows = writer.op("Softmax", rows, axis=2)
        writer.slice(rows, 2, 1, 1 + classes, name=CUT_SCORES)
        return CutShape(boxes.shape[1], classes)


def has_softmax(network: Network) -> bool:
    """Whether the scores of every row add up to one already, as they did when the network was probed."""
    pair = pair_of_heads(network)
    if pair is None:
        return False
    rows = np.asarray(network.samples[pair[1].name], np.float64)
    return bool(np.all(rows >= 0) and np.allclose(rows.sum(axis=2), 1, atol=2e-3))
