"""Tiny engines for tests, built with onnx.helper: their pixels are boxes and scores, so that any scene can be played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Fit, Nms, dump_manifest, sha256_of

BOX_SCALE = 4.0  # pixels of the input per level


class Graph:
    """A list of nodes under construction; `add` returns the name of the node's first output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *inputs: str, out: str | tuple[str, ...] | None = None, **attributes: object) -> str:
        names = (out,) if isinstance(out, str) else out or (f"t{len(self.nodes)}",)
        self.nodes.append(helper.make_node(op, list(inputs), list(names), **attributes))
        return names[0]


def add_static_suppression(graph: Graph, nms: Nms, n_candidates: int) -> None:
    """sd_boxes and sd_scores → count, xyxy, score, class_id, converged, truncated, with ordinary operators only."""
    g, i64 = graph, np.int64
    k, d = min(nms.candidates, n_candidates), min(nms.max_detections, nms.candidates, n_candidates)
    floor = g.const(nms.floor)
    best = g.add("ReduceMax", "sd_scores", g.const([2], i64), keepdims=0)
    kind = g.add("ArgMax", "sd_scores", axis=2, keepdims=0)
    above = g.add("Cast", g.add("Greater", best, floor), to=TensorProto.INT32)
    beyond = g.add("Sub", g.add("ReduceSum", above, g.const([1], i64), keepdims=0), g.const(k, np.int32))
    g.add("Max", beyond, g.const(0, np.int32), out="truncated")
    g.add("TopK", best, g.const([k], i64), out=("top", "top_at"), axis=1)
    boxes = gather_rows(g, "sd_boxes", "top_at", 4)
    kinds = g.add("GatherElements", kind, "top_at", axis=1)
    g.add("Split", boxes, out=("x1", "y1", "x2", "y2"), axis=2, num_outputs=4)  # [B, K, 1] each

    def pair(op: str, name: str) -> str:
        return g.add(op, name, g.add("Transpose", name, perm=[0, 2, 1]))

    zero = g.const(0)
    inter = g.add(
        "Mul",
        g.add("Max", g.add("Sub", pair("Min", "x2"), pair("Max", "x1")), zero),
        g.add("Max", g.add("Sub", pair("Min", "y2"), pair("Max", "y1")), zero),
    )
    size = g.add("Mul", g.add("Max", g.add("Sub", "x2", "x1"), zero), g.add("Max", g.add("Sub", "y2", "y1"), zero))
    union = g.add("Sub", pair("Add", size), inter)
    overlap = g.add("Greater", inter, g.add("Mul", union, g.const(nms.iou)))
    same = pair("Equal", g.add("Unsqueeze", kinds, g.const([2], i64)))
    earlier = g.const(np.triu(np.ones((k, k)), 1), np.bool_)
    beats = g.add("Cast", g.add("And", g.add("And", overlap, same), earlier), to=TensorProto.FLOAT)
    valid = g.add("Cast", g.add("Greater", "top", floor), to=TensorProto.FLOAT)
    valid = g.add("Unsqueeze", valid, g.const([1], i64))  # [B, 1, K]
    keep = before = valid
    for _ in range(0 if nms.end_to_end else nms.iterations):
        before = keep
        free = g.add("Less", g.add("MatMul", keep, beats), g.const(0.5))
        keep = g.add("Mul", valid, g.add("Cast", free, to=TensorProto.FLOAT))
    changed = g.add("ReduceMax", g.add("Abs", g.add("Sub", keep, before)), g.const([1, 2], i64), keepdims=0)
    g.add("Less", changed, g.const(0.5), out="converged")
    rank = g.add("Mul", "top", g.add("Squeeze", keep, g.const([1], i64)))
    g.add("TopK", rank, g.const([d], i64), out=("score", "kept_at"), axis=1)
    filled = g.add("Greater", "score", zero)
    g.add("ReduceSum", g.add("Cast", filled, to=TensorProto.INT32), g.const([1], i64), keepdims=0, out="count")
    filled_f = g.add("Unsqueeze", g.add("Cast", filled, to=TensorProto.FLOAT), g.const([2], i64))
    g.add("Mul", gather_rows(g, boxes, "kept_at", 4), filled_f, out="xyxy")
    class_id = g.add("Cast", g.add("GatherElements", kinds, "kept_at", axis=1), to=TensorProto.INT32)
    g.add("Mul", class_id, g.add("Cast", filled, to=TensorProto.INT32), out="class_id")


