"""From a raw network to an engine: pixels in front, the family's decode and the suppression behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamdet.errors import ModelRefused
from streamdet.graft.families.contract import Family, Network
from streamdet.graft.folding import fold
from streamdet.graft.nms_graph import CutShape, write_nms
from streamdet.graft.normalisation import Normalisation
from streamdet.graft.raw import REGIONS, Face, all_nodes, channels_last, inputs_of, opset_of, regions_among
from streamdet.graft.writer import NETWORK, GraphWriter
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES
from streamdet.manifest import Nms

OPSET = 17  # what the tail is written in; a newer network keeps its own
IR_VERSION = 10  # the newest that every supported ONNX Runtime reads
INPUT = "pixels"


@dataclass(frozen=True)
class Engine:
    """A grafted model and what its manifest must say about it."""

    model: Any  # onnx.ModelProto
    outputs: dict[str, str]  # meaning → name in the graph
    classes: int
    candidates: int  # N at the cut
    nms: Nms  # K and D as they were built


def graft(
    raw: Any,
    family: Family,
    network: Network,
    classes: int,
    normalisation: Normalisation,
    nms: Nms,
    fixed_batch: int | None = None,
) -> Engine:
    """Build the engine; `raw` is left as it is.

    With `fixed_batch` the engine takes exactly so many pictures, otherwise any number: then the network itself must
    accept any (`batching.free_batch`). An input of the network for boxes from outside stays one of the graph's.
    """
    model = upgraded(raw)
    picture, *others = inputs_of(model)
    rename(model.graph, NETWORK)
    writer = GraphWriter(opset_of(model))
    _write_front(writer, picture, normalisation)
    regions = regions_among(others)
    _bind_others(writer, others, network.size, fixed_batch or 1)
    front, writer.nodes = writer.nodes, []
    shape = family.write_cut(writer, network, classes)
    built = nms.model_copy(
        update={
            "candidates": min(nms.candidates, shape.candidates),
            "max_detections": min(nms.max_detections, nms.candidates, shape.candidates),
            "end_to_end": family.end_to_end,
        }
    )
    outputs = write_nms(writer, shape, built)
    width, height = network.size
    asked = {INPUT: (np.uint8, (3, height, width))} | ({REGIONS: (np.float32, regions.shape[1:])} if regions else {})
    graph = _assemble(model.graph, front, writer, shape, built, fixed_batch or "batch", asked)
    engine = fold(_model(graph, opset_of(model), model))
    engine.metadata_props.add(key="streamdet.family", value=family.name)
    _validate(engine)
    return Engine(engine, outputs, classes, shape.candidates, built)


def upgraded(raw: Any) -> Any:
    """A copy in at least the operator set that the tail is written in."""
    import onnx

    if opset_of(raw) >= OPSET:
        model = onnx.ModelProto()
        model.CopyFrom(raw)
        return model
    try:
        return onnx.version_converter.convert_version(raw, OPSET)
    except (RuntimeError, ValueError) as error:
        raise ModelRefused(
            "the model's operator set cannot be brought up to date",
            expected=f"opset {OPSET}",
            got=f"opset {opset_of(raw)}: {str(error).splitlines()[0]}",
            hint=f"export it again with opset_version={OPSET}",
        ) from error


def rename(graph: Any, prefix: str) -> None:
    """Put `prefix` before the name of every tensor and node, those inside of If and Loop too, in place."""
    for number, node in enumerate(all_nodes(graph)):
        node.name = prefix + (node.name or f"unnamed-{number}")  # nodes need no name, but two must not share one
        # Exporters leave stack traces there, with the paths of the machine that exported.
        del node.metadata_props[:]
        node.doc_string = ""
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else "" for name in names]
    for inner in _graphs(graph):
        for named in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            named.name = prefix + named.name


def _graphs(graph: Any) -> list[Any]:
    found = [graph]
    for node in all_nodes(graph):
        for attribute in node.attribute:
            found += [attribute.g] if attribute.HasField("g") else []
            found += list(attribute.graphs)
    return found


def _write_front(writer: GraphWriter, picture: Face, normalisation: Normalisation) -> None:
    """uint8 [B, 3, H, W] → what the network's first node reads."""
    tensor = INPUT
    if picture.dtype != np.uint8:
        tensor = writer.cast(tensor, np.float32)
        if set(normalisation.factor) != {1.0}:
            tensor = writer.op("Mul", tensor, writer.constant(np.reshape(normalisation.factor, (1, 3, 1, 1))))
        if any(normalisation.addend):
            tensor = writer.op("Add", tensor, writer.constant(np.reshape(normalisation.addend, (1, 3, 1, 1))))
        if picture.dtype != np.float32:
            tensor = writer.cast(tensor, picture.dtype)
    if channels_last(picture):
        tensor = writer.op("Transpose", tensor, perm=[0, 2, 3, 1])
    if len(picture.shape) == 3:
        tensor = writer.squeeze(tensor, 0)
    writer.op("Identity", tensor, name=writer.foreign(picture.name))


