"""Folding: the same numbers from fewer nodes, and hands off wherever they would not be the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from streamdet.graft.folding import fold
from streamdet.graft.raw import Runner
from streamdet.graft.writer import GraphWriter

PICTURE = (12, 16)  # height, width


class Small(GraphWriter):
    """One picture in, one tensor out."""

    def __init__(self) -> None:
        super().__init__(17, prefix="small/")
        self.random = np.random.default_rng(0)

    def noise(self, *shape: int) -> str:
        return self.constant(self.random.normal(size=shape))

    def phase(self, tensor: str, y: int, x: int, step: int = 2, end: int = 2**62) -> str:
        """Rows first, columns then, as YOLOX is exported."""
        for axis, start in ((2, y), (3, x)):
            bounds = [self.integers(value) for value in (start, end, axis, step)]
            tensor = self.op("Slice", tensor, *bounds)
        return tensor

    def focus(self, tensor: str, step: int = 2) -> str:
        phases = [self.phase(tensor, y, x, step) for x in range(step) for y in range(step)]
        return self.op("Concat", *phases, axis=1)

    def conv(self, tensor: str, channels: int, **attributes: object) -> str:
        side, group = attributes.pop("side", 3), attributes.get("group", 1)
        return self.op("Conv", tensor, self.noise(8, channels // group, side, side), self.noise(8), **attributes)

    def model(self, tensor: str, size: tuple[int, int] | tuple[str, str] = PICTURE) -> Any:
        self.op("Identity", tensor, name="out")
        faces = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *size]),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", "c", "h", "w"]),
        ]
        graph = helper.make_graph(self.nodes, "small", faces[:1], faces[1:], self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made


def folded_alike(model: Any) -> Counter[str]:
    """The folded model's operators, after it gave the same for a random picture."""
    folded = fold(model)
    onnx.checker.check_model(folded, full_check=True)
    x = np.random.default_rng(1).uniform(0, 255, (2, 3, *PICTURE)).astype(np.float32)
    before, after = (Runner(one, "test").run({"x": x})["out"] for one in (model, folded))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * float(np.abs(before).max()))
    return Counter(node.op_type for node in folded.graph.node)


