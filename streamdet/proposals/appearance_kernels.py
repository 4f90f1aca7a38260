"""The compiled half of what patches look like. Imported only by what needs it."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from streamdet.infer.compiling import compiled, sheet, table

_LABELS = table(types.int32, 2)
_HISTOGRAMS = sheet(types.float32, 2)


@compiled(table(types.float32, 3), table(types.float32, 3))
def texture_codes(slope_x, slope_y):  # type: ignore[no-untyped-def]
    """Slopes [H, W, C] → u8 [H, W, 4 · C]: the cell (channel, axis, sign, strength) of each axis's slope.

    Eight directions are four axes with two signs, and a slope is positive in one of two opposite directions only, so
    four numbers per channel say all. Strengths are shares of the channel's greatest slope.
    """
    height, width, channels = slope_x.shape
    codes = np.empty((height, width, 4 * channels), np.uint8)
    diagonal = np.float32(math.sqrt(0.5))
    for c in range(channels):
        greatest = np.float32(1e-6)
        for y in range(height):
            for x in range(width):
                square = slope_x[y, x, c] * slope_x[y, x, c] + slope_y[y, x, c] * slope_y[y, x, c]
                greatest = max(greatest, square)
        per_strength = np.float32(10) / np.sqrt(greatest)
        for y in range(height):
            for x in range(width):
                right, down = slope_x[y, x, c] * per_strength, slope_y[y, x, c] * per_strength
                axes = (right, (right + down) * diagonal, down, (down - right) * diagonal)
                for axis in range(4):
                    along = axes[axis]
                    strength = min(int(abs(along)), 9)
                    codes[y, x, 4 * c + axis] = (4 * c + axis) * 20 + (10 if along < 0 else 0) + strength
    return codes


@compiled(_LABELS, sheet(types.int32, 1), sheet(types.int32, 2))
def measure(label, size, xyxy):  # type: ignore[no-untyped-def]
    """Fill the size in pixels and the box of every patch."""
    height, width = label.shape
    for i in range(size.shape[0]):
        xyxy[i, 0], xyxy[i, 1] = width, height
    for y in range(height):
        for x in range(width):
            i = label[y, x]
            size[i] += 1
            xyxy[i, 0] = min(xyxy[i, 0], x)
            xyxy[i, 1] = min(xyxy[i, 1], y)
            xyxy[i, 2] = max(xyxy[i, 2], x + 1)
            xyxy[i, 3] = max(xyxy[i, 3], y + 1)


@compiled(table(types.uint8, 3), _LABELS, table(types.int32, 1), _HISTOGRAMS)
def count_colours(planes, label, size, histogram):  # type: ignore[no-untyped-def]
    """25 shades per channel; rows add up to 1."""
    height, width, channels = planes.shape
    for y in range(height):
        for x in range(width):
            row = histogram[label[y, x]]
            for c in range(channels):
                row[c * 25 + np.int64(planes[y, x, c]) * 25 // 256] += 1
    for i in range(histogram.shape[0]):
        whole = np.float32(channels * size[i])
        for j in range(histogram.shape[1]):
            histogram[i, j] /= whole


@compiled(table(types.uint8, 3), _LABELS, table(types.int32, 1), _HISTOGRAMS)
def count_textures(codes, label, size, histogram):  # type: ignore[no-untyped-def]
    """8 directions of 10 strengths per channel; rows add up to 1."""
    height, width, axes = codes.shape
    for y in range(height):
        for x in range(width):
            row = histogram[label[y, x]]
            for axis in range(axes):
                row[codes[y, x, axis]] += 1
    for i in range(histogram.shape[0]):
        row = histogram[i]
        whole = np.float32(2 * axes * size[i])
        for half in range(2 * axes):
            # a slope that points the other way has no strength in this direction: it falls into the weakest cell
            counted = np.float32(0)
            for strength in range(10):
                counted += row[half * 10 + strength]
            row[half * 10] += size[i] - counted
        for j in range(row.shape[0]):
            row[j] /= whole
