"""The plain numpy twin of every family's decode, and of the suppression: what an engine is held against.

Written from the families' published formulas, sharing nothing with the nodes that the graft writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.errors import ModelRefused
from streamdet.graft.families.contract import Head, Network, keypoint_shape, pair_of_heads, strides_of, wrong_form
from streamdet.graft.families.detr import joined_head
from streamdet.graft.families.torchvision import labelled_heads
from streamdet.manifest import Nms

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """What a network proposes for one picture, before anything is suppressed."""

    xyxy: Floats  # [N, 4] in input pixels
    scores: Floats  # [N, C]
    keypoints: Floats | None = None  # [N, P, 3]
    masks: Floats | None = None  # [N, h, w], relative to the box

    def best(self) -> tuple[Floats, npt.NDArray[np.int32]]:
        """Score and class of every candidate, [N] each."""
        class_id = self.scores.argmax(axis=1)
        return self.scores[np.arange(len(class_id)), class_id], class_id.astype(np.int32)

    def above(self, score: float) -> Candidates:
        """Only those whose best class scores higher."""
        rows = self.best()[0] > score
        points = None if self.keypoints is None else self.keypoints[rows]
        masks = None if self.masks is None else self.masks[rows]
        return Candidates(self.xyxy[rows], self.scores[rows], points, masks)


@dataclass(frozen=True)
class Found:
    """Detections of one picture in input pixels, best first."""

    xyxy: Floats  # [n, 4]
    score: Floats  # [n]
    class_id: npt.NDArray[np.int32]  # [n]

    def above(self, score: float) -> Found:
        """Only those with a higher score."""
        rows = self.score > score
        return Found(self.xyxy[rows], self.score[rows], self.class_id[rows])


def decode(family: str, outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    """The raw outputs of one run as candidates, picture by picture."""
    return DECODERS[family](outputs, network, classes)


def suppress(candidates: Candidates, nms: Nms) -> Found:
    """Greedy suppression over the K best, as the engine's graph must do it."""
    score, class_id = candidates.best()
    order = np.argsort(-score, kind="stable")[: nms.candidates]
    order = order[score[order] > np.float32(nms.floor)]
    xyxy, score, class_id = candidates.xyxy[order], score[order], class_id[order]
    rows = np.arange(len(order)) if nms.end_to_end else boxes.greedy_nms(xyxy, score, class_id, nms.iou)
    rows = rows[: nms.max_detections]
    return Found(xyxy[rows], score[rows], class_id[rows])


