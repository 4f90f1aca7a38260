"""The graph up to the named cut: what a CPU runtime runs when the tail is a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamdet.errors import EngineMismatch, MissingExtra
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES


def read_model(path: Path) -> Any:
    """The file as an onnx.ModelProto; a foreign or truncated file is one clear message."""
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("onnx", None, "cutting a graph") from error
    try:
        return onnx.load(path)
    except (DecodeError, OSError, ValueError) as error:
        raise EngineMismatch("the model file is not ONNX, or is truncated", where=path, got=error) from error


def has_cut(model: Any) -> bool:
    """Whether the graph names the tensors of the cut."""
    made = {name for node in model.graph.node for name in node.output}
    return {CUT_BOXES, CUT_SCORES} <= made


def before_cut(model: Any) -> bytes:
    """The part of the graph that makes the cut's tensors, these being its outputs, as the bytes of a model."""
    from onnx import TensorProto, helper

    made = {name for node in model.graph.node for name in node.output}
    wanted = [CUT_BOXES, CUT_SCORES, *(name for name in CUT_EXTRAS.values() if name in made)]
    part = type(model)()
    part.CopyFrom(model)
    needed, kept = set(wanted), []
    for node in reversed(model.graph.node):  # a graph is sorted: makers stand before users
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | _outer_names(node)
    del part.graph.node[:], part.graph.output[:], part.graph.value_info[:]
    part.graph.node.extend(reversed(kept))
    part.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted)
    unused = [tensor for tensor in part.graph.initializer if tensor.name not in needed]
    for tensor in unused:
        part.graph.initializer.remove(tensor)
    return bytes(part.SerializeToString())


def _outer_names(node: Any) -> set[str]:
    """Names that the subgraphs of If, Loop and Scan take from around them (and their own, which does no harm)."""
    return {
        name
        for attribute in node.attribute
        for graph in ([attribute.g] if attribute.HasField("g") else list(attribute.graphs))
        for inner in graph.node
        for name in (*inner.input, *_outer_names(inner))
    }
