"""INT8 for TensorRT: explicit Q/DQ around a network's convolutions, symmetric, zero-points 0, weights per channel.

The first convolution sees pixels, and the last ones give boxes and scores: both stay as they are, and so does all that
is behind the cut. Grouped convolutions stay too: each of their channels is filtered by itself, so one with outliers
takes the common scale from all others (seen in YOLOX-Nano: two of them alone cost every detection), and they are bound
by memory, not by arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ModelRefused
from streamdet.graft.calibration import LEVELS, Histogram, calibrate
from streamdet.graft.casts import PRODUCTS, before_the_last_product
from streamdet.graft.raw import weights
from streamdet.manifest import EngineManifest


def symmetric(model: Any, manifest: EngineManifest, pictures: npt.NDArray[np.uint8]) -> Any:
    """A copy of an engine's fp32 graph whose inner convolutions compute in int8."""
    import onnx

    chosen = inner_convolutions(model)
    if not chosen:
        raise ModelRefused(
            "there is nothing to quantise",
            where=manifest.name,
            expected="convolutions between the first and the last ones",
            got=f"{sum(node.op_type == 'Conv' for node in model.graph.node)} convolutions in all",
        )
    entries = sorted({node.input[0] for node in chosen})
    ranges = calibrate(model, entries, manifest.input.name, pictures, Histogram)
    copy = type(model)()
    copy.CopyFrom(model)
    _Quantising(copy.graph, {node.name for node in chosen}, ranges).run()
    onnx.checker.check_model(copy, full_check=True)
    return copy


def inner_convolutions(model: Any) -> list[Any]:
    """Plain convolutions of the network with constant weights, behind one of its products and before another one."""
    constants = dict(weights(model.graph))
    network = before_the_last_product(model.graph)
    behind: set[str] = set()  # tensors that some product has gone into
    second = []
    for node in network:
        if behind & set(node.input):
            behind |= set(node.output)
            if node.op_type == "Conv" and node.input[1] in constants and _groups(node) == 1:
                second.append(node)
        if node.op_type in PRODUCTS:
            behind |= set(node.output)
    ahead: set[str] = set()  # tensors that go into some product
    inner = []
    for node in reversed(network):
        leads_on = bool(ahead & set(node.output))
        if leads_on and any(node is one for one in second):
            inner.append(node)
        if leads_on or node.op_type in PRODUCTS:
            ahead |= set(node.input)
    return inner[::-1]


def _groups(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "group"), 1)


class _Quantising:
    """One pass over a graph."""

    def __init__(self, graph: Any, chosen: set[str], ranges: dict[str, Histogram]) -> None:
        self._graph = graph
        self._chosen = chosen
        self._ranges = ranges
        self._constants = dict(weights(graph))
        self._made: dict[str, str] = {}  # tensor → the same after Q and DQ
        self._nodes: list[Any] = []

    def run(self) -> None:
        """Rewrite the graph's nodes and constants in place."""
        for node in self._graph.node:
            if node.name in self._chosen:
                node.input[0] = self._activation(node.input[0])
                node.input[1] = self._weight(node.input[1])
            self._nodes.append(node)
        nodes = list(self._nodes)
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        read = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _activation(self, name: str) -> str:
        """Rounded to 127 steps up to the limit that errs least; shared by all who read it."""
        if name not in self._made:
            scale = self._constant(f"{name}:scale", np.float32(self._ranges[name].best_limit() / LEVELS))
            zero = self._constant(f"{name}:zero", np.int8(0))
            self._node("QuantizeLinear", [name, scale, zero], f"{name}:int8")
            self._made[name] = self._node("DequantizeLinear", [f"{name}:int8", scale, zero], f"{name}:rounded")
        return self._made[name]

    def _weight(self, name: str) -> str:
        """Stored as int8, with a scale for each output channel."""
        if name not in self._made:
            weight = self._constants[name]
            largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
            scale = np.where(largest > 0, largest / LEVELS, 1.0).astype(np.float32)
            rounded = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
            inputs = [
                self._constant(f"{name}:int8", rounded),
                self._constant(f"{name}:scale", scale),
                self._constant(f"{name}:zero", np.zeros(len(scale), np.int8)),
            ]
            self._made[name] = self._node("DequantizeLinear", inputs, f"{name}:rounded", axis=0)
        return self._made[name]

    def _constant(self, name: str, values: npt.ArrayLike) -> str:
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}/{output}", **attributes))
        return output
