"""Who is taken for whom: the confusion matrix of a detector at one threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.evaluation.answers import Answer
from streamdet.evaluation.matching import FALSE, Matches

Counts = npt.NDArray[np.int64]


def confusion_matrix(
    answers: Sequence[Answer], matches: Sequence[Matches], classes: int, score: float, least: float = 0.5
) -> Counts:
    """[C + 1, C + 1]: what it is (row) and what it was taken for (column); the last of each is the background.

    The diagonal are the hits of the scores themselves. Objects and detections left over by them are paired whatever
    their classes, those that overlap most first: they were confused. The rest was missed, or invented.
    """
    counts: Counts = np.zeros((classes + 1, classes + 1), np.int64)
    for answer, every in zip(answers, matches, strict=True):
        seen = every.above(score)
        np.add.at(counts, (answer.truth.class_id[seen.row[seen.hit]], seen.class_id[seen.hit]), 1)
        missed = np.setdiff1d(np.flatnonzero(~answer.truth.ignored), seen.row[seen.hit])
        order = np.argsort(-answer.found.score, kind="stable")[: len(seen.score)]
        wrong = np.flatnonzero(seen.row == FALSE)
        overlaps = boxes.iou(answer.truth.xyxy[missed], answer.found.xyxy[order][wrong])
        true_class = answer.truth.class_id[missed]
        told_class = seen.class_id[wrong]
        while overlaps.size and overlaps.max() >= least:
            i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
            counts[true_class[i], told_class[j]] += 1
            overlaps = np.delete(np.delete(overlaps, i, axis=0), j, axis=1)
            true_class, told_class = np.delete(true_class, i), np.delete(told_class, j)
        np.add.at(counts[:, classes], true_class, 1)
        np.add.at(counts[classes], told_class, 1)
    return counts
