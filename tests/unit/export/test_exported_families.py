"""Each family learns eight pictures by heart, and its engine finds what torch finds, on every CPU runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from overfitting import DATA, FAMILIES, SIZE, learnt_by_heart
from rendered_sets import CLASSES

from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.predictors import EnginePredictor, TorchPredictor
from streamdet.export.engine import Exported, export_model
from streamdet.graft.check import check_engine
from streamdet.models.contract import DetectionModel

pytestmark = pytest.mark.timeout(400)  # torch learns and exports here, on a machine that may be busy

RUNTIMES = ["onnx-cpu", "openvino"]


@dataclass
class Made:
    family: str
    model: DetectionModel
    torch_scores: DetectionScores
    exported: Exported


@pytest.fixture(scope="module", params=list(FAMILIES))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = learnt_by_heart(request.param)
    scores = score_detections(TorchPredictor(model, SIZE, CLASSES), DATA)
    shelf: Path = tmp_path_factory.mktemp("shelf")
    exported = export_model(model.train(), name="by-heart", shelf=shelf, size=SIZE, classes=CLASSES, pictures=DATA)
    yield Made(request.param, model, scores, exported)
    torch.set_num_threads(threads)


def test_eight_pictures_are_learnt_by_heart(made: Made):
    assert 1.0 == made.torch_scores.map50


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_engine_finds_every_detection_of_torch_in_its_place(made: Made, runtime: str):
    parity = made.exported.parity[runtime]
    assert (0, 0) == (parity.missing, parity.surplus)
    assert made.torch_scores.objects <= parity.compared
    assert 0.1 > parity.worst_px
    assert 1e-3 > parity.worst_score


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_engine_scores_what_torch_scores(made: Made, runtime: str):
    with EnginePredictor(made.exported.engine, runtime) as predictor:
        scores = score_detections(predictor, DATA)
    assert 0.2 >= 100 * abs(scores.map50_95 - made.torch_scores.map50_95)
    assert made.torch_scores.map50 == pytest.approx(scores.map50, abs=0.002)


def test_the_check_is_green_and_tensorrt_would_take_it(made: Made):
    report = check_engine(made.exported.engine)
    assert report.passed, [row for row in report.rows if row.verdict in ("differs", "fails")]
    assert () == made.exported.findings
    assert {"onnx-cpu", "openvino"} <= set(made.exported.manifest.files[0].proven_on)


def test_a_model_in_training_stays_in_training(made: Made):
    assert made.model.training
    assert all(parameter.requires_grad for parameter in made.model.parameters())


def test_any_batch_is_taken(made: Made):
    smallest, largest = made.exported.manifest.input.batch
    assert (1, 32) == (smallest, largest)
