"""Small networks of every output form, built with onnx.helper: a few convolutions with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from streamdet.graft.writer import GraphWriter


class Toy(GraphWriter):
    """A network in the making, one input picture."""

    def __init__(self, size=(64, 64), batch: int | str = "batch", opset: int = 17, seed: int = 0, extra=()) -> None:
        super().__init__(opset, prefix="toy/")
        self.random = np.random.default_rng(seed)
        self.size, self.batch, self.extra = size, batch, extra

    def conv(self, x: str, channels_in: int, channels_out: int, stride: int = 1, spread: float = 1.0) -> str:
        """A 3x3 convolution with random weights."""
        weight = self.random.normal(0, spread / np.sqrt(9 * channels_in), (channels_out, channels_in, 3, 3))
        bias = self.random.normal(0, 0.1, channels_out)
        return self.op(
            "Conv", x, self.constant(weight), self.constant(bias), pads=[1, 1, 1, 1], strides=[stride, stride]
        )

    def trunk(self, stride: int, channels: int = 8, scale: float = 1.0) -> str:
        """images → features [B, channels, H/stride, W/stride], spread widely."""
        x, now, n = "images", 1, 3
        if scale != 1.0:
            x = self.op("Mul", x, self.constant(scale))
        while now < stride:
            x = self.op("Relu", self.conv(x, n, channels, 2, spread=3.0))
            now, n = now * 2, channels
        return x

    def model(self, outputs: dict[str, list[Any]], kinds: dict[str, int] | None = None, **metadata: str) -> Any:
        """Close the network; outputs: name → declared shape."""
        width, height = self.size
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [self.batch, 3, height, width])
        faces = [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), shape)
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "toy", [images, *self.extra], faces, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        for key, value in metadata.items():
            made.metadata_props.add(key=key, value=value)
        return made


def generic(size=(64, 64), classes: int = 3, batch: int | str = "batch", seed: int = 0) -> Any:
    """Boxes around the cells of a stride-8 grid, and scores."""
    toy = Toy(size, batch, seed=seed)
    columns, rows = size[0] // 8, size[1] // 8
    x = toy.trunk(8)
    flat = toy.op("Transpose", toy.reshape(toy.conv(x, 8, 4 + classes, spread=2.0), 0, 4 + classes, -1), perm=[0, 2, 1])
    centre = np.stack(np.meshgrid(np.arange(columns) * 8 + 4, np.arange(rows) * 8 + 4), -1).reshape(1, -1, 2)
    reach = toy.op("Mul", toy.op("Softplus", toy.slice(flat, 2, 0, 4)), toy.constant(10.0))
    low = toy.op("Sub", toy.constant(centre), toy.slice(reach, 2, 0, 2))
    high = toy.op("Add", toy.constant(centre), toy.slice(reach, 2, 2, 4))
    toy.op("Concat", low, high, axis=2, name="boxes")
    toy.op("Sigmoid", toy.slice(flat, 2, 4, 4 + classes), name="scores")
    return toy.model({"boxes": [toy.batch, columns * rows, 4], "scores": [toy.batch, columns * rows, classes]})


def _levels(toy: Toy, channels: int, scale: float = 1.0) -> list[tuple[str, int]]:
    """Raw predictions [B, channels, H/s, W/s] of strides 8, 16, 32."""
    x = toy.trunk(8, scale=scale)
    levels = []
    for stride in (8, 16, 32):
        if stride > 8:
            x = toy.op("Relu", toy.conv(x, 8, 8, 2, spread=2.0))
        levels.append((toy.conv(x, 8, channels, spread=1.5), stride))
    return levels


def _cells(toy: Toy, stride: int) -> tuple[np.ndarray, int]:
    """Columns and rows of the cells [1, n, 2]."""
    columns, rows = toy.size[0] // stride, toy.size[1] // stride
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(1, -1, 2), columns * rows


def yolox(size=(64, 64), classes: int = 4, batch: int | str = "batch", decoded: bool = False, opset: int = 17) -> Any:
    """One row per cell, sigmoids inside, boxes raw or decoded; with a fixed batch its Reshapes carry it."""
    toy = Toy(size, batch, opset=opset)
    first = batch if isinstance(batch, int) else 0
    rows, total = [], 0
    for x, stride in _levels(toy, 5 + classes, scale=1 / 255):
        box, rest = toy.slice(x, 1, 0, 4), toy.op("Sigmoid", toy.slice(x, 1, 4, 5 + classes))
        flat = toy.reshape(toy.op("Concat", box, rest, axis=1), first, 5 + classes, -1)
        row = toy.op("Transpose", flat, perm=[0, 2, 1])
        cells, count = _cells(toy, stride)
        if decoded:
            place = toy.op("Mul", toy.op("Add", toy.slice(row, 2, 0, 2), toy.constant(cells)), toy.constant(stride))
            extent = toy.op("Mul", toy.op("Exp", toy.slice(row, 2, 2, 4)), toy.constant(stride))
            row = toy.op("Concat", place, extent, toy.slice(row, 2, 4, 5 + classes), axis=2)
        rows.append(row)
        total += count
    toy.op("Concat", *rows, axis=1, name="output")
    return toy.model({"output": [batch, total, 5 + classes]})


def yolov5(size=(64, 64), classes: int = 4, batch: int | str = "batch", **metadata: str) -> Any:
    """Three anchors per cell, decoded."""
    toy = Toy(size, batch)
    rows, total = [], 0
    for x, stride in _levels(toy, 3 * (5 + classes)):
        cells, count = _cells(toy, stride)
        for anchor in range(3):
            part = toy.slice(x, 1, anchor * (5 + classes), (anchor + 1) * (5 + classes))
            flat = toy.reshape(toy.op("Sigmoid", part), 0, 5 + classes, count)
            row = toy.op("Transpose", flat, perm=[0, 2, 1])
            moved = toy.op("Add", toy.op("Mul", toy.slice(row, 2, 0, 2), toy.constant(2.0)), toy.constant(cells - 0.5))
            place = toy.op("Mul", moved, toy.constant(stride))
            double = toy.op("Mul", toy.slice(row, 2, 2, 4), toy.constant(2.0))
            extent = toy.op("Mul", toy.op("Mul", double, double), toy.constant(stride * (anchor + 1.0)))
            rows.append(toy.op("Concat", place, extent, toy.slice(row, 2, 4, 5 + classes), axis=2))
        total += 3 * count
    toy.op("Concat", *rows, axis=1, name="output")
    return toy.model({"output": [batch, total, 5 + classes]}, **metadata)


def _anchor_free(toy: Toy, classes: int, extra: int) -> tuple[str, str, str, int]:
    """(corners [B, N, 4], class chances [B, N, C], extra columns [B, N, extra] in pixels, N)."""
    corners, chances, others, total = [], [], [], 0
    for x, stride in _levels(toy, 4 + classes + extra):
        cells, count = _cells(toy, stride)
        row = toy.op("Transpose", toy.reshape(x, 0, 4 + classes + extra, count), perm=[0, 2, 1])
        reach = toy.op("Mul", toy.op("Softplus", toy.slice(row, 2, 0, 4)), toy.constant(stride))
        centre = toy.constant((cells + 0.5) * stride)
        low = toy.op("Sub", centre, toy.slice(reach, 2, 0, 2))
        high = toy.op("Add", centre, toy.slice(reach, 2, 2, 4))
        corners.append(toy.op("Concat", low, high, axis=2))
        chances.append(toy.op("Sigmoid", toy.slice(row, 2, 4, 4 + classes)))
        if extra:
            others.append(toy.op("Mul", toy.slice(row, 2, 4 + classes, 4 + classes + extra), toy.constant(stride)))
        total += count
    joined = toy.op("Concat", *others, axis=1) if extra else ""
    return toy.op("Concat", *corners, axis=1), toy.op("Concat", *chances, axis=1), joined, total


def _centres(toy: Toy, corners: str) -> str:
    """Corners → centre and size."""
    low, high = toy.slice(corners, 2, 0, 2), toy.slice(corners, 2, 2, 4)
    middle = toy.op("Mul", toy.op("Add", low, high), toy.constant(0.5))
    return toy.op("Concat", middle, toy.op("Sub", high, low), axis=2)


def yolov8(size=(64, 64), classes: int = 4, points: int = 0, batch: int | str = "batch", **metadata: str) -> Any:
    """Channels first, no objectness; with points, a pose network."""
    toy = Toy(size, batch)
    corners, chances, others, total = _anchor_free(toy, classes, 3 * points)
    parts = [_centres(toy, corners), chances, *([others] if points else [])]
    toy.op("Transpose", toy.op("Concat", *parts, axis=2), perm=[0, 2, 1], name="output0")
    if points:
        metadata |= {"kpt_shape": f"[{points}, 3]", "task": "pose"}
    return toy.model({"output0": [batch, 4 + classes + 3 * points, total]}, **metadata)


def yolov10(size=(64, 64), classes: int = 4, rows: int = 30, batch: int | str = "batch", **metadata: str) -> Any:
    """The best rows, chosen by the network itself."""
    toy = Toy(size, batch)
    corners, chances, _, _ = _anchor_free(toy, classes, 0)
    label = toy.op("ArgMax", chances, axis=2, keepdims=0)
    best, row = toy.op_many("TopK", [toy.reduce("ReduceMax", chances, 2), toy.integers(rows)], 2, axis=1)
    index = toy.op("Expand", toy.unsqueeze(row, 2), toy.integers(1, 1, 4))
    picked = toy.op("GatherElements", corners, index, axis=1)
    labels = toy.cast(toy.op("GatherElements", label, row, axis=1), np.float32)
    toy.op("Concat", picked, toy.unsqueeze(best, 2), toy.unsqueeze(labels, 2), axis=2, name="output0")
    return toy.model({"output0": [batch, rows, 6]}, **metadata)


def detr(size=(64, 64), classes: int = 4, names: tuple[str, str] = ("logits", "pred_boxes")) -> Any:
    """Every cell of stride 8 is a query: logits, and boxes in parts of the input."""
    toy = Toy(size)
    row, count = _queries(toy, classes)
    toy.op("Sigmoid", toy.slice(row, 2, 0, 4), name=names[1])
    toy.op("Identity", toy.slice(row, 2, 4, 4 + classes), name=names[0])
    return toy.model({names[0]: ["batch", count, classes], names[1]: ["batch", count, 4]})


def detr_joined(size=(64, 64), classes: int = 4) -> Any:
    """Boxes and scores in one output, all of it in 0..1."""
    toy = Toy(size)
    row, count = _queries(toy, classes)
    toy.op("Sigmoid", row, name="output0")
    return toy.model({"output0": ["batch", count, 4 + classes]})


def detr_with_sizes(size=(64, 64), classes: int = 4) -> Any:
    """The export with post-processing inside: it asks for the picture's size and gives labels, boxes, scores."""
    sizes = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2])
    toy = Toy(size, extra=(sizes,))
    row, count = _queries(toy, classes)
    rows = toy.op("Sigmoid", toy.slice(row, 2, 0, 4))
    half = toy.op("Mul", toy.slice(rows, 2, 2, 4), toy.constant(0.5))
    low = toy.op("Sub", toy.slice(rows, 2, 0, 2), half)
    high = toy.op("Add", toy.slice(rows, 2, 0, 2), half)
    pair = toy.cast("orig_target_sizes", np.float32)
    scale = toy.unsqueeze(toy.op("Concat", pair, pair, axis=1), 1)
    toy.op("Mul", toy.op("Concat", low, high, axis=2), scale, name="boxes")
    chances = toy.op("Sigmoid", toy.slice(row, 2, 4, 4 + classes))
    toy.reduce("ReduceMax", chances, 2, name="scores")
    toy.op("ArgMax", chances, axis=2, keepdims=0, name="labels")
    shapes = {"labels": ["batch", count], "boxes": ["batch", count, 4], "scores": ["batch", count]}
    return toy.model(shapes, {"labels": TensorProto.INT64})


