"""A graph while it is rewritten: what every rewrite asks of it."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt


class Rewriting:
    """A graph while it is rewritten: who makes a tensor, who reads it, what is constant."""

    def __init__(self, graph: Any, inferred: Any) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self.maker = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self._outputs = {info.name for info in graph.output}
        infos = (*inferred.value_info, *inferred.input, *inferred.output)
        self._types = {info.name: info.type.tensor_type for info in infos}

    def shape(self, tensor: str) -> tuple[int | None, ...] | None:
        """Lengths of the axes, None each where they are free; None where nothing is known."""
        known = self._types.get(tensor)
        if known is None or not known.HasField("shape"):
            return None
        return tuple(d.dim_value if d.HasField("dim_value") else None for d in known.shape.dim)

    def is_float(self, *tensors: str) -> bool:
        """All of them are known to be float32."""
        from onnx import TensorProto

        return all(name in self._types and self._types[name].elem_type == TensorProto.FLOAT for name in tensors)

    def source(self, tensor: str) -> str:
        """The tensor itself, before it was renamed."""
        maker = self.maker.get(tensor)
        while maker is not None and maker.op_type == "Identity":
            tensor = maker.input[0]
            maker = self.maker.get(tensor)
        return tensor

    def weights(self, convolution: Any) -> npt.NDArray[np.float32] | None:
        """[O, I, kh, kw] of a plain one: ungrouped, undilated, its padding given in numbers."""
        weight = self.constants.get(convolution.input[1])
        plain = (
            attribute(convolution, "group", 1) == 1
            and set(attribute(convolution, "dilations", [1])) == {1}
            and attribute(convolution, "auto_pad", b"NOTSET") == b"NOTSET"
        )
        return weight if plain and weight is not None and weight.ndim == 4 and weight.dtype == np.float32 else None

    def store(self, array: npt.NDArray[Any]) -> str:
        """A new constant."""
        from onnx import numpy_helper

        name = next(name for n in count() if (name := f"fold/constant_{n}") not in self.constants)
        self.constants[name] = array
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> list[str]:
        """A new node at the end, with one output of a new name where none are given; `sort` brings it to its place."""
        from onnx import helper

        name = next(name for n in count() if (name := f"fold/{kind}_{n}") not in self.maker)
        made = helper.make_node(kind, inputs, outputs or [name], name=name, **attributes)
        self.graph.node.append(made)
        self.maker |= dict.fromkeys([name, *made.output], made)
        return list(made.output)

    def sort(self) -> None:
        """Makers before users again, otherwise in the order they had."""
        made_here = {name for node in self.graph.node for name in node.output}
        made: set[str] = set()
        waiting, ordered = list(self.graph.node), []
        while waiting:
            place = next(i for i, node in enumerate(waiting) if not (set(node.input) & made_here) - made)
            ordered.append(waiting.pop(place))
            made |= set(ordered[-1].output)
        del self.graph.node[:]
        self.graph.node.extend(ordered)

    def sweep(self) -> None:
        """Drop what nobody reads any more, and what was said of it."""
        read, kept = set(self._outputs), []
        for node in reversed(self.graph.node):  # a graph is sorted: makers stand before users
            if read & set(node.output):
                kept.append(node)
                read |= set(node.input)
        kept.reverse()
        del self.graph.node[:]
        self.graph.node.extend(kept)
        tensors = [tensor for tensor in self.graph.initializer if tensor.name in read]
        infos = [info for info in self.graph.value_info if info.name in read]
        del self.graph.initializer[:], self.graph.value_info[:]
        self.graph.initializer.extend(tensors)
        self.graph.value_info.extend(infos)


def attribute(node: Any, name: str, default: Any) -> Any:
    """An attribute's value, or what the operator takes without it."""
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def set_attributes(node: Any, **values: Any) -> None:
    """Give a node these attributes in place of those it had under their names."""
    from onnx import helper

    for name, value in values.items():
        for old in [one for one in node.attribute if one.name == name]:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute(name, value))
