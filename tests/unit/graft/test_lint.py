"""What TensorRT would refuse is said without TensorRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy_networks
from onnx import TensorProto, helper

from streamdet.graft.families.table import FAMILIES
from streamdet.graft.graft import graft
from streamdet.graft.lint import lint
from streamdet.graft.normalisation import RANGES
from streamdet.graft.probe import probe
from streamdet.manifest import Nms

CLEAN = {
    "yolox": toy_networks.yolox,
    "yolov5": toy_networks.yolov5,
    "yolov8": lambda: toy_networks.yolov8(points=3),
    "yolov10": toy_networks.yolov10,
    "detr": toy_networks.detr_with_sizes,
    "ssd": lambda: toy_networks.ssd(softmax=False),
    "generic": lambda: toy_networks.generic(classes=4),
}


def grafted(family: str, raw: Any) -> Any:
    return graft(raw, FAMILIES[family], probe(raw, None), 4, RANGES["0..1"], Nms()).model


@pytest.mark.parametrize("family", CLEAN)
def test_what_the_graft_writes_has_no_findings(family):
    assert [] == lint(grafted(family, CLEAN[family]()))


def test_a_network_with_its_own_suppression_inside_is_found():
    raw = toy_networks.torchvision()
    model = graft(raw, FAMILIES["torchvision"], probe(raw, None), 4, RANGES["0..1"], Nms(), fixed_batch=1).model
    assert ["NonMaxSuppression"] == [finding.what.split(":")[0] for finding in lint(model)]


def tiny(nodes: list[Any], constants: list[Any], shape: list[Any], opset: int = 17) -> Any:
    """x → y through these nodes."""
    faces = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "tiny", faces[:1], faces[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def rules(model: Any) -> set[tuple[str, str]]:
    return {(finding.rule, finding.severity) for finding in lint(model)}


def test_a_topk_beyond_the_importers_limit_is_found():
    k = helper.make_tensor("k", TensorProto.INT64, [1], [3840])
    node = helper.make_node("TopK", ["x", "k"], ["y", "rows"], axis=1)
    assert ("TopK", "error") in rules(tiny([node], [k], ["batch", 5000]))


def test_zero_points_other_than_zero_are_found():
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("zero", TensorProto.INT8, [], [3])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    assert {("zero-points", "error")} == rules(tiny(nodes, [scale, zero], ["batch", 4]))


def test_other_open_axes_than_the_batch_are_found():
    node = helper.make_node("Relu", ["x"], ["y"])
    assert ("only the batch is dynamic", "error") in rules(tiny([node], [], ["batch", 3, "height", 8]))


def test_numbers_too_large_for_int32_are_found():
    large = helper.make_tensor("large", TensorProto.INT64, [1], [2**40])
    nodes = [
        helper.make_node("Cast", ["large"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    assert ("int64", "error") in rules(tiny(nodes, [large], ["batch", 4]))


def test_a_slice_to_the_end_is_no_finding():
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("start", 0), ("end", np.iinfo(np.int64).max), ("axis", 1))
    ]
    node = helper.make_node("Slice", ["x", "start", "end", "axis"], ["y"])
    assert set() == rules(tiny([node], constants, ["batch", 4]))
