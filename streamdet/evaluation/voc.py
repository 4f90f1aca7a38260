"""Average precision by the rules of Pascal VOC: overlap of one half, difficult objects left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamdet import boxes
from streamdet.evaluation.answers import Answer
from streamdet.evaluation.average_precision import Curve, area_ap, curve, eleven_point_ap

OVERLAP = 0.5


@dataclass(frozen=True)
class VocScores:
    """Per class, NaN where there is nothing to find; the means leave those out."""

    eleven_point: tuple[float, ...]
    area: tuple[float, ...]


def voc_scores(answers: Sequence[Answer], classes: Sequence[str]) -> VocScores:
    """Both averages of every class. Edges are those of this package: no pixel is added to widths, as VOC's tools do."""
    curves = [voc_curve(answers, number, name) for number, name in enumerate(classes)]
    return VocScores(tuple(map(eleven_point_ap, curves)), tuple(map(area_ap, curves)))


def voc_curve(answers: Sequence[Answer], class_id: int, name: str) -> Curve:
    """One class over all pictures.

    VOC's rule differs from COCO's: a detection claims the object that it overlaps most, taken or not; where that one
    is taken already, it is a false one, and where it is difficult, it does not count.
    """
    score, hit = [], []
    for answer in answers:
        of_class = np.flatnonzero(answer.found.class_id == class_id)
        objects = np.flatnonzero(answer.truth.class_id == class_id)
        order = of_class[np.argsort(-answer.found.score[of_class], kind="stable")]
        overlaps = boxes.iou(answer.found.xyxy[order], answer.truth.xyxy[objects])
        taken: set[int] = set()
        for i, row in enumerate(order):
            best = int(overlaps[i].argmax()) if len(objects) else -1
            near = best >= 0 and overlaps[i, best] >= OVERLAP
            if near and answer.truth.ignored[objects[best]]:
                continue
            score.append(answer.found.score[row])
            hit.append(near and best not in taken)
            if near:
                taken.add(best)
    positives = sum(int(((a.truth.class_id == class_id) & ~a.truth.ignored).sum()) for a in answers)
    return curve(name, np.array(score, np.float32), np.array(hit, np.bool_), positives)
