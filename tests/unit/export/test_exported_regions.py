"""R-CNN and Fast R-CNN as suites: the graph says what torch says, and the whole runs on pictures like any engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from rendered_sets import CLASSES, RenderedSet
from torch import nn

from streamdet.errors import ManifestInvalid, ModelRefused
from streamdet.evaluation.predictors import EnginePredictor, TorchPredictor
from streamdet.export.regions import ExportedRegions, export_region_model, held_against_torch
from streamdet.graft.lint import lint
from streamdet.graft.pictures import rendered
from streamdet.graft.probe import spread
from streamdet.graft.shelving import put_procedure_on_shelf
from streamdet.manifest import Nms
from streamdet.models.box_head import BoxHeadOptions
from streamdet.models.contract import RegionModel
from streamdet.models.fast_rcnn import FastRcnn, FastRcnnOptions
from streamdet.models.rcnn import Rcnn, RcnnOptions
from streamdet.suites.detector import open_detector
from streamdet.suites.regions import MODEL

torch.set_num_threads(1)

pytestmark = pytest.mark.timeout(1200)  # torch's exporter takes its time on a busy machine

SIZE = (96, 64)
SEARCH = "selective-search?strategy=single&smallest_px=20"
NMS = Nms(iou=0.5)


def made(family: str) -> RegionModel:
    """A model whose normalisations do something, and whose answers differ from region to region."""
    torch.manual_seed(0)
    model: RegionModel
    if family == "fast_rcnn":
        head = BoxHeadOptions(pooling="max", convs=0, width=32, context=True)
        model = FastRcnn(3, FastRcnnOptions(backbone="tiny", channels=16, regions=40, box_head=head, proposals=SEARCH))
        nn.init.normal_(model.box_head.class_layer.weight, std=0.1)
    else:
        model = Rcnn(3, RcnnOptions(backbone="tiny", crop_px=32, width=32, regions=40, proposals=SEARCH))
    pixels, regions = torch.from_numpy(rendered(SIZE, 4)).float() / 255, torch.from_numpy(spread(4, 40, SIZE))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(pixels, regions)  # the norms have seen something: without, all regions look alike
        if isinstance(model, Rcnn):
            seen = model.eval().see(model.crops(pixels, regions).flatten(0, 1))
            planes, lines = torch.randn(3, seen.dense.shape[1]), torch.randn(12, seen.pooled.shape[1])
            planes *= 1 / (seen.dense @ planes.T).std()
            lines *= 0.2 / (seen.pooled @ lines.T).std()
            model.fit((planes, torch.zeros(3)), (lines, torch.zeros(12)))
    return model.eval()


@pytest.fixture(scope="module", params=["fast_rcnn", "rcnn"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RegionModel, ExportedRegions]:
    model = made(request.param)
    shelf = tmp_path_factory.mktemp("shelf")
    exported = export_region_model(
        model, name="regions", shelf=shelf, size=SIZE, classes=(*CLASSES[:2], "ring"), nms=NMS, score=0.1
    )
    return model, exported


def test_the_graph_is_proven_against_torch(both: tuple[RegionModel, ExportedRegions]) -> None:
    _, exported = both
    assert exported.parity.holds()
    assert exported.parity.compared > 10


def test_the_suite_finds_in_a_picture_what_torch_finds(both: tuple[RegionModel, ExportedRegions]) -> None:
    model, exported = both
    in_torch = TorchPredictor(model, SIZE, ("a", "b", "c"), nms=NMS)
    data = RenderedSet(2, (120, 100))
    with EnginePredictor(exported.suite.folder) as suite:
        for index in range(2):
            rgb = data.read(index).rgb
            expected, got = in_torch(rgb), suite(rgb)
            assert len(expected) == len(got) > 0
            np.testing.assert_allclose(expected.score, got.score, atol=1e-3)
            np.testing.assert_allclose(expected.xyxy[:5], got.xyxy[:5], atol=0.2)


def test_a_picture_without_a_region_has_nothing(both: tuple[RegionModel, ExportedRegions]) -> None:
    assert 0 == len(open_detector(both[1].suite.folder)(np.zeros((64, 96, 3), np.uint8), score=0.999))


def test_the_graph_takes_any_batch_and_tensorrt_finds_nothing_to_refuse(
    both: tuple[RegionModel, ExportedRegions],
) -> None:
    path = both[1].suite.folder / MODEL
    assert [] == [str(finding) for finding in lint(onnx.load(path)) if finding.severity == "error"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels, regions = rendered(SIZE, 3), spread(3, 40, SIZE)
    together = session.run(["score", "xyxy"], {"pixels": pixels, "regions": regions})
    alone = session.run(["score", "xyxy"], {"pixels": pixels[1:2], "regions": regions[1:2]})
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first[1:2], second, atol=2e-3)


def test_a_graph_of_other_weights_is_refused(both: tuple[RegionModel, ExportedRegions]) -> None:
    model, exported = both
    other = made("fast_rcnn" if isinstance(model, FastRcnn) else "rcnn")
    last = other.box_head.class_layer if isinstance(other, FastRcnn) else other.svm
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight, std=2.0)
    with pytest.raises(ModelRefused, match="does not find what the torch model finds"):
        held_against_torch(exported.suite, other, rendered(SIZE, 2), NMS)


def test_options_that_are_none_are_refused(tmp_path: Path) -> None:
    put_procedure_on_shelf(tmp_path, "odd", family="regions", classes=["a"], files={"model.onnx": b"no"}, options={})
    with pytest.raises(ManifestInvalid, match="a detector of regions"):
        open_detector(tmp_path / "odd").worker()
