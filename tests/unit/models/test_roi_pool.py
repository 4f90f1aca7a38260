"""RoIPool against ONNX Runtime's MaxRoiPool."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from streamdet.models.roi_pool import roi_pool

torch.set_num_threads(1)

LEVELS = {3: (22, 30), 4: (11, 15), 5: (6, 8)}
WIDTH, HEIGHT = 240, 176


def operator(level: int, size: int) -> onnxruntime.InferenceSession:
    """A graph of one MaxRoiPool."""
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(
        "MaxRoiPool", ["features", "regions"], ["cells"], pooled_shape=[size, size], spatial_scale=1 / 2**level
    )
    graph = onnx.helper.make_graph(
        [node],
        "roi_pool",
        [value("features", onnx.TensorProto.FLOAT, [None] * 4), value("regions", onnx.TensorProto.FLOAT, [None, 5])],
        [value("cells", onnx.TensorProto.FLOAT, [None] * 4)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def regions(pictures: int, count: int) -> torch.Tensor:
    """Inside the picture: the whole of it, one of its corners, one without size, thin ones, and any."""
    random = torch.Generator().manual_seed(1)
    corners = torch.rand(pictures, count, 2, 2, generator=random) * torch.tensor([WIDTH, HEIGHT])
    xyxy = torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=-1)
    xyxy[:, 0] = torch.tensor([0.0, 0.0, WIDTH, HEIGHT])
    xyxy[:, 1] = torch.tensor([WIDTH - 1.0, HEIGHT - 1.0, WIDTH, HEIGHT])
    xyxy[:, 2] = 40.0
    xyxy[:, 3] = torch.tensor([0.0, 90.0, WIDTH, 93.0])
    return xyxy


@pytest.mark.parametrize("size", [1, 3, 7])
def test_it_equals_onnx_runtime(size: int):
    pictures, count = 2, 200
    random = torch.Generator().manual_seed(0)
    features = {level: torch.randn(pictures, 5, *shape, generator=random) for level, shape in LEVELS.items()}
    xyxy = regions(pictures, count)
    which = torch.arange(pictures).repeat_interleave(count)[:, None].float()
    for level, maps in features.items():
        feed = {"features": maps.numpy(), "regions": torch.cat([which, xyxy.flatten(0, 1)], dim=1).numpy()}
        expected = operator(level, size).run(None, feed)[0]
        got = roi_pool(features, xyxy, torch.full((pictures, count), level), size)
        np.testing.assert_array_equal(expected, got.flatten(0, 1).numpy())


def test_the_gradient_goes_to_the_largest_cell_of_each_bin():
    features = {4: torch.arange(48.0).reshape(1, 1, 6, 8).requires_grad_()}
    cells = roi_pool(features, torch.tensor([[[32.0, 16.0, 80.0, 64.0]]]), torch.tensor([[4]]), 2)
    assert [[19.0, 21.0], [35.0, 37.0]] == cells[0, 0, 0].tolist()
    (slope,) = torch.autograd.grad(cells.sum(), features[4])
    assert [19, 21, 35, 37] == slope.flatten().nonzero().flatten().tolist()
    assert 4.0 == slope.sum().item()
