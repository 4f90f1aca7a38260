"""How well a detector finds what is in a data set's pictures: every figure of an engine or of a model in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import DataSet
from streamdet.evaluation.answers import Answer, Predictor, Progress, ask
from streamdet.evaluation.average_precision import Curve, Threshold, best_threshold, curve
from streamdet.evaluation.coco import CocoScores, coco_mask_scores, coco_scores
from streamdet.evaluation.confusion import Counts, confusion_matrix
from streamdet.evaluation.matching import FALSE, Matches, match
from streamdet.evaluation.voc import voc_scores


@dataclass(frozen=True)
class ClassScores:
    """One class; shares in 0..1, NaN where the data set has none of it."""

    name: str
    objects: int
    ap50_95: float
    ap50: float
    voc_11_point: float
    voc_area: float
    precision: float  # these three at the common threshold
    recall: float
    f1: float


@dataclass(frozen=True)
class PictureScores:
    """One picture at the common threshold."""

    index: int
    key: str
    hits: int
    false: int
    missed: int
    quality: float  # sum of the hits' overlaps / (hits + half of all errors): 1 is perfect, also where nothing is


@dataclass(frozen=True)
class DetectionScores:
    """Everything that is known of a detector on a data set; shares in 0..1, NaN where there is nothing to find."""

    data: str
    classes: tuple[str, ...]
    pictures: int
    objects: int  # that count
    ignored: int
    map50_95: float
    map50: float
    map75: float
    by_size: dict[str, float]  # small, medium, large → mAP50-95
    voc_11_point: float
    voc_area: float
    per_class: tuple[ClassScores, ...]
    best: Threshold  # where F1 over all classes together is largest
    score: float  # the threshold of the counts below: the best one unless another was asked for
    confusion: Counts = field(repr=False)  # [C + 1, C + 1]: what it is × what it was taken for, background last
    curves: tuple[Curve, ...] = field(repr=False)  # per class at an overlap of one half, then all together
    per_picture: tuple[PictureScores, ...] = field(repr=False)
    answers: tuple[Answer, ...] = field(repr=False)
    masks: CocoScores | None = None  # of a detector that gives masks, where masks are known

    def worst(self, count: int) -> tuple[PictureScores, ...]:
        """The pictures that it does worst on, the worst first."""
        return tuple(sorted(self.per_picture, key=lambda one: (one.quality, -one.missed - one.false))[:count])

    def finest(self, count: int) -> tuple[PictureScores, ...]:
        """The pictures that it does best on; of equals those with most objects."""
        return tuple(sorted(self.per_picture, key=lambda one: (-one.quality, -one.hits))[:count])

    def figures(self) -> dict[str, float]:
        """The few numbers that stand for the whole: for tables, cards and logs."""
        return {
            "map50_95": self.map50_95,
            "map50": self.map50,
            "map75": self.map75,
            **{f"map_{size}": value for size, value in self.by_size.items()},
            "voc_11_point": self.voc_11_point,
            "voc_area": self.voc_area,
            "best_f1": self.best.f1,
            "best_score": self.best.score,
            **(self.masks.figures("mask_") if self.masks else {}),
        }

    def as_json(self) -> dict[str, Any]:
        """All figures, without curves and pictures, as JSON takes them: null stands for NaN."""
        columns = ("objects", "ap50_95", "ap50", "voc_11_point", "voc_area", "precision", "recall", "f1")
        return {
            "data": self.data,
            "pictures": self.pictures,
            "objects": self.objects,
            "ignored": self.ignored,
            **{name: _json(value) for name, value in self.figures().items()},
            "per_class": {
                one.name: {column: _json(getattr(one, column)) for column in columns} for one in self.per_class
            },
            "score": _json(self.score),
            "confusion": {"labels": [*self.classes, "background"], "counts": self.confusion.tolist()},
        }


def score_detections(
    predictor: Predictor, data_set: DataSet, *, score: float | None = None, progress: Progress | None = None
) -> DetectionScores:
    """Show a detector every picture of a data set and count.

    The predictor gives all it has, however unsure (a floor of 0.001 costs nothing). `score` is the threshold of the
    confusion matrix and of the single pictures; where none is given, the one of the best F1.
    """
    return score_answers(ask(predictor, data_set, progress), data_set.name, data_set.classes, score=score)


def score_answers(
    answers: Sequence[Answer], data: str, classes: tuple[str, ...], *, score: float | None = None
) -> DetectionScores:
    """The same for answers that are already there."""
    matches = [match(answer.found, answer.truth) for answer in answers]
    coco, voc = coco_scores(answers, classes), voc_scores(answers, classes)
    curves = _curves(answers, matches, classes)
    best = best_threshold(curves[-1])
    chosen = best.score if score is None else score
    per_class = []
    for number, name in enumerate(classes):
        at = _at(curves[number], chosen)
        figures = (coco.ap50_95[number], coco.ap50[number], voc.eleven_point[number], voc.area[number])
        per_class.append(ClassScores(name, curves[number].positives, *figures, at.precision, at.recall, at.f1))
    pictures = [_picture(i, *both, chosen) for i, both in enumerate(zip(answers, matches, strict=True))]
    return DetectionScores(
        data=data,
        classes=classes,
        pictures=len(answers),
        objects=curves[-1].positives,
        ignored=sum(int(answer.truth.ignored.sum()) for answer in answers),
        map50_95=coco.map50_95,
        map50=coco.map50,
        map75=coco.map75,
        by_size=coco.by_size,
        voc_11_point=_mean(voc.eleven_point),
        voc_area=_mean(voc.area),
        per_class=tuple(per_class),
        best=best,
        score=chosen,
        confusion=confusion_matrix(answers, matches, len(classes), chosen),
        curves=curves,
        per_picture=tuple(pictures),
        answers=tuple(answers),
        masks=coco_mask_scores(answers, classes),
    )


def _curves(answers: Sequence[Answer], matches: Sequence[Matches], classes: Sequence[str]) -> tuple[Curve, ...]:
    """One per class, then one of all detections together."""
    score, class_id, hit, counted = (
        np.concatenate([getattr(one, name) for one in matches]) for name in ("score", "class_id", "hit", "counted")
    )
    there = np.concatenate([answer.truth.class_id[~answer.truth.ignored] for answer in answers])
    curves = []
    for number, name in enumerate(classes):
        rows = counted & (class_id == number)
        curves.append(curve(name, score[rows], hit[rows], int((there == number).sum())))
    return *curves, curve("all", score[counted], hit[counted], len(there))


def _at(points: Curve, score: float) -> Threshold:
    """The curve where detections count above `score`."""
    taken = int((points.score > score).sum())
    if not taken or not points.positives:
        return Threshold(score, float("nan"), 0.0 if points.positives else float("nan"), 0.0)
    last = taken - 1
    return Threshold(score, float(points.precision[last]), float(points.recall[last]), float(points.f1[last]))


def _picture(index: int, answer: Answer, every: Matches, score: float) -> PictureScores:
    seen = every.above(score)
    hits, false = int(seen.hit.sum()), int((seen.row == FALSE).sum())
    missed = int((~answer.truth.ignored).sum()) - hits
    weight = hits + (false + missed) / 2
    quality = float(seen.overlap.sum()) / weight if weight else 1.0
    return PictureScores(index, answer.key, hits, false, missed, quality)


def _mean(values: Sequence[float]) -> float:
    told: npt.NDArray[np.float64] = np.array([value for value in values if not math.isnan(value)])
    return float(told.mean()) if told.size else float("nan")


def _json(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return None if math.isnan(value) else round(value, 6)
