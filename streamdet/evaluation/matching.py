"""Which object each detection of a picture is: COCO's rule, at one overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.datasets.samples import Objects
from streamdet.frames import Detections

FALSE, FREE = -1, -2  # nothing is there; it lies on something ignored, and does not count


@dataclass(frozen=True, slots=True)
class Matches:
    """One picture's detections, best first, and what became of each."""

    score: npt.NDArray[np.float32]  # [N]
    class_id: npt.NDArray[np.int32]  # [N]
    row: npt.NDArray[np.int64]  # [N]: of the object that it found, FALSE or FREE
    overlap: npt.NDArray[np.float32]  # [N]: with that object; 0 without one

    @property
    def hit(self) -> npt.NDArray[np.bool_]:
        """[N]: found something that counts."""
        return np.asarray(self.row >= 0)

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """[N]: right or wrong; what is free is neither."""
        return np.asarray(self.row != FREE)

    def above(self, score: float) -> Matches:
        """Those scored higher; the others' matches stay what they were, since better ones choose first."""
        rows = self.score > score
        return Matches(self.score[rows], self.class_id[rows], self.row[rows], self.overlap[rows])


def match(found: Detections, truth: Objects, least: float = 0.5) -> Matches:
    """The best detection chooses first: of the free objects of its class the one that it overlaps most, by `least`.

    One that finds none is free where at least that part of it lies on an ignored object of its class: a crowd may hold
    any number of detections.
    """
    order = np.argsort(-found.score, kind="stable")
    xyxy, class_id = found.xyxy[order], found.class_id[order]
    row = np.full(len(order), FALSE, np.int64)
    overlap = np.zeros(len(order), np.float32)
    counted = np.flatnonzero(~truth.ignored)
    alike = class_id[:, None] == truth.class_id[None, counted]
    overlaps = np.where(alike, boxes.iou(xyxy, truth.xyxy[counted]), 0)  # [N, M]
    for i in np.flatnonzero((overlaps >= least).any(axis=1)):
        j = int(overlaps[i].argmax())
        if overlaps[i, j] >= least:
            row[i], overlap[i] = counted[j], overlaps[i, j]
            overlaps[:, j] = 0  # taken
    crowds = np.flatnonzero(truth.ignored)
    inside = covered(xyxy, truth.xyxy[crowds]) * (class_id[:, None] == truth.class_id[None, crowds])
    row[(row == FALSE) & (inside >= least).any(axis=1)] = FREE
    return Matches(found.score[order], class_id, row, overlap)


def covered(xyxy: boxes.Boxes, others: boxes.Boxes) -> npt.NDArray[np.float32]:
    """[N, 4], [M, 4] → [N, M]: the part of each box that lies on another one."""
    low = np.maximum(xyxy[:, None, :2], others[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], others[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    whole = np.broadcast_to(boxes.area(xyxy)[:, None], inter.shape)
    part: npt.NDArray[np.float32] = np.divide(inter, whole, out=np.zeros_like(inter), where=whole > 0)
    return part
