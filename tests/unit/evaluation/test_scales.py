"""Testing at several scales: what one size does not show another does, and nothing is said twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from streamdet.datasets.samples import Entry, Objects, Sample
from streamdet.errors import ConfigError
from streamdet.evaluation.detections import score_detections
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.evaluation.scales import MultiScalePredictor, merged, open_at_scales, scales_of
from streamdet.frames import Detections
from streamdet.infer.tail import Tail
from streamdet.manifest import Nms
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.geometry import grid_points

SIZE = (128, 128)


class SixteenPixels(DetectionModel):
    """Finds bright squares of 16 pixels, nothing larger and nothing smaller: inside bright, around it dark."""

    stride = 32
    classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, pixels: torch.Tensor) -> Cut:
        grey = pixels.mean(dim=1, keepdim=True)
        inside = functional.avg_pool2d(grey, 16, stride=8)
        around = functional.avg_pool2d(grey, 32, stride=8, padding=8, count_include_pad=True)
        score = (inside - (4 * around - inside) / 3).clamp(min=0.0) * self.gain
        rows, columns = score.shape[-2:]
        corner = grid_points((rows, columns), 8) - 4
        xyxy = torch.cat([corner, corner + 16], dim=-1).expand(len(pixels), -1, -1)
        scores = score.flatten(1)[..., None]
        return Cut(xyxy, torch.cat([scores, scores * 0.1], dim=-1))

    def losses(self, pixels: torch.Tensor, targets: Targets) -> dict[str, torch.Tensor]:
        return {"none": pixels.sum() * 0}


class Squares:
    """One picture with squares of 8, 16 and 32 pixels."""

    name, classes = "squares", ("square", "other")

    def __init__(self) -> None:
        rgb = np.zeros((128, 128, 3), np.uint8)
        xyxy = np.array([[20, 20, 28, 28], [64, 8, 80, 24], [32, 64, 64, 96]], np.float32)
        for left, top, right, bottom in xyxy.astype(int):
            rgb[top:bottom, left:right] = 255
        self._sample = Sample("one.png", rgb, Objects(xyxy, np.zeros(3, np.int64), np.zeros(3, np.bool_)))

    @property
    def entries(self) -> list[Entry]:
        return [Entry("one.png", Path("one.png"), SIZE, self._sample.objects)]

    def read(self, index: int) -> Sample:
        return self._sample


def test_each_scale_finds_what_has_the_right_size_in_it():
    for scales, expected in (((1.0,), 1 / 3), ((0.5, 1.0), 2 / 3), ((0.5, 1, 2), 1.0)):
        predictor = MultiScalePredictor(SixteenPixels(), SIZE, scales, Squares.classes)
        scores = score_detections(predictor, Squares(), score=0.7)
        assert pytest.approx(expected) == scores.per_class[0].recall
        assert pytest.approx(1.0) == scores.per_class[0].precision


def test_one_scale_alone_is_the_plain_predictor():
    rgb = Squares().read(0).rgb
    plain = TorchPredictor(SixteenPixels(), SIZE, Squares.classes)(rgb)
    scaled = MultiScalePredictor(SixteenPixels(), SIZE, [1.0], Squares.classes)(rgb)
    assert plain.xyxy.tolist() == scaled.xyxy.tolist()
    assert plain.score.tolist() == scaled.score.tolist()


def test_what_two_scales_find_is_said_once_by_the_surer_with_its_points():
    tail = Tail(Nms(iou=0.5), 1)
    looks = [
        Detections(
            np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)[:count],
            np.array([score, 0.3], np.float32)[:count],
            np.array([1, 0], np.int32)[:count],
            ("a", "b"),
            np.full((count, 4, 3), score, np.float32),
        )
        for count, score in ((1, 0.6), (2, 0.9), (0, 0.0))
    ]
    found = merged(looks, 2, tail)
    assert [[0, 0, 10, 10], [50, 50, 60, 60]] == found.xyxy.tolist()
    assert pytest.approx([0.9, 0.3]) == found.score.tolist()
    assert [1, 0] == found.class_id.tolist()
    assert pytest.approx(0.9) == found.keypoints[0, 0, 0]
    assert found.masks is None


def test_nothing_at_any_scale_is_nothing():
    predictor = MultiScalePredictor(SixteenPixels(), SIZE, [0.5, 1], Squares.classes)
    assert 0 == len(predictor(np.zeros((128, 128, 3), np.uint8)))


def test_scales_that_come_to_the_same_size_are_looked_at_once():
    assert "at 128x128, 64x64" in MultiScalePredictor(SixteenPixels(), SIZE, [1, 1.1, 0.5]).label


def test_scales_are_read_as_said():
    assert (0.75, 1.0, 1.5) == scales_of("0.75,1,1.5")
    for text in ("", "1,x", "0", "9"):
        with pytest.raises(ConfigError, match="no scales"):
            scales_of(text)


def test_an_engine_has_no_scales(tmp_path: Path):
    with pytest.raises(ConfigError, match="one size"):
        open_at_scales(str(tmp_path), (1.0,))
