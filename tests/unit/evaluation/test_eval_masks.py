"""Average precision of masks: equal to pycocotools."""

from __future__ import annotations

import contextlib
import io
import math

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamdet.datasets.runs import outlines
from streamdet.datasets.samples import Entry, Objects, Sample
from streamdet.evaluation.answers import Answer, ask
from streamdet.evaluation.coco import coco_mask_scores
from streamdet.evaluation.detections import score_answers
from streamdet.frames import Detections
from streamdet.masks import runs_of, runs_pasted

SIZE = (200, 160)
CLASSES = ("a", "b")


def ellipse(xyxy: np.ndarray) -> np.ndarray:
    left, top, right, bottom = xyxy
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    inside = ((x - (left + right) / 2) / (right - left)) ** 2 + ((y - (top + bottom) / 2) / (bottom - top)) ** 2
    return (inside <= 0.25).astype(np.uint8)


def invented(seed: int, pictures: int = 8) -> list[Answer]:
    """Ellipses; found ones are shifted, and some are missed, doubled or of the other class."""
    random = np.random.default_rng(seed)
    answers = []
    for number in range(pictures):
        count = int(random.integers(0, 5))
        corner, sides = random.uniform(0, 100, (count, 2)), random.uniform(12, 90, (count, 2))
        xyxy = np.concatenate([corner, np.minimum(corner + sides, SIZE)], axis=1).astype(np.float32)
        rings = tuple(outlines(ellipse(box)) for box in xyxy)
        class_id = random.integers(0, 2, count)
        truth = Objects(xyxy, class_id, random.random(count) < 0.15, None, rings)
        seen = np.flatnonzero(random.random(count) < 0.8).repeat(2)
        boxes = xyxy[seen] + random.normal(0, 3, (len(seen), 4)).astype(np.float32)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 4)
        kinds = np.where(random.random(len(seen)) < 0.9, class_id[seen], 1 - class_id[seen])
        found = Detections(boxes, random.random(len(seen)).astype(np.float32), kinds.astype(np.int32), CLASSES)
        soft = cv2.resize(ellipse(np.array([0, 0, *SIZE])), (28, 28), interpolation=cv2.INTER_AREA).astype(np.float32)
        masks = tuple(runs_pasted(soft, box, SIZE) for box in boxes.tolist())
        answers.append(Answer(str(number), SIZE, truth, found, masks))
    return answers


def by_pycocotools(answers: list[Answer]) -> list[float]:
    annotations, results = [], []
    for number, answer in enumerate(answers, start=1):
        for row in range(len(answer.truth)):
            mask = ellipse(answer.truth.xyxy[row])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(answer.truth.class_id[row]) + 1,
                    "bbox": [0, 0, 1, 1],
                    "area": int(mask.sum()),
                    "iscrowd": int(answer.truth.ignored[row]),
                    "segmentation": runs_of(mask),
                }
            )
        for row, runs in enumerate(answer.found_masks or ()):
            score, kind = float(answer.found.score[row]), int(answer.found.class_id[row]) + 1
            results.append({"image_id": number, "category_id": kind, "score": score, "segmentation": runs})
    images = [{"id": number, "width": SIZE[0], "height": SIZE[1]} for number in range(1, len(answers) + 1)]
    truth = COCO()
    truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}, {"id": 2}]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        scored = COCOeval(truth, truth.loadRes(results), "segm")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return scored.stats[:6].tolist()


@pytest.mark.parametrize("seed", range(4))
def test_mask_scores_are_those_of_pycocotools(seed: int):
    answers = invented(seed)
    scores = coco_mask_scores(answers, CLASSES)
    assert scores is not None
    expected = [math.nan if value == -1 else value for value in by_pycocotools(answers)]
    assert pytest.approx(expected, abs=1e-9, nan_ok=True) == list(scores.figures().values())


def test_masks_are_told_beside_boxes():
    figures = score_answers(invented(1), "invented", CLASSES).figures()
    assert 0 < figures["mask_map50_95"] < figures["mask_map50"] <= 1
    assert figures["mask_map50_95"] != figures["map50_95"]


def test_a_detector_without_masks_has_no_mask_scores():
    answers = [Answer(one.key, one.size, one.truth, one.found) for one in invented(2)]
    assert coco_mask_scores(answers, CLASSES) is None
    assert "mask_map50" not in score_answers(answers, "invented", CLASSES).figures()


def test_where_nothing_is_found_the_score_is_zero():
    answers = [Answer(one.key, one.size, one.truth, Detections.empty(CLASSES), ()) for one in invented(3)]
    scores = coco_mask_scores(answers, CLASSES)
    assert scores is not None
    assert 0.0 == scores.map50


class OnePicture:
    """A single ellipse."""

    name = "one"
    classes = ("a",)

    def __init__(self) -> None:
        box = np.array([[20, 30, 120, 110]], np.float32)
        rings = (outlines(ellipse(box[0])),)
        self._objects = Objects(box, np.zeros(1, np.int64), np.zeros(1, np.bool_), None, rings)

    @property
    def entries(self) -> list[Entry]:
        return [Entry("0", None, SIZE, self._objects)]  # type: ignore[arg-type]

    def read(self, index: int) -> Sample:
        return Sample("0", np.zeros((SIZE[1], SIZE[0], 3), np.uint8), self._objects)


def test_a_right_mask_in_a_right_box_is_right():
    def predictor(rgb: np.ndarray) -> Detections:
        soft = ellipse(np.array([0, 0, *SIZE])).astype(np.float32)
        box = np.array([[20, 30, 120, 110]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32), ("a",), None, soft[None])

    (answer,) = ask(predictor, OnePicture())
    assert answer.found.masks is None
    scores = coco_mask_scores([answer], ("a",))
    assert scores is not None
    assert pytest.approx(1.0) == scores.map50_95