def _yolox(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    head = next(head for head in network.heads if head.is_float and len(head.shape) == 3)
    found = []
    for rows in outputs[head.name].astype(np.float32):
        centres = rows[:, :4].copy()
        if network.is_bare(head):
            first = 0
            for stride in strides_of(network, len(rows)) or ():
                columns, lines = -(-network.size[0] // stride), -(-network.size[1] // stride)
                cells = slice(first, first + columns * lines)
                centres[cells, 0] = (rows[cells, 0] + np.tile(np.arange(columns), lines)) * stride
                centres[cells, 1] = (rows[cells, 1] + np.repeat(np.arange(lines), columns)) * stride
                centres[cells, 2:] = np.exp(rows[cells, 2:4]) * stride
                first = cells.stop
        found.append(Candidates(boxes.cxcywh_to_xyxy(centres), rows[:, 4:5] * rows[:, 5 : 5 + classes]))
    return found


def _yolov5(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    head = next(head for head in network.heads if head.is_float and len(head.shape) == 3)
    return [
        Candidates(boxes.cxcywh_to_xyxy(rows[:, :4]), rows[:, 4:5] * rows[:, 5 : 5 + classes])
        for rows in outputs[head.name].astype(np.float32)
    ]


def _yolov8(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    head = next(head for head in network.heads if head.is_float and len(head.shape) == 3)
    return [
        Candidates(
            boxes.cxcywh_to_xyxy(columns[:4].T),
            columns[4 : 4 + classes].T,
            _keypoints(columns[4 + classes :].T, network),
        )
        for columns in outputs[head.name].astype(np.float32)
    ]


def _yolov10(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    head = next(head for head in network.heads if head.is_float and len(head.shape) == 3)
    return [
        Candidates(rows[:, :4], _one_hot(rows[:, 5], rows[:, 4], classes), _keypoints(rows[:, 6:], network))
        for rows in outputs[head.name].astype(np.float32)
    ]


def _detr(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    if network.extra_inputs and labelled_heads(network):
        return _labelled(outputs, network, classes, first_label=0)
    scale = np.array([*network.size, *network.size], np.float32)
    joined = joined_head(network)
    if joined is not None:
        return [
            Candidates(boxes.cxcywh_to_xyxy(rows[:, :4] * scale), rows[:, 4 : 4 + classes])
            for rows in outputs[joined.name].astype(np.float32)
        ]
    pair = _pair(network)
    found = []
    for rows, logits in zip(outputs[pair[0].name], outputs[pair[1].name], strict=True):
        scores = logits.astype(np.float32)
        if "Sigmoid" not in network.makers.get(pair[1].name, ()):
            scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(np.float32)
        found.append(Candidates(boxes.cxcywh_to_xyxy(rows.astype(np.float32) * scale), scores))
    return found


def _ssd(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    pair = _pair(network)
    scale = np.array([*network.size, *network.size], np.float32)
    found = []
    for rows, scores in zip(outputs[pair[0].name], outputs[pair[1].name], strict=True):
        chances = scores.astype(np.float64)
        if not np.allclose(np.asarray(network.samples[pair[1].name], np.float64).sum(axis=2), 1, atol=2e-3):
            chances = np.exp(chances - chances.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
        found.append(Candidates(rows.astype(np.float32) * scale, chances[:, 1 : 1 + classes].astype(np.float32)))
    return found


def _torchvision(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    return _labelled(outputs, network, classes, first_label=1)


def _generic(outputs: Arrays, network: Network, classes: int) -> list[Candidates]:
    pair = _pair(network)
    return [
        Candidates(rows.astype(np.float32), scores.astype(np.float32))
        for rows, scores in zip(outputs[pair[0].name], outputs[pair[1].name], strict=True)
    ]


DECODERS: dict[str, Callable[[Arrays, Network, int], list[Candidates]]] = {
    "yolox": _yolox,
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "yolov10": _yolov10,
    "detr": _detr,
    "ssd": _ssd,
    "torchvision": _torchvision,
    "generic": _generic,
}


def _labelled(outputs: Arrays, network: Network, classes: int, first_label: int) -> list[Candidates]:
    heads = labelled_heads(network)
    if heads is None:
        raise wrong_form("boxes, labels, scores", network, "one output each")
    box_rows, labels, scores = (outputs[head.name].astype(np.float32) for head in heads)
    if box_rows.ndim == 2:
        box_rows, labels, scores = box_rows[None], labels[None], scores[None]
    return [
        Candidates(xyxy, _one_hot(label - first_label, score, classes))
        for xyxy, label, score in zip(box_rows, labels, scores, strict=True)
    ]


def _pair(network: Network) -> tuple[Head, Head]:
    pair = pair_of_heads(network)
    if pair is None:
        raise wrong_form("boxes, scores", network, "two outputs [B,N,4] and [B,N,C]")
    return pair


def _one_hot(label: Floats, score: Floats, classes: int) -> Floats:
    """[N], [N] → [N, C]; a scored label without a class means that the list of classes is too short."""
    columns = np.rint(label).astype(np.int64)
    scores = np.zeros((len(label), classes), np.float32)
    known = (columns >= 0) & (columns < classes)
    strange = columns[~known & (score > 0)]
    if strange.size:
        raise ModelRefused(
            "the network gives a label that the classes do not have",
            expected=f"0 to {classes - 1}: {classes} classes",
            got=int(strange.max()),
            hint="give the names in the network's order, one per line: --classes FILE",
        )
    scores[np.arange(len(label))[known], columns[known]] = score[known]
    return scores


def _keypoints(columns: Floats, network: Network) -> Floats | None:
    shape = keypoint_shape(network)
    if shape is None:
        return None
    points = columns[:, : shape[0] * shape[1]].reshape(len(columns), *shape)
    if shape[1] == 2:
        points = np.concatenate([points, np.ones((*points.shape[:2], 1), np.float32)], axis=2)
    return points.astype(np.float32)
