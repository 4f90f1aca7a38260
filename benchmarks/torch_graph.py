"""An ONNX graph as torch operations, one for one: what benchmarks/gpu.py captures as a CUDA graph without TensorRT.

It knows the operations of streamdet's own engines, and says which one it lacks for any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as f
from onnx import numpy_helper

Tensor = torch.Tensor
Values = dict[str, Any]


class Lacking(Exception):
    """An operation that is not known here."""


class TorchGraph:
    """Runs a graph on a device. Constants are put there once; what is a shape or an axis stays on the host."""

    def __init__(self, model: onnx.ModelProto, device: str, outputs: tuple[str, ...] | None = None) -> None:
        self.device = device
        self.outputs = outputs or tuple(output.name for output in model.graph.output)
        self._input = model.graph.input[0].name
        self._host = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self._there = {name: torch.from_numpy(np.array(array)).to(device) for name, array in self._host.items()}
        self._nodes = _needed(model, self.outputs)
        lacking = sorted({node.op_type for node in self._nodes} - set(OPERATIONS))
        if lacking:
            raise Lacking(", ".join(lacking))
        self._attributes = [
            {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in self._nodes
        ]

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        values: Values = {**self._there, self._input: pictures, "": None}
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            inputs = [values[name] for name in node.input]
            constants = [self._host.get(name) for name in node.input]
            made = OPERATIONS[node.op_type](inputs, constants, attributes)
            for name, value in zip(node.output, made if isinstance(made, tuple) else (made,), strict=False):
                values[name] = value
        return {name: values[name] for name in self.outputs}


def _needed(model: onnx.ModelProto, outputs: tuple[str, ...]) -> list[onnx.NodeProto]:
    """The nodes that these outputs come from, in the graph's order."""
    wanted, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    return nodes[::-1]


Inputs, Constants, Attributes = list[Any], list[Any], Mapping[str, Any]
_TYPES = {1: torch.float32, 2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}


def _each(does: Callable[..., Tensor]) -> Callable[[Inputs, Constants, Attributes], Tensor]:
    return lambda inputs, constants, attributes: does(*inputs)


def _conv(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    picture = x[0] if (top, left) == (bottom, right) else f.pad(x[0], (left, right, top, bottom))
    padding = (top, left) if (top, left) == (bottom, right) else (0, 0)
    bias = x[2] if len(x) > 2 else None
    strides, dilations = tuple(a.get("strides", (1, 1))), tuple(a.get("dilations", (1, 1)))
    return f.conv2d(picture, x[1], bias, strides, padding, dilations, a.get("group", 1))


def _resize(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    sizes = constants[3] if len(x) > 3 and x[3] is not None else None
    mode = a.get("mode", b"nearest").decode()
    if sizes is not None:
        size = tuple(int(side) for side in sizes[2:])
    else:
        size = tuple(round(side * float(scale)) for side, scale in zip(x[0].shape[2:], constants[2][2:], strict=True))
    if mode == "nearest":
        return f.interpolate(x[0], size, mode="nearest")
    return f.interpolate(x[0], size, mode="bilinear", align_corners=False)


def _slice(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    starts, ends = constants[1], constants[2]
    axes = constants[3] if len(x) > 3 and x[3] is not None else range(len(starts))
    steps = constants[4] if len(x) > 4 and x[4] is not None else [1] * len(starts)
    made = x[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index = [slice(None)] * made.ndim
        index[int(axis)] = slice(int(start), None if end > 2**31 else int(end), int(step))
        made = made[tuple(index)]
    return made


def _reshape(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    shape = [x[0].shape[i] if size == 0 else int(size) for i, size in enumerate(constants[1])]
    return x[0].reshape(shape)


def _reduce(does: Callable[..., Tensor]) -> Callable[[Inputs, Constants, Attributes], Tensor]:
    def reduce(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
        axes = constants[1] if len(x) > 1 and x[1] is not None else a.get("axes", range(x[0].ndim))
        return does(x[0], tuple(int(axis) for axis in axes), bool(a.get("keepdims", 1)))

    return reduce


def _topk(x: Inputs, constants: Constants, a: Attributes) -> tuple[Tensor, Tensor]:
    found = torch.topk(x[0], int(constants[1].reshape(())), a.get("axis", -1), bool(a.get("largest", 1)))
    return found.values, found.indices


def _clip(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    low, high = (x[i] if len(x) > i else None for i in (1, 2))
    return torch.clamp(x[0], low, high)


def _split(x: Inputs, constants: Constants, a: Attributes) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    if len(x) > 1 and x[1] is not None:
        return torch.split(x[0], [int(size) for size in constants[1]], axis)
    return torch.split(x[0], -(-x[0].shape[axis] // a["num_outputs"]), axis)


def _squeezed(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    return x[0].squeeze(tuple(int(axis) for axis in constants[1]))


def _unsqueezed(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    made = x[0]
    for axis in constants[1]:
        made = made.unsqueeze(int(axis))
    return made


def _expand(x: Inputs, constants: Constants, a: Attributes) -> Tensor:
    shape = torch.broadcast_shapes(tuple(x[0].shape), tuple(int(size) for size in constants[1]))
    return x[0].expand(shape)


OPERATIONS: dict[str, Callable[[Inputs, Constants, Attributes], Any]] = {
    "Abs": _each(torch.abs),
    "Add": _each(torch.add),
    "And": _each(torch.logical_and),
    "ArgMax": lambda x, c, a: torch.argmax(x[0], a.get("axis", 0), bool(a.get("keepdims", 1))),
    "Cast": lambda x, c, a: x[0].to(_TYPES[a["to"]]),
    "Clip": _clip,
    "Concat": lambda x, c, a: torch.cat(x, a["axis"]),
    "Conv": _conv,
    "Div": lambda x, c, a: x[0] / x[1] if x[0].is_floating_point() else x[0] // x[1],
    "Equal": _each(torch.eq),
    "Exp": _each(torch.exp),
    "Expand": _expand,
    "GatherElements": lambda x, c, a: torch.gather(x[0], a.get("axis", 0), x[1].to(torch.int64)),
    "Greater": _each(torch.gt),
    "Identity": _each(lambda x: x),
    "Less": _each(torch.lt),
    "MatMul": _each(torch.matmul),
    "Max": _each(lambda *x: x[0] if len(x) == 1 else torch.maximum(*torch.broadcast_tensors(*x))),
    "MaxPool": lambda x, c, a: f.max_pool2d(
        x[0], a["kernel_shape"], a.get("strides", (1, 1)), tuple(a.get("pads", (0, 0, 0, 0))[:2])
    ),
    "Min": _each(lambda *x: x[0] if len(x) == 1 else torch.minimum(*torch.broadcast_tensors(*x))),
    "Mul": _each(torch.mul),
    "Not": _each(torch.logical_not),
    "Or": _each(torch.logical_or),
    "ReduceMax": _reduce(lambda x, axes, keep: torch.amax(x, axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: torch.sum(x, axes, keep, dtype=x.dtype)),
    "Relu": _each(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _each(torch.sigmoid),
    "Slice": _slice,
    "Softplus": _each(f.softplus),
    "Split": _split,
    "Squeeze": _squeezed,
    "Sub": _each(torch.sub),
    "TopK": _topk,
    "Transpose": lambda x, c, a: x[0].permute(*a["perm"]),
    "Unsqueeze": _unsqueezed,
    "Where": _each(torch.where),
}
