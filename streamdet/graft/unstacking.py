"""Heads that are stacked into rows of everything, only to be split again: each part goes its own way.

An exporter concatenates box, objectness and classes of each level, flattens and joins the levels, and turns channels
into columns; the decode then splits the columns. Three copies of the largest tensors behind the network, in a layout
that no runtime likes. Here each part of each level is turned by itself, which a runtime that keeps channels last does
for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from streamdet.graft.rewriting import Rewriting, attribute


def unstack(graph: Rewriting) -> None:
    """Replace every Split of such rows; the graph must be sorted and swept thereafter."""
    for split in [node for node in graph.graph.node if node.op_type == "Split"]:
        levels = _levels(graph, split)
        if levels is not None:
            _replace(graph, split, levels)


def _levels(graph: Rewriting, split: Any) -> list[list[str]] | None:
    """The parts [B, c, h, w] of each level behind Split(Transpose(Concat(Reshape(Concat(parts)), …)))."""
    turn: Any = graph.maker.get(_same_values(graph, split.input[0]))
    if attribute(split, "axis", 0) not in (2, -1) or len(split.input) < 2 or not _is(turn, "Transpose", perm=[0, 2, 1]):
        return None
    join: Any = graph.maker.get(turn.input[0])
    if not (_is(join, "Concat", axis=2) or _is(join, "Concat", axis=-1)):
        return None
    levels = []
    for tensor in join.input:
        flat: Any = graph.maker.get(tensor)
        stack: Any = graph.maker.get(flat.input[0]) if _is(flat, "Reshape") else None
        if not _is(stack, "Concat", axis=1) or not _flattens(graph, flat, stack):
            return None
        levels.append(list(stack.input))
    channels = [[_channels(graph, part) for part in parts] for parts in levels]
    lengths = graph.constants.get(split.input[1])
    if lengths is None or any(one != channels[0] or None in one for one in channels):
        return None
    borders = set(accumulate(lengths.tolist()))
    return levels if set(accumulate(width for width in channels[0] if width)) <= borders else None


def _replace(graph: Rewriting, split: Any, levels: Sequence[Sequence[str]]) -> None:
    """One Concat of rows per part; one that the split divides further gets a Split of its own."""
    outputs, lengths = list(split.output), graph.constants[split.input[1]].tolist()
    graph.graph.node.remove(split)
    for number in range(len(levels[0])):
        rows = [_as_rows(graph, level[number]) for level in levels]
        width = _channels(graph, levels[0][number]) or 0
        own = next(n for n in range(1, len(lengths) + 1) if sum(lengths[:n]) == width)
        if own == 1:
            graph.add("Concat", rows, outputs[:1], axis=1)
        else:
            (joined,) = graph.add("Concat", rows, axis=1)
            graph.add("Split", [joined, graph.store(np.array(lengths[:own], np.int64))], outputs[:own], axis=2)
        del outputs[:own], lengths[:own]


def _as_rows(graph: Rewriting, part: str) -> str:
    """[B, c, h, w] → [B, h·w, c]"""
    (last,) = graph.add("Transpose", [part], perm=[0, 2, 3, 1])
    shape = graph.store(np.array([0, -1, _channels(graph, part)], np.int64))
    return graph.add("Reshape", [last, shape])[0]


def _flattens(graph: Rewriting, flat: Any, stack: Any) -> bool:
    """The Reshape is [B, c, h, w] → [B, c, h·w] for every B."""
    before, wanted = graph.shape(stack.output[0]), graph.constants.get(flat.input[1])
    if before is None or wanted is None or len(before) != 4 or None in before[1:] or attribute(flat, "allowzero", 0):
        return False
    first, *rest = wanted.tolist()
    _, channels, height, width = before
    area = (height or 0) * (width or 0)
    return first in (0, before[0]) and rest in ([channels, -1], [channels, area], [0, -1], [0, area])


def _channels(graph: Rewriting, part: str) -> int | None:
    shape = graph.shape(part)
    return None if shape is None or len(shape) != 4 else shape[1]


def _same_values(graph: Rewriting, tensor: str) -> str:
    """The tensor before it was renamed, or cast to the float32 that it had already."""
    source = graph.source(tensor)
    maker = graph.maker.get(source)
    while maker is not None and maker.op_type == "Cast" and graph.is_float(maker.input[0], maker.output[0]):
        source = graph.source(maker.input[0])
        maker = graph.maker.get(source)
    return source


def _is(node: Any, kind: str, **attributes: Any) -> bool:
    return (
        node is not None and node.op_type == kind and all(attribute(node, k, None) == v for k, v in attributes.items())
    )