def gather_rows(graph: Graph, source: str, at: str, columns: int) -> str:
    """[B, N, c], [B, K] → [B, K, c]."""
    index = graph.add("Unsqueeze", at, graph.const([2], np.int64))
    shape = graph.add("Concat", graph.add("Shape", at), graph.const([columns], np.int64), axis=0)
    return graph.add("GatherElements", source, graph.add("Expand", index, shape), axis=1)


def suppression_outputs(batch: int | str, d: int) -> list[onnx.ValueInfoProto]:
    """The declared outputs of a detector's graph."""
    of = helper.make_tensor_value_info
    return [
        of("count", TensorProto.INT32, [batch]),
        of("xyxy", TensorProto.FLOAT, [batch, d, 4]),
        of("score", TensorProto.FLOAT, [batch, d]),
        of("class_id", TensorProto.INT32, [batch, d]),
        of("converged", TensorProto.BOOL, [batch]),
        of("truncated", TensorProto.INT32, [batch]),
    ]


def save_engine(
    folder: Path, graph: Graph, engine_input: EngineInput, nms: Nms, classes: tuple[str, ...], n_candidates: int
) -> Path:
    """A folder with model.onnx and manifest.json."""
    smallest, largest = engine_input.batch
    batch: int | str = largest if smallest == largest else "batch"
    width, height = engine_input.size
    shape = [batch, engine_input.channels, height, width]
    d = min(nms.max_detections, nms.candidates, n_candidates)
    built = helper.make_graph(
        graph.nodes,
        "tiny",
        [helper.make_tensor_value_info(engine_input.name, TensorProto.UINT8, shape)],
        suppression_outputs(batch, d),
        graph.constants,
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    outputs = {name: name for name in ("count", "xyxy", "score", "class_id", "converged", "truncated")}
    manifest = EngineManifest(
        name=folder.name,
        kind="detector",
        family="parrot",
        input=engine_input,
        outputs=outputs,
        classes=classes,
        nms=nms.model_copy(update={"max_detections": d}),
        files=(EngineFile(path="model.onnx", sha256=sha256_of(folder / "model.onnx")),),
    )
    (folder / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
    return folder


def parrot(
    folder: Path,
    *,
    n_classes: int = 3,
    n_candidates: int = 64,
    nms: Nms | None = None,
    batch: tuple[int, int] = (1, 4),
) -> Path:
    """An engine whose red channel says what it sees: row i holds x1, y1, x2, y2 (in levels of 4 px), then the class
    scores (in 255ths) of candidate i. The boxes and scores of `scene` come back exactly."""
    width, height = 4 + n_classes, n_candidates
    g = Graph()
    levels = g.add("Cast", "picture", to=TensorProto.FLOAT)
    mixed = g.add("Conv", levels, g.const(np.eye(3)[:1, :, None, None]))  # [B, 1, N, 4 + C]: a real layer to compile
    rows = g.add("Squeeze", mixed, g.const([1], np.int64))
    g.add("Split", rows, g.const([4, n_classes], np.int64), out=("box_levels", "score_levels"), axis=2)
    g.add("Mul", "box_levels", g.const(BOX_SCALE), out="sd_boxes")
    g.add("Mul", "score_levels", g.const(np.float32(1 / 255)), out="sd_scores")
    nms = nms or Nms(candidates=32, max_detections=16)
    add_static_suppression(g, nms, n_candidates)
    engine_input = EngineInput(name="picture", size=(width, height), fit=Fit(mode="stretch"), batch=batch)
    return save_engine(folder, g, engine_input, nms, tuple(f"class{i}" for i in range(n_classes)), n_candidates)


def scene(boxes: npt.NDArray[np.uint8], scores: npt.NDArray[np.uint8], n_candidates: int) -> npt.NDArray[np.uint8]:
    """Boxes [n, 4] and scores [n, C] in levels → the input [3, N, 4 + C] in which a parrot sees them."""
    picture = np.zeros((3, n_candidates, 4 + scores.shape[1]), np.uint8)
    picture[0, : len(boxes), :4] = boxes
    picture[0, : len(boxes), 4:] = scores
    return picture
