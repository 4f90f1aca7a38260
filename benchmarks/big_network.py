"""Writes a network of YOLOv8n's size and form (3.2 M weights, 8.7 GFLOP at 640), random weights, to time things with.

    python benchmarks/big_network.py big.onnx
    streamdet engine import big.onnx --name big --family yolov8
    streamdet bench --engine big

It finds nothing: its scores lie far below any threshold. What it costs is what the real one costs.
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, CLASSES, REG = 640, 80, 16
Name = str


class Net:
    """Nodes and weights of the graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.dice = np.random.default_rng(8)

    def op(self, kind: str, *inputs: Name, outputs: int = 1, **attributes: object) -> Name | list[Name]:
        """Add a node; its output's name, or names."""
        names = [f"t{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, array: np.ndarray) -> Name:
        """A weight."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def conv(
        self, x: Name, i: int, o: int, kernel: int = 3, stride: int = 1, act: bool = True, bias: float = 0.0
    ) -> Name:
        """Convolution and SiLU."""
        weight = self.dice.normal(0, (2 / (i * kernel * kernel)) ** 0.5, (o, i, kernel, kernel)).astype(np.float32)
        y = self.op(
            "Conv", x, self.constant(weight), self.constant(np.full(o, bias, np.float32)),
            kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4,
        )  # fmt: skip
        return self.op("Mul", y, self.op("Sigmoid", y)) if act else y

    def c2f(self, x: Name, i: int, o: int, n: int) -> Name:
        """Split, n bottlenecks, concat."""
        half = o // 2
        whole = self.conv(x, i, o, 1)
        sizes = self.constant(np.array([half, half], np.int64))
        parts = list(self.op("Split", whole, sizes, outputs=2, axis=1))
        for _ in range(n):
            inner = self.conv(self.conv(parts[-1], half, half), half, half)
            parts.append(self.op("Add", parts[-1], inner))
        return self.conv(self.op("Concat", *parts, axis=1), half * (2 + n), o, 1)

    def up(self, x: Name) -> Name:
        """Twice as large."""
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.op("Resize", x, "", scales, mode="nearest")


def body(net: Net) -> list[tuple[Name, int, int]]:
    """Backbone and neck: (map, channels, stride) at three scales."""
    x = net.conv(net.conv("images", 3, 16, stride=2), 16, 32, stride=2)
    p3 = net.c2f(net.conv(net.c2f(x, 32, 32, 1), 32, 64, stride=2), 64, 64, 2)
    p4 = net.c2f(net.conv(p3, 64, 128, stride=2), 128, 128, 2)
    p5 = net.c2f(net.conv(p4, 128, 256, stride=2), 256, 256, 1)
    pooled = [net.conv(p5, 256, 128, 1)]
    for _ in range(3):
        pooled.append(net.op("MaxPool", pooled[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    p5 = net.conv(net.op("Concat", *pooled, axis=1), 512, 256, 1)
    n4 = net.c2f(net.op("Concat", net.up(p5), p4, axis=1), 384, 128, 1)
    n3 = net.c2f(net.op("Concat", net.up(n4), p3, axis=1), 192, 64, 1)
    n4 = net.c2f(net.op("Concat", net.conv(n3, 64, 64, stride=2), n4, axis=1), 192, 128, 1)
    n5 = net.c2f(net.op("Concat", net.conv(n4, 128, 128, stride=2), p5, axis=1), 384, 256, 1)
    return [(n3, 64, 8), (n4, 128, 16), (n5, 256, 32)]


def head(net: Net, maps: list[tuple[Name, int, int]]) -> Name:
    """[1, 4 + classes, cells]: centre, size in pixels and scores."""
    outputs = []
    bins = net.constant(np.arange(REG, dtype=np.float32).reshape(1, REG, 1, 1))
    for x, channels, stride in maps:
        side = SIZE // stride
        cells = side * side
        box = net.conv(net.conv(net.conv(x, channels, 64), 64, 64), 64, 4 * REG, 1, act=False)
        box = net.op("Reshape", box, net.constant(np.array([0, 4, REG, cells], np.int64)))
        box = net.op("Transpose", box, perm=[0, 2, 1, 3])
        distance = net.op("ReduceSum", net.op("Mul", net.op("Softmax", box, axis=1), bins),
                          net.constant(np.array([1], np.int64)), keepdims=0)  # fmt: skip
        parts = net.constant(np.array([2, 2], np.int64))
        low, high = net.op("Split", distance, parts, outputs=2, axis=1)
        y, x_cell = np.mgrid[:side, :side] + 0.5
        grid = net.constant(np.stack([x_cell, y]).reshape(1, 2, cells).astype(np.float32))
        scale = net.constant(np.array(stride, np.float32))
        shift = net.op("Mul", net.op("Sub", high, low), net.constant(np.array(0.5, np.float32)))
        centre = net.op("Mul", net.op("Add", grid, shift), scale)
        size = net.op("Mul", net.op("Add", low, high), scale)
        scores = net.conv(net.conv(net.conv(x, channels, 80), 80, 80), 80, CLASSES, 1, act=False, bias=-12.0)
        scores = net.op("Sigmoid", net.op("Reshape", scores, net.constant(np.array([0, CLASSES, cells], np.int64))))
        outputs.append(net.op("Concat", centre, size, scores, axis=1))
    return net.op("Concat", *outputs, axis=2)


def main() -> None:
    """Write the file."""
    net = Net()
    last = head(net, body(net))
    net.nodes.append(helper.make_node("Identity", [last], ["output0"]))
    graph = helper.make_graph(
        net.nodes,
        "big",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", 4 + CLASSES, 8400])],
        net.weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])
    print(sum(np.prod(weight.dims) for weight in net.weights) / 1e6, "million weights")


if __name__ == "__main__":
    main()
