"""RoIAlign against ONNX's operator: in ONNX Runtime and in ONNX's own reference."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from streamdet.models.roi_align import level_of, roi_align

torch.set_num_threads(1)

LEVELS = {3: (12, 16), 4: (6, 8), 5: (3, 4)}
WIDTH, HEIGHT = 128, 96


def operator(level: int, size: int) -> onnx.ModelProto:
    """A graph of one RoiAlign."""
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(
        "RoiAlign",
        ["features", "regions", "picture"],
        ["cells"],
        output_height=size,
        output_width=size,
        sampling_ratio=2,
        spatial_scale=1 / 2**level,
        mode="avg",
        coordinate_transformation_mode="half_pixel",
    )
    graph = onnx.helper.make_graph(
        [node],
        "roi_align",
        [
            value("features", onnx.TensorProto.FLOAT, [None] * 4),
            value("regions", onnx.TensorProto.FLOAT, [None, 4]),
            value("picture", onnx.TensorProto.INT64, [None]),
        ],
        [value("cells", onnx.TensorProto.FLOAT, [None] * 4)],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=10)


def pyramid(seed: int, pictures: int) -> dict[int, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {level: torch.randn(pictures, 5, *size, generator=random) for level, size in LEVELS.items()}


def regions(seed: int, pictures: int, count: int) -> torch.Tensor:
    """Inside the picture, some touching its edges, one the whole of it, one without size."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(pictures, count, 2, 2, generator=random) * torch.tensor([WIDTH, HEIGHT])
    xyxy = torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=-1)
    xyxy[:, 0] = torch.tensor([0.0, 0.0, WIDTH, HEIGHT])
    xyxy[:, 1] = torch.tensor([WIDTH - 30.0, HEIGHT - 9.0, WIDTH, HEIGHT])
    xyxy[:, 2] = 40.0
    return xyxy


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("runtime", ["onnxruntime", "reference"])
def test_it_equals_onnx(runtime: str, size: int):
    pictures, count = 2, 12
    features, xyxy = pyramid(0, pictures), regions(1, pictures, count)
    level = torch.randint(3, 6, (pictures, count), generator=torch.Generator().manual_seed(2))
    got = roi_align(features, xyxy, level, size).flatten(0, 1).numpy()
    which = np.repeat(np.arange(pictures, dtype=np.int64), count)
    for number, maps in features.items():
        model = operator(number, size)
        feed = {"features": maps.numpy(), "regions": xyxy.flatten(0, 1).numpy(), "picture": which}
        if runtime == "reference":
            cells = ReferenceEvaluator(model).run(None, feed)[0]
        else:
            cells = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)[0]
        rows = (level == number).flatten().numpy()
        np.testing.assert_allclose(cells[rows], got[rows], atol=5e-5)


def test_gradients_reach_the_features_and_nothing_but_the_cells_around_the_region():
    features = {4: torch.zeros(1, 1, 6, 8, requires_grad=True)}
    cells = roi_align(features, torch.tensor([[[32.0, 16.0, 64.0, 48.0]]]), torch.tensor([[4]]), 2)
    (slope,) = torch.autograd.grad(cells.sum(), features[4])
    assert pytest.approx(4.0) == slope.sum().item()
    assert pytest.approx(4.0) == slope[0, 0, :4, 1:5].sum().item()


def test_larger_regions_read_from_coarser_levels():
    sides = torch.tensor([0.0, 30.0, 56.0, 111.0, 112.0, 223.0, 224.0, 5000.0])
    xyxy = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=-1)
    assert [3, 3, 3, 3, 4, 4, 5, 5] == level_of(xyxy, 3, 5, 112.0).tolist()
