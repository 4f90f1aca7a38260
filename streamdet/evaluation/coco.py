"""COCO's average precision, counted by the faster-coco-eval package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.errors import MissingExtra
from streamdet.evaluation.answers import Answer

SIZES = ("small", "medium", "large")  # areas below 32² px, below 96² px, and the rest
MOST = 100  # detections per picture and class that COCO looks at


@dataclass(frozen=True)
class CocoScores:
    """0..1, NaN where there is nothing to find."""

    map50_95: float
    map50: float
    map75: float
    by_size: dict[str, float]  # size → mAP50-95
    ap50_95: tuple[float, ...]  # per class
    ap50: tuple[float, ...]


def coco_scores(answers: Sequence[Answer], classes: Sequence[str]) -> CocoScores:
    """Ignored objects are COCO's crowds: what lies on them by half of itself is neither right nor wrong."""
    precision = _precision(answers, classes)  # [10 overlaps, 101 recalls, classes, 4 sizes]
    whole = precision[..., 0]
    return CocoScores(
        _mean(whole),
        _mean(whole[0]),
        _mean(whole[5]),
        {size: _mean(precision[..., 1 + number]) for number, size in enumerate(SIZES)},
        tuple(_mean(whole[:, :, number]) for number in range(len(classes))),
        tuple(_mean(whole[0, :, number]) for number in range(len(classes))),
    )


def coco_truth(answers: Sequence[Answer], classes: Sequence[str]) -> dict[str, Any]:
    """The pictures and their objects as COCO's JSON has them; everything counts from 1."""
    annotations: list[dict[str, Any]] = []
    for image_id, answer in enumerate(answers, start=1):
        sides = boxes.xyxy_to_xywh(answer.truth.xyxy).astype(np.float64)
        for row, box in enumerate(sides):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(answer.truth.class_id[row]) + 1,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "iscrowd": int(answer.truth.ignored[row]),
                }
            )
    return {
        "images": [
            {"id": number, "file_name": answer.key, "width": answer.size[0], "height": answer.size[1]}
            for number, answer in enumerate(answers, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        "annotations": annotations,
    }


def coco_found(answers: Sequence[Answer]) -> npt.NDArray[np.float64]:
    """[N, 7]: picture, left, top, width, height, score, class; what COCO's tools take as results."""
    rows = [
        np.column_stack(
            [
                np.full(len(answer.found), number),
                boxes.xyxy_to_xywh(answer.found.xyxy),
                answer.found.score,
                answer.found.class_id + 1,
            ]
        )
        for number, answer in enumerate(answers, start=1)
    ]
    return np.concatenate(rows).astype(np.float64)


def _precision(answers: Sequence[Answer], classes: Sequence[str]) -> npt.NDArray[np.float64]:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingExtra("faster-coco-eval", "eval", "scoring detections") from error
    truth = COCO(coco_truth(answers, classes))
    found = truth.loadRes(coco_found(answers))
    scored = COCOeval_faster(truth, found, "bbox", print_function=_quiet)
    scored.params.maxDets = [1, 10, MOST]
    scored.evaluate()
    scored.accumulate()
    return np.asarray(scored.eval["precision"], np.float64)[..., -1]


def _quiet(*_: object) -> None:
    """The package tells its progress."""


def _mean(precision: npt.NDArray[np.float64]) -> float:
    told = precision[precision > -1]
    return float(told.mean()) if told.size else float("nan")
