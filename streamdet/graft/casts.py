"""FP16 where it saves time: everything that still feeds a convolution or a matrix product of the network.

What comes after the last of them is decoding and suppression: coordinates, which FP16 holds to half a pixel at 640
only, and their products, which it cannot hold at all. That stays in FP32. The precision so lies in the file, and no
runtime needs to be told.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamdet.errors import ModelRefused
from streamdet.graft.writer import NETWORK

PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "Attention", "LSTM", "GRU"}
# Inputs that are float32 by definition, whatever the type of the tensor: operator → places.
_ALWAYS_FLOAT = {"Resize": {1, 2}, "Upsample": {1}, "NonMaxSuppression": {0, 1, 2, 3, 4}}


def before_the_last_product(graph: Any) -> list[Any]:
    """The network's nodes that lead to one of its products, in the graph's order: what casts and quantisation touch."""
    needed: set[str] = set()
    chosen = []
    for node in reversed(graph.node):  # a graph is sorted: makers stand before users
        own = node.name.startswith(NETWORK)
        if needed & set(node.output) or (own and node.op_type in PRODUCTS):
            needed |= set(node.input)
            chosen.append(node)
    return chosen[::-1]


def half(model: Any) -> Any:
    """A copy of an engine's graph whose network computes in FP16."""
    import onnx

    copy = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = copy.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        raise ModelRefused("the network branches (If, Loop): it cannot be cast", expected="a plain graph")
    _Halving(graph).run()
    onnx.checker.check_model(copy, full_check=True)
    return copy


class _Halving:
    """One pass over a graph."""

    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto

        self._graph = graph
        self._chosen = {node.output[0] for node in before_the_last_product(graph)}
        self._float = TensorProto.FLOAT
        self._half = TensorProto.FLOAT16
        infos = (*graph.value_info, *graph.input, *graph.output)
        self._is_float = {info.name for info in infos if info.type.tensor_type.elem_type == self._float}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._made: dict[str, str] = {}  # tensor → the same in the other precision
        self._nodes: list[Any] = []

    def run(self) -> None:
        """Rewrite the graph's nodes and constants in place."""
        halved: set[str] = set()  # tensors that are FP16 now
        for node in self._graph.node:
            if node.output[0] in self._chosen:
                self._enter(node, halved)
                self._nodes.append(node)
                halved |= set(node.output) & self._outputs_in_half(node)
            else:
                for place, name in enumerate(node.input):
                    if name in halved:
                        node.input[place] = self._cast(name, self._float)
                self._nodes.append(node)
        nodes = list(self._nodes)
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_what_is_stale()

    def _enter(self, node: Any, halved: set[str]) -> None:
        """Give a chosen node FP16 inputs."""
        from onnx import numpy_helper

        kept = _ALWAYS_FLOAT.get(node.op_type, set())
        for place, name in enumerate(node.input):
            if name in halved:
                if place in kept:
                    node.input[place] = self._cast(name, self._float)
            elif name in self._constants:
                if self._constants[name].data_type == self._float and place not in kept:
                    node.input[place] = self._constant(name)
            elif name in self._is_float and place not in kept and node.op_type != "Cast":
                node.input[place] = self._cast(name, self._half)
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == self._float:
                attribute.i = self._half
            if attribute.name == "value" and attribute.t.data_type == self._float:
                array = numpy_helper.to_array(attribute.t).astype(np.float16)
                attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))

    def _outputs_in_half(self, node: Any) -> set[str]:
        return {name for name in node.output if name in self._is_float}

    def _cast(self, name: str, to: int) -> str:
        from onnx import helper

        made = f"{name}:{'half' if to == self._half else 'float'}"
        if made not in self._made:
            self._made[made] = name
            self._nodes.append(helper.make_node("Cast", [name], [made], name=f"cast/{made}", to=to))
        return made

    def _constant(self, name: str) -> str:
        from onnx import numpy_helper

        made = f"{name}:half"
        if made not in self._made:
            self._made[made] = name
            array = numpy_helper.to_array(self._constants[name])
            largest = float(np.finfo(np.float16).max)
            if array.size and np.abs(array[np.isfinite(array)]).max(initial=0) > largest:
                raise ModelRefused("a weight is too large for FP16", where=name, expected=f"at most {largest:g}")
            self._graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), made))
        return made

    def _drop_what_is_stale(self) -> None:
        """Constants that nobody reads any more, and the inferred types of the inside."""
        read = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        cut = [info for info in self._graph.value_info if info.name.startswith("sd_")]
        del self._graph.initializer[:], self._graph.value_info[:]
        self._graph.initializer.extend(kept)
        self._graph.value_info.extend(cut)