def _bind_others(writer: GraphWriter, others: list[Face], size: tuple[int, int], batch: int) -> None:
    """RT-DETR and D-FINE also ask for the picture's size: here it is the input's, so boxes come in input pixels."""
    for face in others:
        if face is regions_among(others):
            writer.op("Identity", REGIONS, name=writer.foreign(face.name))
            continue
        if len(face.shape) != 2 or face.shape[1] not in (2, None):
            raise ModelRefused(
                "the network has an input that is not a picture",
                where=face.name,
                expected="one input, or a second one [B, 2] for the picture's size",
                got=f"{face.dtype} {list(face.shape)}",
            )
        writer.op("Identity", writer.constant([size] * batch, face.dtype), name=writer.foreign(face.name))


def _assemble(
    foreign: Any,
    front: list[Any],
    writer: GraphWriter,
    shape: CutShape,
    nms: Nms,
    batch: int | str,
    inputs: Mapping[str, tuple[type[np.generic], tuple[int | None, ...]]],
) -> Any:
    from onnx import TensorProto, helper

    d = nms.max_detections
    outputs = {
        "count": (TensorProto.INT32, [batch]),
        "xyxy": (TensorProto.FLOAT, [batch, d, 4]),
        "score": (TensorProto.FLOAT, [batch, d]),
        "class_id": (TensorProto.INT32, [batch, d]),
        "converged": (TensorProto.BOOL, [batch]),
        "truncated": (TensorProto.INT32, [batch]),
    }
    cut = {CUT_BOXES: [batch, shape.candidates, 4], CUT_SCORES: [batch, shape.candidates, shape.classes]}
    for meaning, dims in shape.extras.items():
        outputs[meaning] = (TensorProto.FLOAT, [batch, d, *dims])
        cut[CUT_EXTRAS[meaning]] = [batch, shape.candidates, *dims]
    read = {name for node in all_nodes(foreign) for name in node.input}  # what was set free left constants behind
    return helper.make_graph(
        [*front, *foreign.node, *writer.nodes],
        "streamdet",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [batch, *dims])
            for name, (dtype, dims) in inputs.items()
        ],
        [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in outputs.items()],
        initializer=[*(tensor for tensor in foreign.initializer if tensor.name in read), *writer.constants],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in cut.items()],
    )


def _model(graph: Any, opset: int, foreign: Any) -> Any:
    from onnx import helper

    model = helper.make_model(
        graph,
        producer_name="streamdet",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=max(8, min(foreign.ir_version, IR_VERSION)),
    )
    for entry in foreign.metadata_props:
        model.metadata_props.add(key=entry.key, value=entry.value)
    return model


def _validate(model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelRefused("the grafted graph is not valid ONNX", got=str(error).splitlines()[0]) from error
