"""The compiled half of HOG and of the linear SVM. Imported only by what needs it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table


@compiled(table(types.uint8, 3), types.int64, types.int64, table(types.uint8, 2))
def cell_histograms(picture, cell_px, bins, bin_of):  # type: ignore[no-untyped-def]
    """Votes of slopes by direction: u8 [H, W, C] → f32 [H // cell, W // cell, bins], per pixel of a cell.

    Each pixel votes with its channel of the steepest slope, for the one bin of its direction out of 0..180 degrees;
    `bin_of` u8 [511, 511] tells it by the slope down and to the right, −255 first.
    """
    height, width, channels = picture.shape
    rows, columns = height // cell_px, width // cell_px
    votes = np.zeros((rows, columns, bins), np.float32)
    for y in range(rows * cell_px):
        # the outermost pixels have a neighbour on one side only: no slope across the rim
        above, below = (y - 1, y + 1) if 0 < y < height - 1 else (y, y)
        row = votes[y // cell_px]
        for x in range(columns * cell_px):
            before, after = (x - 1, x + 1) if 0 < x < width - 1 else (x, x)
            right, down, steepest = np.int64(0), np.int64(0), np.int64(-1)
            for c in range(channels):
                u = np.int64(picture[y, after, c]) - np.int64(picture[y, before, c])
                v = np.int64(picture[below, x, c]) - np.int64(picture[above, x, c])
                if u * u + v * v > steepest:
                    right, down, steepest = u, v, u * u + v * v
            row[x // cell_px, bin_of[down + 255, right + 255]] += math.sqrt(steepest)
    return votes / np.float32(cell_px * cell_px)


@compiled(table(types.float32, 3), types.int64)
def normalised_blocks(votes, cells):  # type: ignore[no-untyped-def]
    """Blocks of cells x cells cells at every cell, f32 [rows, columns, cells² · bins], each of length 1.

    Length 1, nothing above 0.2, length 1 again: a lamp in the corner does not drown the rest (L2-Hys).
    """
    rows, columns, bins = votes.shape[0] - cells + 1, votes.shape[1] - cells + 1, votes.shape[2]
    blocks = np.empty((max(rows, 0), max(columns, 0), cells * cells * bins), np.float32)
    for y in range(rows):
        for x in range(columns):
            block = blocks[y, x]
            square, n = 0.0, 0
            for i in range(cells):
                for j in range(cells):
                    for b in range(bins):
                        block[n] = votes[y + i, x + j, b]
                        square += block[n] * block[n]
                        n += 1
            scale, clipped = 1.0 / math.sqrt(square + 1e-10), 0.0
            for k in range(n):
                block[k] = min(block[k] * scale, 0.2)
                clipped += block[k] * block[k]
            scale = 1.0 / math.sqrt(clipped + 1e-10)
            for k in range(n):
                block[k] *= scale
    return blocks


@njit(nogil=True, fastmath=True)
def _dot(first, second):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(first.shape[0]):
        total += first[k] * second[k]
    return total


@compiled(table(types.float32, 3), table(types.float32, 3))
def responses(blocks, template):  # type: ignore[no-untyped-def]
    """How well a template [h, w, D] fits at every place of a map [H, W, D]: f32 [H − h + 1, W − w + 1]."""
    rows, columns = blocks.shape[0] - template.shape[0] + 1, blocks.shape[1] - template.shape[1] + 1
    found = np.zeros((max(rows, 0), max(columns, 0)), np.float32)
    for y in range(rows):
        for i in range(template.shape[0]):
            for x in range(columns):
                for j in range(template.shape[1]):
                    found[y, x] += _dot(blocks[y + i, x + j], template[i, j])
    return found


@compiled(
    table(types.float32, 2),
    table(types.float64, 1),
    types.float64,
    types.boolean,
    types.float64,
    types.int64,
    types.int64,
)
def solve_svm(points, sign, cost, squared, tolerance, rounds, seed):  # type: ignore[no-untyped-def]
    """The plane w·x + b of the linear SVM, f64 [D + 1], b last: dual coordinate descent.

    Every point has a force alpha >= 0, and w is the sum of sign · alpha · x. One point after the other, in an order
    drawn anew each round, gets the force that is best while all others rest: a step in closed form. Forces are at most
    `cost` (hinge loss), or free but damped (squared hinge). It ends when no step would be longer than `tolerance`.
    """
    n, size = points.shape
    np.random.seed(seed)
    plane, force, length = np.zeros(size + 1), np.zeros(n), np.empty(n)
    damping = 0.5 / cost if squared else 0.0
    most = np.inf if squared else cost
    for i in range(n):
        length[i] = 1.0 + damping  # the constant 1 that carries b is a feature like the others
        for k in range(size):
            length[i] += points[i, k] * points[i, k]
    order = np.arange(n)
    for _ in range(rounds):
        np.random.shuffle(order)
        steepest, least = -np.inf, np.inf
        for i in order:
            margin = plane[size]
            for k in range(size):
                margin += plane[k] * points[i, k]
            slope = sign[i] * margin - 1.0 + damping * force[i]
            projected = slope
            if force[i] <= 0.0:
                projected = min(slope, 0.0)
            elif force[i] >= most:
                projected = max(slope, 0.0)
            steepest, least = max(steepest, projected), min(least, projected)
            if projected == 0.0:
                continue
            before = force[i]
            force[i] = min(max(before - slope / length[i], 0.0), most)
            step = (force[i] - before) * sign[i]
            for k in range(size):
                plane[k] += step * points[i, k]
            plane[size] += step
        if steepest - least <= tolerance:
            break
    return plane