def _queries(toy: Toy, classes: int) -> tuple[str, int]:
    x = toy.conv(toy.trunk(8), 8, 4 + classes, spread=1.5)
    count = (toy.size[0] // 8) * (toy.size[1] // 8)
    return toy.op("Transpose", toy.reshape(x, 0, 4 + classes, count), perm=[0, 2, 1]), count


def ssd(size=(64, 64), classes: int = 4, softmax: bool = True) -> Any:
    """Corners in parts of the input, the background before the classes."""
    toy = Toy(size)
    row, count = _queries(toy, classes + 1)
    columns, lines = size[0] // 8, size[1] // 8
    centre = (np.stack(np.meshgrid(np.arange(columns), np.arange(lines)), -1).reshape(1, -1, 2) + 0.5) / (
        columns,
        lines,
    )
    reach = toy.op("Mul", toy.op("Sigmoid", toy.slice(row, 2, 0, 4)), toy.constant(0.4))
    low = toy.op("Sub", toy.constant(centre), toy.slice(reach, 2, 0, 2))
    high = toy.op("Add", toy.constant(centre), toy.slice(reach, 2, 2, 4))
    toy.op("Concat", low, high, axis=2, name="boxes")
    scores = toy.slice(row, 2, 4, 5 + classes)
    toy.op("Softmax", scores, axis=2, name="scores") if softmax else toy.op("Identity", scores, name="scores")
    return toy.model({"boxes": ["batch", count, 4], "scores": ["batch", count, classes + 1]})


def torchvision(size=(64, 64), classes: int = 4) -> Any:
    """A batch of one and a number of detections that depends on the picture; labels count from 1."""
    toy = Toy(size, batch=1)
    corners, chances, _, _ = _anchor_free(toy, classes, 0)
    per_class = toy.op("Transpose", chances, perm=[0, 2, 1])
    limits = [toy.constant(20, np.int64), toy.constant(0.5), toy.constant(0.3)]
    chosen = toy.op("NonMaxSuppression", corners, per_class, *limits)  # [n, 3]: picture, class, row
    label, row = (toy.squeeze(toy.slice(chosen, 1, at, at + 1), 1) for at in (1, 2))
    toy.op("Gather", toy.squeeze(corners, 0), row, axis=0, name="boxes")
    toy.op("Add", label, toy.constant(1, np.int64), name="labels")
    pair = toy.op("Concat", toy.unsqueeze(row, 1), toy.unsqueeze(label, 1), axis=1)
    toy.op("GatherND", toy.squeeze(chances, 0), pair, name="scores")
    return toy.model({"boxes": ["n", 4], "labels": ["n"], "scores": ["n"]}, {"labels": TensorProto.INT64})


def with_baked_batch(size=(64, 64), batch: int = 2, classes: int = 3) -> Any:
    """A generic network that holds its batch inside, where no Reshape gives it away."""
    toy = Toy(size, batch)
    x = toy.op("Add", toy.conv(toy.trunk(8), 8, 4 + classes, spread=2.0), toy.constant(np.zeros((batch, 1, 1, 1))))
    x = toy.op("Concat", x, toy.constant(np.full((batch, 4 + classes, 1, size[0] // 8), -3.0)), axis=2)
    count = (size[0] // 8) * (size[1] // 8 + 1)
    row = toy.op("Transpose", toy.reshape(x, batch, 4 + classes, count), perm=[0, 2, 1])
    reach = toy.op("Mul", toy.op("Softplus", toy.slice(row, 2, 2, 4)), toy.constant(10.0))
    low = toy.op("Mul", toy.slice(row, 2, 0, 2), toy.constant(16.0))
    toy.op("Concat", low, toy.op("Add", low, reach), axis=2, name="boxes")
    toy.op("Sigmoid", toy.slice(row, 2, 4, 4 + classes), name="scores")
    return toy.model({"boxes": [batch, count, 4], "scores": [batch, count, classes]})
