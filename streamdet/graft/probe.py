"""Facts about a raw network, found by looking at its graph and by running it once: never by guessing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ModelRefused
from streamdet.graft.classes import names_in_metadata
from streamdet.graft.families.contract import Head, Network
from streamdet.graft.raw import Face, Runner, all_nodes, channels_last, inputs_of, regions_among

# What only moves numbers: the operator before them made them.
_STEERED = {"Reshape", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather"}  # their first input; the others say how
_MOVERS = _STEERED | {"Concat", "Transpose", "Identity", "Flatten", "Cast"}


def probe(model: Any, size: tuple[int, int] | None, classes: tuple[str, ...] = (), where: object = None) -> Network:
    """Run the network on one picture of noise and write down what it is."""
    picture, *others = inputs_of(model)
    size = input_size(picture, size, where)
    batch = picture.shape[0] if len(picture.shape) == 4 and picture.shape[0] else 1
    noise = np.random.default_rng(0).random((batch, 3, size[1], size[0]), np.float32)
    runner = Runner(model, where)
    found = runner.run(feeds(model, noise))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return Network(
        size=size,
        batch=batch,
        heads=tuple(Head(name, array.dtype, tuple(array.shape)) for name, array in found.items()),
        metadata=metadata,
        extra_inputs=tuple(face.name for face in others),
        makers={name: _makers(model.graph, name) for name in found},
        operators=frozenset(node.op_type for node in all_nodes(model.graph)),
        samples=found,
        classes=classes or names_in_metadata(metadata),
    )


def input_size(picture: Face, wanted: tuple[int, int] | None, where: object) -> tuple[int, int]:
    """Width and height that the network is run at."""
    shape = picture.shape[-3:] if len(picture.shape) in (3, 4) else ()
    if not shape or (not channels_last(picture) and shape[0] not in (3, None)):
        raise ModelRefused(
            "the network's first input is not a colour picture",
            where=where,
            expected="[B, 3, H, W] or [B, H, W, 3]",
            got=f"{picture.name} {list(picture.shape)}",
        )
    height, width = (shape[0], shape[1]) if channels_last(picture) else (shape[1], shape[2])
    if height is None or width is None:
        if wanted is None:
            raise ModelRefused(
                "the network takes pictures of any size, an engine needs one",
                where=where,
                hint="say which one it was trained with: --size 640",
            )
        width, height = width or wanted[0], height or wanted[1]
    if wanted is not None and wanted != (width, height):
        raise ModelRefused(
            "the network's input has another size",
            where=where,
            expected=f"{width}x{height}",
            got="{}x{}".format(*wanted),
        )
    return width, height


def feeds(model: Any, pictures: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
    """Prepared pictures [B, 3, H, W] as the network's inputs; a second one gets regions, or the input's own size."""
    picture, *others = inputs_of(model)
    batch, height, width = pictures.shape[0], pictures.shape[2], pictures.shape[3]
    array: npt.NDArray[Any] = pictures.astype(picture.dtype)
    if channels_last(picture):
        array = array.transpose(0, 2, 3, 1)
    if len(picture.shape) == 3:
        array = array[0]
    return {picture.name: array} | {
        face.name: spread(batch, face.shape[1] or 1, (width, height))
        if face is regions_among(others)
        else np.full((batch, 2), (width, height), face.dtype)
        for face in others
    }


def spread(batch: int, count: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Boxes all over a picture, f32 [batch, count, 4]: regions for networks that want some and have none."""
    corners = np.random.default_rng(0).random((batch, count, 2, 2)) * size
    return np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1).astype(np.float32)


def _makers(graph: Any, output: str) -> frozenset[str]:
    """The operators that the numbers of this output come out of, looking through what only moves them."""
    maker = {name: node for node in graph.node for name in node.output}
    waiting, found, seen = [output], set(), set()
    while waiting:
        name = waiting.pop()
        node = maker.get(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if node.op_type in _MOVERS:
            waiting += list(node.input[:1] if node.op_type in _STEERED else node.input)
        else:
            found.add(node.op_type)
    return frozenset(found)
