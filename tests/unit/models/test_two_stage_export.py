"""RetinaNet, Faster R-CNN and a connected YOLOv1 as graphs: what torch says, any batch, nothing TensorRT refuses."""

from __future__ import annotations

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from torch import nn

from streamdet.export.network import onnx_of
from streamdet.graft.lint import lint
from streamdet.models.contract import DetectionModel
from streamdet.models.faster_rcnn import FasterRcnn
from streamdet.models.retinanet import RetinaNet
from streamdet.models.yolo_v1 import YoloV1, YoloV1Options

torch.set_num_threads(1)

pytestmark = pytest.mark.timeout(400)  # torch's exporter takes its time on a busy machine

WIDTH, HEIGHT = 96, 64


def connected(classes: int) -> YoloV1:
    """Its answers come from fully connected layers; the other form is in test_exported_families."""
    options = YoloV1Options(
        backbone="tiny", channels=16, head="connected", connected_size=(WIDTH, HEIGHT), connected_width=32
    )
    return YoloV1(classes, options)


@pytest.fixture(
    scope="module",
    params=[RetinaNet.tiny, FasterRcnn.tiny, connected],
    ids=["retinanet", "faster_rcnn", "connected"],
)
def exported(request: pytest.FixtureRequest) -> tuple[DetectionModel, object]:
    """A model whose normalisations do something, and its graph."""
    torch.manual_seed(0)
    model = request.param(3).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model, onnx_of(model, (WIDTH, HEIGHT))


@pytest.mark.parametrize("pictures", [1, 3])
def test_the_graph_says_what_torch_says(exported, pictures: int):
    model, graph = exported
    pixels = torch.rand(pictures, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(pictures))
    with torch.no_grad():
        cut = model(pixels)
    written = graph.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    for got in (session.run(None, {"pixels": pixels.numpy()}), _openvino(written, pixels.numpy())):
        np.testing.assert_allclose(cut.xyxy.numpy(), got[0], atol=0.02)
        np.testing.assert_allclose(cut.scores.numpy(), got[1], atol=1e-4)


def _openvino(written: bytes, pixels: np.ndarray) -> list[np.ndarray]:
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(written), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled(pixels).values())


def test_tensorrt_finds_nothing_to_refuse(exported):
    assert [] == [str(finding) for finding in lint(exported[1])]
