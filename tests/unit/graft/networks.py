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
