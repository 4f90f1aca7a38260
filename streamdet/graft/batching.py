"""Setting a network's batch free: exporters bake the batch of their example picture into the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ModelRefused
from streamdet.graft.probe import feeds
from streamdet.graft.raw import Runner, inputs_of, weights


def free_batch(model: Any, size: tuple[int, int]) -> Any | None:
    """A copy of the network that takes any number of pictures, proven by running it; None where there is none."""
    import onnx

    picture = inputs_of(model)[0]
    if len(picture.shape) != 4:
        return None
    free = onnx.ModelProto()
    free.CopyFrom(model)
    fixed = picture.shape[0]
    if fixed is not None:
        _free_shapes(free.graph, fixed)
    _free_faces(free.graph)
    try:
        return free if _proven(model, free, fixed or 1, size) else None
    except ModelRefused:  # the baked batch is still in there: the network stays as its file has it
        return None


def _free_faces(graph: Any) -> None:
    """Every declared first axis becomes `batch`; inferred shapes of the inside are forgotten."""
    stored = {tensor.name for tensor in graph.initializer}
    for info in [*(entry for entry in graph.input if entry.name not in stored), *graph.output]:
        dims = info.type.tensor_type.shape.dim
        if dims:
            dims[0].Clear()
            dims[0].dim_param = "batch"
    del graph.value_info[:]


def _free_shapes(graph: Any, fixed: int) -> None:
    """Reshape to [batch, …] becomes Reshape to [0, …]: the first axis as it comes."""
    from onnx import numpy_helper

    known = dict(weights(graph))
    for index, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[0] in known:
            continue
        shape = known.get(node.input[1])
        if shape is None or shape.size < 2 or shape[0] != fixed:
            continue
        name = f"{node.input[1]}:free_{index}"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))
        node.input[1] = name
        for attribute in [entry for entry in node.attribute if entry.name == "allowzero"]:
            node.attribute.remove(attribute)  # with it, 0 would mean an empty axis


def _proven(model: Any, free: Any, fixed: int, size: tuple[int, int]) -> bool:
    """The freed network gives, for more pictures at once, what the file's own gives for the same ones."""
    count = 2 * fixed + 1
    pictures = np.random.default_rng(1).random((count, 3, size[1], size[0]), np.float32)
    together = Runner(free, "batch").run(feeds(free, pictures))
    if any(array.ndim == 0 or array.shape[0] != count for array in together.values()):
        return False
    original = Runner(model, "batch")
    for start in range(0, 2 * fixed, fixed):
        apart = original.run(feeds(model, pictures[start : start + fixed]))
        if not all(_close(apart[name], together[name][start : start + fixed]) for name in apart):
            return False
    alone = Runner(free, "batch").run(feeds(free, pictures[-1:]))
    return all(_close(alone[name], together[name][-1:]) for name in alone)


def _close(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-3, atol=1e-4))
