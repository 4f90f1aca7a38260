"""The compiled kernels of decoding. Imported only by constructors that need them."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled

_MAP = types.Array(types.float32, 2, "A", readonly=True)
_MAPS = types.Array(types.float32, 3, "A", readonly=True)


@njit(nogil=True)
def _root(parent, label):  # type: ignore[no-untyped-def]
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@compiled(_MAP, types.Array(types.int32, 2, "C"))
def components(inside, labels):  # type: ignore[no-untyped-def]
    """Number what is above 0 in `inside` [h, w] from 1 on, touching corners included; returns how many.

    Union-find in one pass over the picture and one over the numbers. They run in the order of each component's first
    pixel, row by row.
    """
    height, width = inside.shape
    parent = np.zeros(height * width // 2 + 2, np.int32)
    used = 0
    for y in range(height):
        for x in range(width):
            labels[y, x] = 0
            if not inside[y, x] > 0:
                continue
            best = 0
            for dy, dx in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
                other_y, other_x = y + dy, x + dx
                if other_y < 0 or other_x < 0 or other_x >= width or labels[other_y, other_x] == 0:
                    continue
                root = _root(parent, labels[other_y, other_x])
                if best == 0:
                    best = root
                elif root != best:
                    low, high = min(root, best), max(root, best)
                    parent[high] = low
                    best = low
            if best == 0:
                used += 1
                parent[used] = used
                best = used
            labels[y, x] = best
    number = np.zeros(used + 1, np.int32)
    count = 0
    for label in range(1, used + 1):
        root = _root(parent, label)
        if root == label:
            count += 1
            number[label] = count
        else:
            number[label] = number[root]
    for y in range(height):
        for x in range(width):
            labels[y, x] = number[labels[y, x]]
    return count


@compiled(
    _MAP,
    _MAP,
    types.Array(types.int32, 2, "C", readonly=True),
    types.Array(types.float32, 2, "C"),
    types.Array(types.float32, 1, "C"),
    types.Array(types.float32, 1, "C"),
)
def measure(inside, line, labels, box, certainty, lower):  # type: ignore[no-untyped-def]
    """Of each component: its box [n, 4] in pixels of the map, its mean probability, and that of the lower line."""
    n = box.shape[0]
    area = np.zeros(n, np.int32)
    for i in range(n):
        box[i, 0], box[i, 1], box[i, 2], box[i, 3] = 1e9, 1e9, -1, -1
        certainty[i], lower[i] = 0, 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            i = labels[y, x] - 1
            if i < 0:
                continue
            area[i] += 1
            certainty[i] += np.float32(1 / (1 + np.exp(-inside[y, x])))
            lower[i] += np.float32(1 / (1 + np.exp(-line[y, x])))
            box[i, 0], box[i, 1] = min(box[i, 0], x), min(box[i, 1], y)
            box[i, 2], box[i, 3] = max(box[i, 2], x + 1), max(box[i, 3], y + 1)
    for i in range(n):
        certainty[i] /= area[i]
        lower[i] /= area[i]


@compiled(
    _MAPS,
    types.Array(types.float32, 2, "C", readonly=True),
    types.float32,
    types.Array(types.float32, 2, "C"),
    types.Array(types.float32, 1, "C"),
)
def posteriors(glyph, cell, reach, posterior, ink):  # type: ignore[no-untyped-def]
    """The mean class [n, A] of the ink in each cell (centre x, y, half width, half height), and how much ink there is.

    A pixel belongs to the cell in whose own measure it lies nearest, and to none farther than `reach`. A pixel counts
    by how surely it is ink.
    """
    classes, height, width = glyph.shape
    n = cell.shape[0]
    posterior[:] = 0
    ink[:] = 0
    share = np.zeros(classes, np.float32)
    for y in range(height):
        for x in range(width):
            best, nearest = -1, np.float32(reach)
            for i in range(n):
                across = abs(np.float32(x + 0.5) - cell[i, 0]) / cell[i, 2]
                down = abs(np.float32(y + 0.5) - cell[i, 1]) / cell[i, 3]
                far = max(across, down)
                if far < nearest:
                    best, nearest = i, far
            if best < 0:
                continue
            most = glyph[0, y, x]
            for k in range(1, classes):
                most = max(most, glyph[k, y, x])
            if glyph[0, y, x] == most:
                # Surely no ink, where nothing else comes near.
                second = np.float32(-1e30)
                for k in range(1, classes):
                    second = max(second, glyph[k, y, x])
                if most - second > 4.0:
                    continue
            total = np.float32(0)
            for k in range(classes):
                share[k] = np.exp(glyph[k, y, x] - most)
                total += share[k]
            for k in range(1, classes):
                posterior[best, k - 1] += share[k] / total
            ink[best] += 1 - share[0] / total
    for i in range(n):
        if ink[i] > 0:
            for k in range(classes - 1):
                posterior[i, k] /= ink[i]


@compiled(types.Array(types.uint8, 3, "A", readonly=True))
def edge_energy(pixels):  # type: ignore[no-untyped-def]
    """Mean square of the steps between neighbours of the first plane, beside its variance: high where it is sharp."""
    _, height, width = pixels.shape
    steps, total, squares = 0.0, 0.0, 0.0
    for y in range(height - 1):
        for x in range(width - 1):
            level = float(pixels[0, y, x])
            across = float(pixels[0, y, x + 1]) - level
            down = float(pixels[0, y + 1, x]) - level
            steps += across * across + down * down
            total += level
            squares += level * level
    count = (height - 1) * (width - 1)
    variance = squares / count - (total / count) ** 2
    return steps / count / max(variance, 16.0)
