"""The graph up to the named cut: what a CPU runtime runs when the tail is a kernel."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Literal

from streamdet.errors import EngineMismatch, MissingExtra
from streamdet.infer.cache import writable_folder
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES
from streamdet.manifest import EngineManifest

TailPlace = Literal["auto", "kernel", "graph"]

_WAY = 1  # of cutting: another number where `before_cut` changes, so that no older part is taken for its work


def model_for(manifest: EngineManifest, path: Path, tail: TailPlace) -> tuple[str | bytes, Literal["kernel", "graph"]]:
    """The file, or the bytes of its part before the cut, and where the tail runs then.

    `auto` is a kernel wherever the engine allows it: a detector with NMS settings whose graph names the cut. The part
    is kept in the cache: with it there, an engine is open sooner and in 30 MB less, without the onnx package.
    """
    if tail == "graph" or (tail == "auto" and manifest.nms is None):
        return str(path), "graph"
    kept = _place_in_cache(manifest, path)
    if kept is not None and kept.is_file() and manifest.nms is not None:
        return str(kept), "kernel"
    model = read_model(path)
    made = {name for node in model.graph.node for name in node.output}
    if {CUT_BOXES, CUT_SCORES} <= made and manifest.nms is not None:
        part = before_cut(model)
        if kept is not None:
            _keep(part, kept)
        return part, "kernel"
    if tail == "kernel":
        raise EngineMismatch(
            "the tail cannot run as a kernel",
            where=path,
            expected=f"a detector with NMS settings, whose graph names {CUT_BOXES} and {CUT_SCORES}",
            got="one without",
            hint="leave the tail in the graph",
        )
    return str(path), "graph"


def _place_in_cache(manifest: EngineManifest, path: Path) -> Path | None:
    """By the model's hash, which was checked when the engine was found; None where nothing can be written."""
    folder = writable_folder("cut")
    hashes = [file.sha256 for file in manifest.files if file.path == path.name]
    return folder / f"{hashes[0]}.{_WAY}.onnx" if folder is not None and hashes else None


def _keep(part: bytes, place: Path) -> None:
    """Whole or not at all; a full disk costs only the time that it would have saved."""
    aside = place.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        aside.write_bytes(part)
        aside.replace(place)
    except OSError:
        aside.unlink(missing_ok=True)


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


def before_cut(model: Any) -> bytes:
    """The part of the graph that makes the cut's tensors, these being its outputs, as the bytes of a model."""
    from onnx import TensorProto, helper

    made = {name for node in model.graph.node for name in node.output}
    wanted = [CUT_BOXES, CUT_SCORES, *(name for name in CUT_EXTRAS.values() if name in made)]
    known = {info.name: info for info in (*model.graph.value_info, *model.graph.output)}
    free = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted}
    outputs = [known.get(name, free[name]) for name in wanted]
    needed, kept = set(wanted), []
    for node in reversed(model.graph.node):  # a graph is sorted: makers stand before users
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | _outer_names(node)
    part = type(model)()
    part.CopyFrom(model)
    for field in ("node", "output", "value_info", "initializer"):
        part.graph.ClearField(field)
    part.graph.node.extend(reversed(kept))
    part.graph.output.extend(outputs)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)
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
