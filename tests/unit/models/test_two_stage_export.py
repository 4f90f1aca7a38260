"""RetinaNet and Faster R-CNN as graphs: equal to torch in two runtimes, any batch, and nothing TensorRT refuses."""

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

torch.set_num_threads(1)

pytestmark = pytest.mark.timeout(400)  # torch's exporter takes its time on a busy machine

WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module", params=[RetinaNet, FasterRcnn], ids=lambda family: family.__name__)
def exported(request: pytest.FixtureRequest) -> tuple[DetectionModel, object]:
    """A model whose normalisations do something, and its graph."""
    torch.manual_seed(0)
    model = request.param.tiny(3).eval()
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
