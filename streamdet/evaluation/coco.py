"""COCO's average precision, counted by the faster-coco-eval package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.datasets.areas import masks_of
from streamdet.errors import MissingExtra
from streamdet.evaluation.answers import Answer
from streamdet.masks import runs_of

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

    def figures(self, prefix: str = "") -> dict[str, float]:
        """The whole, by name."""
        return {
            f"{prefix}map50_95": self.map50_95,
            f"{prefix}map50": self.map50,
            f"{prefix}map75": self.map75,
            **{f"{prefix}map_{size}": value for size, value in self.by_size.items()},
        }


def coco_scores(answers: Sequence[Answer], classes: Sequence[str]) -> CocoScores:
    """Of boxes. Ignored objects are COCO's crowds: what lies on them by half of itself is neither right nor wrong."""
    return _scores(_precision(coco_truth(answers, classes), coco_found(answers), "bbox"), classes)


def coco_mask_scores(answers: Sequence[Answer], classes: Sequence[str]) -> CocoScores | None:
    """The same of masks; None where the detector gives none, or none are known."""
    known = any(answer.truth.polygons is not None for answer in answers)
    if not known or any(answer.found_masks is None for answer in answers):
        return None
    found = _found_masks(answers)
    if not found:  # with nothing found, masks and boxes score alike, and COCO's tools know only boxes of nothing
        return coco_scores(answers, classes)
    return _scores(_precision(_with_masks(coco_truth(answers, classes), answers), found, "segm"), classes)


def _scores(precision: npt.NDArray[np.float64], classes: Sequence[str]) -> CocoScores:
    """[10 overlaps, 101 recalls, classes, 4 sizes] → what is told of it."""
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


def _with_masks(truth: dict[str, Any], answers: Sequence[Answer]) -> dict[str, Any]:
    """Each object with its mask; one without an outline has its box for one."""
    masks = (mask for answer in answers for mask in masks_of(answer.truth, answer.size))
    for annotation, mask in zip(truth["annotations"], masks, strict=True):
        annotation["segmentation"], annotation["area"] = runs_of(mask), int(mask.sum())
    return truth


def _found_masks(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(answer.found.class_id[row]) + 1,
            "segmentation": runs,
            "score": float(answer.found.score[row]),
        }
        for number, answer in enumerate(answers, start=1)
        for row, runs in enumerate(answer.found_masks or ())
    ]


def _precision(labels: dict[str, Any], answers: Any, what: Literal["bbox", "segm"]) -> npt.NDArray[np.float64]:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingExtra("faster-coco-eval", "eval", "scoring detections") from error
    truth = COCO(labels)
    scored = COCOeval_faster(truth, truth.loadRes(answers), what, print_function=_quiet)
    scored.params.maxDets = [1, 10, MOST]
    scored.evaluate()
    scored.accumulate()
    return np.asarray(scored.eval["precision"], np.float64)[..., -1]


def _quiet(*_: object) -> None:
    """The package tells its progress."""


def _mean(precision: npt.NDArray[np.float64]) -> float:
    told = precision[precision > -1]
    return float(told.mean()) if told.size else float("nan")
