"""What TensorRT 10 and 11 would refuse or mishandle, read off the graph: no GPU is needed for it.

The rules are those of the ONNX importer (onnx-tensorrt) and of TensorRT 11's strong typing. A graph without findings
has not been run there; a graph with one of severity `error` will not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streamdet.graft.nms_graph import TOPK_LIMIT
from streamdet.graft.raw import all_nodes, inputs_of, opset_of, outputs_of, weights

OPSET_NEWEST = 22  # what the importer of TensorRT 10 knows
_DATA_DEPENDENT = {"NonZero", "NonMaxSuppression", "Unique", "Loop", "Scan", "If", "Compress", "SequenceConstruct"}
_INT64_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "MatMul", "ReduceSum", "CumSum", "Where", "TopK"}


@dataclass(frozen=True)
class Finding:
    """One rule that a graph breaks."""

    rule: str
    severity: Literal["error", "warning"]
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.what} [{self.rule}]"


def lint(model: Any) -> list[Finding]:
    """Every finding in a graph, in a fixed order; none means that no rule is broken."""
    facts = _Facts(model)
    return [finding for rule in RULES for finding in rule(facts)]


class _Facts:
    """The graph with what shape inference and constants tell of it."""

    def __init__(self, model: Any) -> None:
        import onnx

        self.model = model
        self.nodes = list(all_nodes(model.graph))
        self.constants = dict(weights(model.graph))
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        infos = [*inferred.value_info, *inferred.input, *inferred.output]
        self.kinds = {info.name: info.type.tensor_type.elem_type for info in infos}
        self.shapes = {
            info.name: [dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim]
            for info in infos
            if info.type.tensor_type.HasField("shape")
        }


def _operators(facts: _Facts) -> Iterator[Finding]:
    found = sorted({node.op_type for node in facts.nodes} & _DATA_DEPENDENT)
    for kind in found:
        yield Finding("static shapes", "error", f"{kind}: its output or course depends on data")


def _topk(facts: _Facts) -> Iterator[Finding]:
    for node in facts.nodes:
        if node.op_type != "TopK":
            continue
        k = facts.constants.get(node.input[1])
        if k is None:
            yield Finding("TopK", "error", f"{node.name}: K is computed, not constant")
        elif int(k.ravel()[0]) > TOPK_LIMIT:
            yield Finding("TopK", "error", f"{node.name}: K = {int(k.ravel()[0])}, the limit is {TOPK_LIMIT}")
        if any(attribute.name == "sorted" and attribute.i == 0 for attribute in node.attribute):
            yield Finding("TopK", "error", f"{node.name}: sorted = 0")


def _quantisation(facts: _Facts) -> Iterator[Finding]:
    for node in facts.nodes:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.input) < 3:
            continue
        zero = facts.constants.get(node.input[2])
        if zero is None:
            yield Finding("zero-points", "error", f"{node.name}: its zero-point is computed")
        elif zero.any():
            yield Finding("zero-points", "error", f"{node.name}: zero-point {int(zero.ravel()[np.argmax(zero != 0)])}")
        elif zero.dtype == np.uint8:
            yield Finding("zero-points", "error", f"{node.name}: unsigned; TensorRT wants int8")


def _batch(facts: _Facts) -> Iterator[Finding]:
    for face in [*inputs_of(facts.model), *outputs_of(facts.model)]:
        open_axes = [axis for axis, length in enumerate(face.shape) if length is None and axis > 0]
        if open_axes:
            yield Finding("only the batch is dynamic", "error", f"{face.name} {list(face.shape)}: axis {open_axes[0]}")
    loose = [name for name, shape in facts.shapes.items() if None in shape[1:]]
    if loose:
        yield Finding(
            "only the batch is dynamic",
            "warning",
            f"{len(loose)} tensors inside have other open axes, {loose[0]} first",
        )


def _int64(facts: _Facts) -> Iterator[Finding]:
    from onnx import TensorProto

    for face in [*inputs_of(facts.model), *outputs_of(facts.model)]:
        if face.dtype == np.int64:
            yield Finding("int64", "warning", f"{face.name} is int64; TensorRT before 10 has only int32")
    for name, array in facts.constants.items():
        if array.dtype == np.int64 and array.size and np.abs(array).max() > np.iinfo(np.int32).max:
            # Slice says "to the end" with the largest number there is; that is clamped, and harmless.
            if np.abs(array).max() >= np.iinfo(np.int64).max - 1:
                continue
            yield Finding("int64", "error", f"{name} holds {int(np.abs(array).max())}, too large for int32")
    arithmetic = [
        node.name
        for node in facts.nodes
        if node.op_type in _INT64_ARITHMETIC
        and facts.kinds.get(node.output[0]) == TensorProto.INT64
        and len(facts.shapes.get(node.output[0], ())) > 1  # vectors and scalars are shapes, computed on the host
    ]
    if arithmetic:
        yield Finding("int64", "warning", f"{len(arithmetic)} operators compute in int64, {arithmetic[0]} first")


def _types(facts: _Facts) -> Iterator[Finding]:
    from onnx import TensorProto

    strange = {TensorProto.DOUBLE: "double", TensorProto.STRING: "string", TensorProto.UINT16: "uint16"}
    found = sorted({strange[kind] for kind in facts.kinds.values() if kind in strange})
    for kind in found:
        yield Finding("types", "error", f"tensors of type {kind}")


def _opset(facts: _Facts) -> Iterator[Finding]:
    opset = opset_of(facts.model)
    if opset > OPSET_NEWEST:
        yield Finding("opset", "warning", f"opset {opset} is newer than {OPSET_NEWEST}, the newest of TensorRT 10")


RULES: tuple[Callable[[_Facts], Iterator[Finding]], ...] = (
    _operators,
    _topk,
    _quantisation,
    _batch,
    _int64,
    _types,
    _opset,
)
