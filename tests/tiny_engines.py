"""Tiny engines for tests: their pixels are boxes and scores, so that any scene can be played through a runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from streamdet.graft.nms_graph import CutShape, write_nms
from streamdet.graft.writer import GraphWriter
from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Fit, Nms, dump_manifest, sha256_of

BOX_STEP_PX = 4.0  # pixels of the input per level
OPSET = 17


def parrot(
    folder: Path,
    *,
    n_classes: int = 3,
    n_candidates: int = 64,
    n_keypoints: int = 0,
    nms: Nms | None = None,
    batch: tuple[int, int] = (1, 4),
) -> Path:
    """An engine folder whose red channel says what it sees.

    Row i of a picture is candidate i: x1, y1, x2, y2 in levels of 4 px, the class scores in 255ths, then the keypoints
    (x, y, score as they are). Pictures are made by `scene`.
    """
    size = (4 + n_classes + 3 * n_keypoints, n_candidates)
    engine_input = EngineInput(name="picture", size=size, fit=Fit(mode="stretch"), batch=batch)
    asked = nms or Nms(candidates=32, max_detections=16)
    k = min(asked.candidates, n_candidates)
    built = asked.model_copy(update={"candidates": k, "max_detections": min(asked.max_detections, k)})
    writer = GraphWriter(OPSET)
    _write_cut(writer, n_classes, n_candidates, n_keypoints)
    extras = {"keypoints": (n_keypoints, 3)} if n_keypoints else {}
    outputs = write_nms(writer, CutShape(n_candidates, n_classes, extras), built)
    folder.mkdir(parents=True)
    onnx.save(_model(writer, engine_input, outputs), folder / "model.onnx")
    manifest = EngineManifest(
        name=folder.name,
        kind="detector",
        family="parrot",
        input=engine_input,
        outputs=outputs,
        classes=tuple(f"class{i}" for i in range(n_classes)),
        keypoints=tuple(f"point{i}" for i in range(n_keypoints)),
        nms=built,
        files=(EngineFile(path="model.onnx", sha256=sha256_of(folder / "model.onnx")),),
    )
    (folder / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
    return folder


def _write_cut(writer: GraphWriter, n_classes: int, n_candidates: int, n_keypoints: int) -> None:
    levels = writer.cast("picture", np.float32)
    red = writer.op("Conv", levels, writer.constant(np.eye(3)[:1, :, None, None]))  # [B, 1, N, …], a layer to compile
    rows = writer.squeeze(red, 1)
    boxes = writer.slice(rows, 2, 0, 4)
    scores = writer.slice(rows, 2, 4, 4 + n_classes)
    writer.op("Mul", boxes, writer.constant(BOX_STEP_PX), name="sd_boxes")
    writer.op("Mul", scores, writer.constant(1 / 255), name="sd_scores")
    if n_keypoints:
        points = writer.slice(rows, 2, 4 + n_classes, 4 + n_classes + 3 * n_keypoints)
        writer.reshape(points, 0, n_candidates, n_keypoints, 3, name="sd_keypoints")


def _model(writer: GraphWriter, engine_input: EngineInput, outputs: dict[str, str]) -> onnx.ModelProto:
    smallest, largest = engine_input.batch
    batch: int | str = largest if smallest == largest else "batch"
    width, height = engine_input.size
    kinds = {"count": TensorProto.INT32, "class_id": TensorProto.INT32, "truncated": TensorProto.INT32}
    kinds["converged"] = TensorProto.BOOL
    graph = helper.make_graph(
        writer.nodes,
        "parrot",
        [helper.make_tensor_value_info(engine_input.name, TensorProto.UINT8, [batch, 3, height, width])],
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs.values()],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def scene(
    boxes: npt.NDArray[np.uint8], scores: npt.NDArray[np.uint8], n_candidates: int, extra_columns: int = 0
) -> npt.NDArray[np.uint8]:
    """Boxes [n, 4] and scores [n, C] in levels → the input [3, N, 4 + C + extra] in which a parrot sees them."""
    n_classes = scores.shape[1]
    picture = np.zeros((3, n_candidates, 4 + n_classes + extra_columns), np.uint8)
    picture[0, : len(boxes), :4] = boxes
    picture[0, : len(boxes), 4 : 4 + n_classes] = scores
    return picture


READER_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def reader_level(letter: str) -> int:
    """The grey level by which `parrot_reader` knows a character."""
    return 60 + 5 * READER_ALPHABET.index(letter)


def parrot_reader(folder: Path, *, size: tuple[int, int] = (192, 64)) -> Path:
    """An engine folder of a reader whose characters are grey patches on black: `reader_level` says which is which.

    What stands in the lower half of the crop belongs to the lower line.
    """
    width, height = size[0] // 2, size[1] // 2
    levels = np.array([0, *(reader_level(letter) for letter in READER_ALPHABET)], np.float32)
    lower = np.where(np.arange(height) >= height // 2, 6.0, -6.0).astype(np.float32)
    constants = {
        "levels": levels.reshape(1, -1, 1, 1),
        "width": np.array(3.0, np.float32),
        "minus": np.array(-1.0, np.float32),
        "half": np.array(45.0, np.float32),
        "lower": np.repeat(lower[None, :, None], width, axis=2),
        "zero": np.array(0.0, np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["levels_in"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["levels_in"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sub", ["small", "levels"], ["away"]),
        helper.make_node("Div", ["away", "width"], ["steps"]),
        helper.make_node("Mul", ["steps", "steps"], ["squares"]),
        helper.make_node("Mul", ["squares", "minus"], ["glyph"]),
        helper.make_node("Squeeze", ["small", "axis"], ["flat"]),
        helper.make_node("Sub", ["flat", "half"], ["core"]),
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "lower"], ["line"]),
    ]
    shape = ["batch", height, width]
    outputs = {"glyph": ["batch", len(levels), height, width], "core": shape, "line": shape}
    graph = helper.make_graph(
        nodes,
        "parrot_reader",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", 1, size[1], size[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    manifest = EngineManifest(
        name=folder.name,
        kind="reader",
        family="parrot",
        input=EngineInput(name="crops", size=size, colour="gray", fit=Fit(mode="stretch"), batch=(1, 4)),
        outputs={name: name for name in outputs},
        alphabet=READER_ALPHABET,
        files=(EngineFile(path="model.onnx", sha256=sha256_of(folder / "model.onnx")),),
    )
    (folder / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
    return folder


def plate_for_parrots(text: str, size: tuple[int, int] = (188, 40)) -> npt.NDArray[np.uint8]:
    """A grey plate [h, w] that `parrot_reader` reads as this text."""
    width, height = size
    plate = np.zeros((height, width), np.uint8)
    step = width / (len(text) + 0.5)
    for number, letter in enumerate(text):
        left = round(step * (number + 0.5))
        plate[height // 6 : height // 2, left : left + round(step * 0.6)] = reader_level(letter)
    return plate
