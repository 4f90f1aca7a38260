"""The letterbox and the perspective crop as CUDA kernels: one thread a pixel. Imported only where a GPU is used.

The letterbox computes in the same integers as kernels.py and so writes the same bytes. The crop computes in float32,
which a GPU has sixty-four times as many units for as for float64, and may differ by one grey level.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, types

_BYTES = types.Array(types.uint8, 1, "C")
_PICTURE = types.Array(types.uint8, 3, "C")

# Types of the kernels' arguments: what they are compiled for, before the first frame.
LETTERBOX = (
    _BYTES,
    _BYTES,
    _BYTES,
    types.Array(types.int32, 3, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    _PICTURE,
    types.int32,
    types.int32,
    types.int32,
    types.int32,
)
WARP = (
    _BYTES,
    _BYTES,
    _BYTES,
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.float32, 2, "C"),
    types.Array(types.float32, 2, "C"),
    types.int32,
    types.int32,
    _PICTURE,
)


@cuda.jit(device=True)
def _clamped(value, low, high):  # type: ignore[no-untyped-def]
    # Not min and max: numba 0.68 cannot compile them for a GPU.
    if value < low:
        return low
    return high if value > high else value


@cuda.jit(device=True)
def _byte(plane, first, second, third, at):  # type: ignore[no-untyped-def]
    if plane == 0:
        return np.int32(first[at])
    if plane == 1:
        return np.int32(second[at])
    return np.int32(third[at])


@cuda.jit(device=True)
def _blended(plane, first, second, third, upper, lower, below, at):  # type: ignore[no-untyped-def]
    """16 bits, of the rows above and below."""
    high = _byte(plane, first, second, third, upper + at)
    low = _byte(plane, first, second, third, lower + at)
    return np.int32(high * (256 - below) + low * below)


def letterbox(  # type: ignore[no-untyped-def]
    first,
    second,
    third,
    rows,
    row_weight,
    columns,
    column_weight,
    components,
    matrix,
    out,
    left,
    top,
    rotation,
    pad,
):
    """Every pixel of `out` [C, H, W]: resampled from the planes, turned, or padding; see preprocess.Plan."""
    x, y = cuda.grid(2)
    if x >= out.shape[2] or y >= out.shape[1]:
        return
    height, width = rows.shape[1], columns.shape[1]  # as stored
    inner_x, inner_y = x - left, y - top
    row, column = inner_y, inner_x
    if rotation == 90:
        row, column = height - 1 - inner_x, inner_y
    elif rotation == 180:
        row, column = height - 1 - inner_y, width - 1 - inner_x
    elif rotation == 270:
        row, column = inner_x, width - 1 - inner_y
    if inner_x < 0 or inner_y < 0 or row < 0 or column < 0 or row >= height or column >= width:
        for c in range(out.shape[0]):
            out[c, y, x] = pad
        return
    s0, s1, s2 = np.int32(0), np.int32(0), np.int32(0)
    for c in range(components.shape[0]):
        plane, step = components[c, 0], components[c, 1]
        upper, lower, below = rows[plane, row, 0], rows[plane, row, 1], row_weight[plane, row]
        at, beside = columns[c, column], column_weight[c, column]
        one = _blended(plane, first, second, third, upper, lower, below, at)
        # Beside the last sample lies nothing; its weight is 0.
        other = _blended(plane, first, second, third, upper, lower, below, at + (step if beside > 0 else 0))
        # 16 bits of blended sample and 11 of weight; 6 fractional bits stay
        sample = np.int32(np.int32(one << 11) + np.int32((other - one) * beside)) >> 13
        if c == 0:
            s0 = sample
        elif c == 1:
            s1 = sample
        else:
            s2 = sample
    for c in range(out.shape[0]):
        total = np.int32(matrix[c, 0] * s0 + matrix[c, 1] * s1 + matrix[c, 2] * s2 + matrix[c, 3])
        out[c, y, x] = _clamped(total >> 19, 0, 255)


@cuda.jit(device=True)
def _sample(first, second, third, plane_shape, components, c, x, y):  # type: ignore[no-untyped-def]
    """Bilinear, beyond the edge the edge."""
    plane, offset, step = components[c, 0], components[c, 1], components[c, 2]
    stride, across, down = plane_shape[plane, 0], plane_shape[plane, 2], plane_shape[plane, 3]
    u = x / np.float32(plane_shape[plane, 4]) - np.float32(0.5)
    v = y / np.float32(plane_shape[plane, 5]) - np.float32(0.5)
    u = _clamped(u, np.float32(0), np.float32(across - 1))
    v = _clamped(v, np.float32(0), np.float32(down - 1))
    u0, v0 = int(u), int(v)
    u1, v1 = _clamped(u0 + 1, 0, across - 1), _clamped(v0 + 1, 0, down - 1)
    right, below = u - np.float32(u0), v - np.float32(v0)
    a, b = offset + u0 * step, offset + u1 * step
    high = np.float32(_byte(plane, first, second, third, v0 * stride + a)) * (np.float32(1) - right)
    high += np.float32(_byte(plane, first, second, third, v0 * stride + b)) * right
    low = np.float32(_byte(plane, first, second, third, v1 * stride + a)) * (np.float32(1) - right)
    low += np.float32(_byte(plane, first, second, third, v1 * stride + b)) * right
    return high * (np.float32(1) - below) + low * below


def warp(first, second, third, plane_shape, components, homography, matrix, across, down, out):  # type: ignore[no-untyped-def]
    """Every pixel of `out` [C, h, w] through a homography from its pixels to the picture's; see preprocess.Warp."""
    x, y = cuda.grid(2)
    if x >= out.shape[2] or y >= out.shape[1]:
        return
    h = homography
    f0, f1, f2 = np.float32(0), np.float32(0), np.float32(0)
    for sub in range(across * down):
        u = np.float32(x) + (np.float32(sub % across) + np.float32(0.5)) / np.float32(across)
        v = np.float32(y) + (np.float32(sub // across) + np.float32(0.5)) / np.float32(down)
        depth = h[2, 0] * u + h[2, 1] * v + h[2, 2]
        source_x = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / depth
        source_y = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / depth
        f0 += _sample(first, second, third, plane_shape, components, 0, source_x, source_y)
        if components.shape[0] > 1:
            f1 += _sample(first, second, third, plane_shape, components, 1, source_x, source_y)
            f2 += _sample(first, second, third, plane_shape, components, 2, source_x, source_y)
    samples = np.float32(across * down)
    for c in range(out.shape[0]):
        level = (matrix[c, 0] * f0 + matrix[c, 1] * f1 + matrix[c, 2] * f2) / samples + matrix[c, 3] + np.float32(0.5)
        out[c, y, x] = int(_clamped(level, np.float32(0), np.float32(255)))