@settings(max_examples=25, deadline=None)
@given(
    step=st.sampled_from([2, 4]),
    side=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    pads=st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_a_focus_becomes_one_strided_convolution(step, side, stride, pads):
    small = Small()
    out = small.conv(small.focus("x", step), 3 * step**2, side=side, strides=[stride, stride], pads=pads)
    assert {"Conv": 1, "Identity": 1} == folded_alike(small.model(out))


def test_phases_may_come_twice_or_not_at_all():
    small = Small()
    phases = [small.phase("x", 1, 0), small.phase("x", 1, 0), small.phase("x", 0, 1)]
    out = small.conv(small.op("Concat", *phases, axis=1), 9, pads=[1, 1, 1, 1])
    assert {"Conv": 1, "Identity": 1} == folded_alike(small.model(out))


def test_slices_that_others_read_too_stay_for_them():
    small = Small()
    focus = small.focus("x")
    out = small.op("Concat", small.conv(focus, 12, pads=[1, 1, 1, 1]), focus, axis=1)
    assert 1 == folded_alike(small.model(out))["Concat"] - 1


def test_slices_that_end_early_are_left_alone():
    small = Small()
    phases = [small.phase("x", y, x, end=10) for y in (0, 1) for x in (0, 1)]
    out = small.conv(small.op("Concat", *phases, axis=1), 12, pads=[1, 1, 1, 1])
    assert 8 == folded_alike(small.model(out))["Slice"]


@pytest.mark.parametrize("attributes", [{"dilations": [2, 2]}, {"group": 2}, {"auto_pad": "SAME_UPPER"}])
def test_a_convolution_that_is_not_plain_keeps_its_focus(attributes):
    small = Small()
    assert 8 == folded_alike(small.model(small.conv(small.focus("x"), 12, **attributes)))["Slice"]


def test_a_focus_on_a_picture_of_any_size_is_left_alone():
    small = Small()
    model = small.model(small.conv(small.focus("x"), 12), ("height", "width"))
    assert 8 == folded_alike(model)["Slice"]


@pytest.mark.parametrize("shape", [(), (1, 3, 1, 1), (3, 1, 1)])
def test_a_factor_goes_into_the_weights_also_beside_padding(shape):
    small = Small()
    scaled = small.op("Div", small.op("Mul", "x", small.noise(*shape)), small.constant(255.0))
    out = small.conv(scaled, 3, pads=[1, 1, 1, 1])
    assert {"Conv": 1, "Identity": 1} == folded_alike(small.model(out))


def test_a_factor_behind_a_focus_goes_into_the_weights_and_one_before_it_follows():
    small = Small()
    focus = small.focus(small.op("Mul", "x", small.constant(1 / 255)))
    out = small.conv(small.op("Mul", focus, small.noise(1, 12, 1, 1)), 12, pads=[1, 1, 1, 1])
    assert {"Conv": 1, "Identity": 1} == folded_alike(small.model(out))


def test_a_mean_goes_into_the_bias_without_padding_only():
    for pads, left in (([0, 0, 0, 0], 0), ([1, 1, 1, 1], 1)):
        small = Small()
        shifted = small.op("Sub", small.op("Mul", "x", small.constant(0.01)), small.noise(1, 3, 1, 1))
        assert left == folded_alike(small.model(small.conv(shifted, 3, pads=pads)))["Sub"]


def test_a_factor_that_differs_from_place_to_place_stays():
    small = Small()
    out = small.conv(small.op("Mul", "x", small.noise(1, 1, 1, PICTURE[1])), 3)
    assert 1 == folded_alike(small.model(out))["Mul"]


def test_pools_of_one_tensor_are_chained_in_whatever_order_they_stand():
    small = Small()
    pools = [
        small.op("MaxPool", "x", kernel_shape=[side, side], pads=[side // 2] * 4, strides=[1, 1]) for side in (9, 13, 5)
    ]
    model = small.model(small.op("Concat", "x", *pools, axis=1))
    assert 3 == folded_alike(model)["MaxPool"]
    kernels = [
        tuple(entry.ints) for node in fold(model).graph.node for entry in node.attribute if entry.name == "kernel_shape"
    ]
    assert [(5, 5)] * 3 == kernels


def test_pools_that_shrink_or_lie_askew_are_left_alone():
    small = Small()
    pools = [
        small.op("MaxPool", "x", kernel_shape=[3, 3], pads=pads, strides=[1, 1])
        for pads in ([0, 0, 2, 2], [1, 1, 1, 1])
    ]
    model = small.model(small.op("Concat", "x", *pools, axis=1))
    folded_alike(model)
    assert ["x", "x"] == [node.input[0] for node in fold(model).graph.node if node.op_type == "MaxPool"]


def stacked(small: Small, parts: tuple[int, ...], lengths: tuple[int, ...], shape=(0, 13, -1)) -> str:
    """Two levels of a head in rows of all parts, split into columns and put together again in another order."""
    rows = []
    for stride in (1, 2):
        heads = [
            small.op("Conv", "x", small.noise(width, 3, 1, 1), small.noise(width), strides=[stride, stride])
            for width in parts
        ]
        rows.append(small.reshape(small.op("Concat", *heads, axis=1), *shape))
    turned = small.op("Transpose", small.op("Concat", *rows, axis=2), perm=[0, 2, 1])
    columns = small.split(small.cast(turned, np.float32), 2, *lengths)
    return small.unsqueeze(small.op("Concat", *columns[::-1], axis=2), 1)


def test_rows_that_are_split_again_are_never_stacked():
    small = Small()
    left = folded_alike(small.model(stacked(small, (4, 1, 8), (2, 2, 1, 8))))
    assert (3 + 1, 1, 6) == (left["Concat"], left["Split"], left["Transpose"])
    small = Small()
    assert 0 == folded_alike(small.model(stacked(small, (4, 1, 8), (4, 1, 8))))["Split"]


@pytest.mark.parametrize(
    ("parts", "lengths", "shape"),
    [((4, 9), (5, 8), (0, 13, -1)), ((13,), (2, 11), (2, 13, -1))],
)
def test_rows_split_across_parts_or_flattened_otherwise_stay_stacked(parts, lengths, shape):
    small = Small()
    assert 1 == folded_alike(small.model(stacked(small, parts, lengths, shape)))["Transpose"]
