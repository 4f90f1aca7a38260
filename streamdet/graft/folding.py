"""Exact rewrites that make a network cheaper: what it computes stays, up to the rounding of a weight.

- Focus: strided slices, concatenated, under a convolution → one strided convolution on the picture itself.
- Scaling: a factor per channel in front of a convolution → into its weights; an addend into its bias, where no zeros
  are padded (they would have to be shifted too).
- Pyramid pooling: max-pooling of one tensor with 5, 9 and 13 → with 5, three times in a row.
- Stacking: what is concatenated into rows and split again is never put together (`unstacking`).

Each is applied only where it holds for every picture; where that cannot be seen from the graph, it is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.graft.rewriting import Rewriting, attribute, set_attributes
from streamdet.graft.unstacking import unstack

Floats = npt.NDArray[np.float32]


def fold(model: Any) -> Any:
    """A copy with everything folded that can be; its inputs, outputs and their names are the same."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if any(one.HasField("g") or one.graphs for node in model.graph.node for one in node.attribute):
        return copy  # the inside of an If or Loop may read any tensor of ours
    graph = Rewriting(copy.graph, onnx.shape_inference.infer_shapes(model).graph)
    _chain_pools(graph)
    for convolution in [node for node in copy.graph.node if node.op_type == "Conv"]:
        while _fold_scaling(graph, convolution) or _fold_focus(graph, convolution):
            pass
    unstack(graph)
    graph.sort()
    graph.sweep()
    return copy


# ---- Focus


@dataclass(frozen=True)
class _Phase:
    """source[:, :, y::step, x::step]"""

    source: str
    y: int = 0
    x: int = 0
    step_y: int = 1
    step_x: int = 1


def _fold_focus(graph: Rewriting, convolution: Any) -> bool:
    weight = graph.weights(convolution)
    concat = graph.maker.get(graph.source(convolution.input[0]))
    if weight is None or concat is None or concat.op_type != "Concat" or attribute(concat, "axis", 0) != 1:
        return False
    phases = [_phase(graph, tensor) for tensor in concat.input]
    sources = {phase.source for phase in phases}
    steps = {step for phase in phases for step in (phase.step_y, phase.step_x)}
    shape = graph.shape(phases[0].source)
    if len(sources) != 1 or len(steps) != 1 or steps == {1} or shape is None or len(shape) != 4:
        return False
    (step,), (_, channels, height, width) = steps, shape
    if channels is None or height is None or width is None or height % step or width % step:
        return False  # with a remainder, the last row of a phase would be missing where the convolution sees one
    out, _, down, across = weight.shape
    spread = np.zeros((out, channels, down, step, across, step), np.float32)
    for number, phase in enumerate(phases):
        spread[:, :, :, phase.y, :, phase.x] += weight[:, number * channels : (number + 1) * channels]
    convolution.input[0] = phases[0].source
    convolution.input[1] = graph.store(spread.reshape(out, channels, down * step, across * step))
    set_attributes(
        convolution,
        kernel_shape=[down * step, across * step],
        strides=[step * stride for stride in attribute(convolution, "strides", [1, 1])],
        pads=[step * pad for pad in attribute(convolution, "pads", [0, 0, 0, 0])],
    )
    return True


def _phase(graph: Rewriting, tensor: str) -> _Phase:
    """A tensor as a strided view of another; of itself where it is none."""
    tensor = graph.source(tensor)
    node = graph.maker.get(tensor)
    cut = None if node is None or node.op_type != "Slice" else _strided(graph, node)
    if node is None or cut is None:
        return _Phase(tensor)
    inner = _phase(graph, node.input[0])
    (y, step_y), (x, step_x) = cut.get(2, (0, 1)), cut.get(3, (0, 1))
    return _Phase(
        inner.source,
        inner.y + inner.step_y * y,
        inner.x + inner.step_x * x,
        inner.step_y * step_y,
        inner.step_x * step_x,
    )


