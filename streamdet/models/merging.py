"""Greedy merging (Sermanet et al. 2013): boxes that agree become one, and their confidence adds up.

Suppression keeps the best of many boxes and forgets the others; merging takes all of them for votes. A place that many
windows speak for beats one that a single window is very sure of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, iou


def merge(
    xyxy: Boxes, score: npt.NDArray[np.float32], class_id: npt.NDArray[np.int32], overlap: float = 0.4
) -> tuple[Boxes, npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """The two boxes of a class that overlap most become their average, weighted by score, until none overlap so much.

    → boxes, scores (sums) and classes, best first.
    """
    parts = [_one_class(xyxy[class_id == one], score[class_id == one], overlap) for one in np.unique(class_id)]
    classes = [np.full(len(part[1]), one, np.int32) for one, part in zip(np.unique(class_id), parts, strict=True)]
    if not parts:
        return xyxy, score, class_id
    boxes, scores = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
    order = np.argsort(-scores, kind="stable")
    return boxes[order].astype(np.float32), scores[order].astype(np.float32), np.concatenate(classes)[order]


def _one_class(
    xyxy: Boxes, score: npt.NDArray[np.float32], overlap: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    boxes, weight = xyxy.astype(np.float64), score.astype(np.float64)
    agreed = np.triu(iou(xyxy, xyxy).astype(np.float64), k=1)  # each pair once
    alive = np.ones(len(boxes), np.bool_)
    while alive.any():
        first, second = np.unravel_index(int(agreed.argmax()), agreed.shape)
        if agreed[first, second] <= overlap:
            break
        total = weight[first] + weight[second]
        boxes[first] = (weight[first] * boxes[first] + weight[second] * boxes[second]) / total
        weight[first], alive[second] = total, False
        agreed[second], agreed[:, second] = 0, 0
        row = iou(boxes[first : first + 1].astype(np.float32), boxes.astype(np.float32))[0] * alive
        row[first] = 0
        agreed[first, first:], agreed[:first, first] = row[first:], row[:first]
    return boxes[alive], weight[alive]
