"""The compiled half of the over-segmentation. Imported only by what needs it."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, sheet, table

STEPS = ((0, 1), (1, 0))  # right and down: each pair of neighbours once


@compiled(table(types.float32, 3))
def weigh_edges(pixels):  # type: ignore[no-untyped-def]
    """Differences of neighbouring pixels [H, W, C] → (weight f32 [E], source i32 [E], target i32 [E])."""
    height, width, channels = pixels.shape
    most = 2 * height * width
    weight, source, target = np.empty(most, np.float32), np.empty(most, np.int32), np.empty(most, np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            for dy, dx in STEPS:
                other_y, other_x = y + dy, x + dx
                if other_y >= height or other_x >= width:
                    continue
                total = np.float32(0)
                for c in range(channels):
                    difference = pixels[y, x, c] - pixels[other_y, other_x, c]
                    total += difference * difference
                weight[n] = np.sqrt(total)
                source[n] = y * width + x
                target[n] = other_y * width + other_x
                n += 1
    return weight[:n].copy(), source[:n].copy(), target[:n].copy()


@compiled(table(types.uint32, 1))
def rising_order(key):  # type: ignore[no-untyped-def]
    """The stable order of rising keys, by three passes of counting over 11 bits each.

    A float that is not negative sorts like its bit pattern, so this sorts a million weights exactly in a few
    milliseconds, where comparing them takes ten times as long.
    """
    n = key.shape[0]
    order, spare = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        order[i] = i
    for turn in range(3):
        shift = np.uint32(11 * turn)
        start = np.zeros(2049, np.int64)
        for i in range(n):
            start[((key[i] >> shift) & np.uint32(2047)) + 1] += 1
        for b in range(2048):
            start[b + 1] += start[b]
        for i in range(n):
            bucket = (key[order[i]] >> shift) & np.uint32(2047)
            spare[start[bucket]] = order[i]
            start[bucket] += 1
        order, spare = spare, order
    return order


@njit(nogil=True)
def _root(parent, node):  # type: ignore[no-untyped-def]
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled(
    table(types.float32, 1),
    table(types.int32, 1),
    table(types.int32, 1),
    types.int64,
    types.float64,
    types.int64,
    sheet(types.int32, 1),
)
def join_pixels(weight, source, target, pixels, scale, smallest_px, label):  # type: ignore[no-untyped-def]
    """Kruskal's walk over edges of rising weight; fills `label` [pixels] and returns the number of regions.

    Two regions join where the edge between them is no heavier than what holds either of them together, with a bonus
    of scale / size that lets small ones grow. What stays below `smallest_px` then joins along its lightest edge.
    """
    parent, size = np.empty(pixels, np.int32), np.ones(pixels, np.int32)
    tolerance = np.full(pixels, np.float32(scale), np.float32)
    for i in range(pixels):
        parent[i] = i
    for e in range(weight.shape[0]):
        a, b = _root(parent, source[e]), _root(parent, target[e])
        if a != b and weight[e] <= tolerance[a] and weight[e] <= tolerance[b]:
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
            tolerance[a] = weight[e] + np.float32(scale) / np.float32(size[a])
    for e in range(weight.shape[0]):
        a, b = _root(parent, source[e]), _root(parent, target[e])
        if a != b and (size[a] < smallest_px or size[b] < smallest_px):
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
    number = np.full(pixels, -1, np.int32)
    regions = 0
    for i in range(pixels):
        root = _root(parent, i)
        if number[root] < 0:
            number[root] = regions
            regions += 1
        label[i] = number[root]
    return regions