def _strided(graph: Rewriting, node: Any) -> dict[int, tuple[int, int]] | None:
    """Axis → (start, step) of a Slice that goes to the end of height and width; None of any other."""
    given = [graph.constants.get(name) for name in node.input[1:]]
    if len(given) < 4 or any(array is None for array in given):
        return None
    starts, ends, axes, steps = (array.tolist() for array in given if array is not None)
    shape = graph.shape(node.input[0])
    found = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if shape is None or len(shape) != 4 or axis % 4 not in (2, 3):
            return None
        length = shape[axis]
        if length is None or end < length or not 0 <= start < step:
            return None
        found[axis % 4] = (start, step)
    return found


# ---- scaling


def _fold_scaling(graph: Rewriting, convolution: Any) -> bool:
    """Take one Mul, Div, Add or Sub by constants from in front of a convolution into it."""
    weight = graph.weights(convolution)
    node = graph.maker.get(graph.source(convolution.input[0]))
    if weight is None or node is None or node.op_type not in ("Mul", "Div", "Add", "Sub"):
        return False
    swapped = node.input[0] in graph.constants and node.op_type in ("Mul", "Add")
    tensor, constant = reversed(node.input) if swapped else node.input
    values = _per_channel(graph.constants.get(constant), weight.shape[1])
    if values is None or not _same_shape(graph, tensor, node.output[0]):
        return False
    if node.op_type in ("Mul", "Div"):
        factor = values if node.op_type == "Mul" else 1 / values
        if not np.isfinite(factor).all():
            return False
        convolution.input[1] = graph.store((weight * factor[:, None, None]).astype(np.float32))
    else:
        bias = graph.constants.get(convolution.input[2]) if len(convolution.input) > 2 else np.zeros(len(weight))
        if bias is None or any(attribute(convolution, "pads", [0])):
            return False
        addend = values if node.op_type == "Add" else -values
        moved = bias + np.einsum("oihw,i->o", weight.astype(np.float64), addend)
        convolution.input[2:] = [graph.store(moved.astype(np.float32))]
    convolution.input[0] = tensor
    return True


def _per_channel(constant: npt.NDArray[Any] | None, channels: int) -> npt.NDArray[np.float64] | None:
    """[C] in double precision, of one number or of [C, 1, 1]; None of what differs from place to place."""
    if constant is None or constant.dtype != np.float32:
        return None
    if constant.size == 1:
        return np.full(channels, constant.reshape(-1)[0], np.float64)
    if constant.ndim < 3 or constant.shape[-3:] != (channels, 1, 1) or constant.size != channels:
        return None
    return constant.reshape(channels).astype(np.float64)


def _same_shape(graph: Rewriting, before: str, after: str) -> bool:
    """The constant did not stretch the tensor."""
    shapes = [graph.shape(before), graph.shape(after)]
    return shapes[0] is not None and shapes[1] is not None and shapes[0][1:] == shapes[1][1:] and len(shapes[0]) == 4


# ---- pyramid pooling


def _chain_pools(graph: Rewriting) -> None:
    pools: dict[str, list[tuple[int, Any]]] = {}
    for node in graph.graph.node:
        side = _centred_side(node)
        if side:
            pools.setdefault(node.input[0], []).append((side, node))
    for siblings in pools.values():
        siblings.sort(key=lambda pool: pool[0])
        for (smaller, before), (larger, after) in pairwise(siblings):
            if smaller < larger:
                after.input[0] = before.output[0]
                set_attributes(after, kernel_shape=[larger - smaller + 1] * 2, pads=[(larger - smaller) // 2] * 4)


def _centred_side(node: Any) -> int:
    """The odd side of a max-pooling window around each place; 0 of anything else."""
    if node.op_type != "MaxPool" or len(node.output) > 1:
        return 0
    side = attribute(node, "kernel_shape", [0])[0]
    plain = (
        attribute(node, "kernel_shape", []) == [side, side]
        and attribute(node, "strides", [1, 1]) == [1, 1]
        and attribute(node, "dilations", [1, 1]) == [1, 1]
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
        and attribute(node, "pads", [0, 0, 0, 0]) == [side // 2] * 4
    )
    return int(side) if plain and side % 2 else 0
