"""Mask R-CNN as an engine: each detection has the mask that torch gives the candidate in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_sets import CLASSES, RenderedSet

from streamdet.errors import ModelRefused
from streamdet.evaluation.predictors import EnginePredictor, TorchPredictor
from streamdet.export.engine import Exported, export_model
from streamdet.export.parity import prove_against_torch
from streamdet.graft.pictures import rendered
from streamdet.manifest import Nms
from streamdet.models.mask_rcnn import MaskRcnn

pytestmark = pytest.mark.timeout(400)  # torch exports here, on a machine that may be busy

SIZE = (96, 96)
DATA = RenderedSet(3, SIZE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MaskRcnn, Exported]]:
    """A model that has learnt nothing, but is of many opinions."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MaskRcnn.tiny(len(CLASSES)).eval()
    for layer in (model.box_head.class_layer, model.rpn.object_layer, model.mask_head.mask_layer):
        torch.nn.init.normal_(layer.weight, std=0.5)
    shelf: Path = tmp_path_factory.mktemp("shelf")
    nms = Nms(max_detections=20)
    yield model, export_model(model, name="masks", shelf=shelf, size=SIZE, classes=CLASSES, pictures=DATA, nms=nms)
    torch.set_num_threads(threads)


def test_the_engine_is_proven_and_names_its_masks(made: tuple[MaskRcnn, Exported]):
    _, exported = made
    assert {"onnx-cpu", "openvino"} <= set(exported.manifest.files[0].proven_on)
    assert "masks" == exported.manifest.outputs["masks"]
    assert () == exported.findings


@pytest.mark.parametrize("runtime", ["onnx-cpu", "openvino"])
def test_detections_carry_the_masks_of_torch(made: tuple[MaskRcnn, Exported], runtime: str):
    model, exported = made
    rgb = DATA.read(1).rgb
    expected = TorchPredictor(model, SIZE, CLASSES, nms=exported.manifest.nms)(rgb)
    with EnginePredictor(exported.engine, runtime) as predictor:
        found = predictor(rgb)
    assert found.masks is not None
    assert expected.masks is not None
    assert (len(found), 28, 28) == found.masks.shape
    compared = 0
    for box, mask in zip(found.xyxy, found.masks, strict=True):
        near = np.flatnonzero(np.abs(expected.xyxy - box).max(axis=1) < 0.05)
        compared += len(near) > 0
        assert not len(near) or np.abs(expected.masks[near] - mask).max(axis=(1, 2)).min() < 0.02
    assert compared >= 3


def test_an_engine_with_other_masks_is_refused(made: tuple[MaskRcnn, Exported]):
    model, exported = made
    with torch.no_grad():
        model.mask_head.mask_layer.bias.add_(0.3)
    with pytest.raises(ModelRefused, match="masks"):
        prove_against_torch(exported.engine, model, rendered(SIZE, 1))
