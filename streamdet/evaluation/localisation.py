"""How well the one object of a picture is placed: its box by overlap, its landmarks by distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.boxes import iou
from streamdet.datasets.samples import DataSet
from streamdet.errors import DataError
from streamdet.evaluation.answers import Answer, Predictor, Progress, ask


@dataclass(frozen=True)
class LocalisationScores:
    """Means over all pictures that show an object; shares in 0..1."""

    data: str
    pictures: int
    mean_overlap: float  # of the best answer's box with the object; 0 where there is no answer
    right_class: float
    landmark_error: float | None  # mean distance as a share of the object's larger side; None without landmarks
    landmarks_near: float | None  # share of them that lie within a tenth of it


def score_localisation(predictor: Predictor, data_set: DataSet, progress: Progress | None = None) -> LocalisationScores:
    """The best answer to each picture against its largest object; pictures without one are passed over."""
    overlaps, right = [], []
    distances: list[npt.NDArray[np.float64]] = []
    for answer in ask(predictor, data_set, progress):
        truth = _largest(answer)
        if truth is None:
            continue
        found, objects = answer.found, answer.truth
        box = objects.xyxy[truth]
        best = int(found.score.argmax()) if len(found) else None
        overlaps.append(0.0 if best is None else float(iou(found.xyxy[best : best + 1], box[None])[0, 0]))
        right.append(best is not None and int(found.class_id[best]) == int(objects.class_id[truth]))
        if best is not None and found.keypoints is not None and objects.keypoints is not None:
            known = objects.keypoints[truth, :, 2] > 0
            away = np.hypot(*(found.keypoints[best, :, :2] - objects.keypoints[truth, :, :2]).T)
            distances.append(away[known].astype(np.float64) / max(float((box[2:] - box[:2]).max()), 1e-6))
    if not overlaps:
        raise DataError("no picture shows an object", where=data_set.name)
    apart = np.concatenate(distances) if distances else np.zeros(0)
    return LocalisationScores(
        data_set.name,
        len(overlaps),
        float(np.mean(overlaps)),
        float(np.mean(right)),
        float(apart.mean()) if len(apart) else None,
        float((apart < 0.1).mean()) if len(apart) else None,
    )


def _largest(answer: Answer) -> int | None:
    objects = answer.truth
    side = objects.xyxy[:, 2:] - objects.xyxy[:, :2]
    rows = np.flatnonzero(~objects.ignored & (objects.class_id >= 0))
    return int(rows[side[rows].prod(axis=1).argmax()]) if len(rows) else None
