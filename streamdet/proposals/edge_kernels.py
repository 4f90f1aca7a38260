"""The compiled half of edges: ridges, groups of edge pixels and how well they continue each other."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table

_MAP = table(types.float32, 2)


@compiled(table(types.float32, 3), table(types.float32, 3))
def steepest(slope_x, slope_y):  # type: ignore[no-untyped-def]
    """The slope of that channel which has the greatest, at each pixel: [H, W, C] twice → [H, W] twice."""
    height, width, channels = slope_x.shape
    right, down = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            best, greatest = 0, np.float32(-1)
            for c in range(channels):
                square = slope_x[y, x, c] * slope_x[y, x, c] + slope_y[y, x, c] * slope_y[y, x, c]
                if square > greatest:
                    best, greatest = c, square
            right[y, x], down[y, x] = slope_x[y, x, best], slope_y[y, x, best]
    return right, down


@njit(nogil=True)
def _between(values, y, x):  # type: ignore[no-untyped-def]
    """Bilinear; positions beyond the picture give what lies at its rim."""
    height, width = values.shape
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = values[top, left] * (1 - u) + values[top, right] * u
    lower = values[bottom, left] * (1 - u) + values[bottom, right] * u
    return upper * (1 - v) + lower * v


@compiled(_MAP, _MAP, _MAP)
def thinned(magnitude, slope_x, slope_y):  # type: ignore[no-untyped-def]
    """`magnitude` where it is not less than one pixel up and down its slope, else 0."""
    height, width = magnitude.shape
    lines = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            length = math.hypot(slope_x[y, x], slope_y[y, x])
            if length < 1e-6:
                continue
            dx, dy = slope_x[y, x] / length, slope_y[y, x] / length
            here = magnitude[y, x]
            # strict on one side only: of two equal ones exactly one stays
            if here > _between(magnitude, y + dy, x + dx) and here >= _between(magnitude, y - dy, x - dx):
                lines[y, x] = here
    return lines


@njit(nogil=True)
def _turn(first, second):  # type: ignore[no-untyped-def]
    """The angle between two lines, 0..π/2."""
    difference = abs(first - second) % math.pi
    return min(difference, math.pi - difference)


@compiled(_MAP, _MAP, types.float64)
def edge_groups(strength, direction, floor):  # type: ignore[no-untyped-def]
    """Number edge pixels [H, W] from 0 on, −1 elsewhere, by curves; returns the numbers and how many there are.

    From any free pixel a group goes on to the neighbour that turns least, until it has turned by a right angle in all.
    """
    height, width = strength.shape
    number = np.full((height, width), -1, np.int32)
    groups = 0
    for start_y in range(height):
        for start_x in range(width):
            if strength[start_y, start_x] <= floor or number[start_y, start_x] >= 0:
                continue
            y, x, turned = start_y, start_x, 0.0
            number[y, x] = groups
            while True:
                best_y, best_x, least = -1, -1, 10.0
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        v, u = y + dy, x + dx
                        if v < 0 or u < 0 or v >= height or u >= width or number[v, u] >= 0 or strength[v, u] <= floor:
                            continue
                        turn = _turn(direction[y, x], direction[v, u])
                        if turn < least:
                            best_y, best_x, least = v, u, turn
                if best_y < 0 or turned + least > math.pi / 2:
                    break
                y, x, turned = best_y, best_x, turned + least
                number[y, x] = groups
            groups += 1
    return number, groups


@compiled(_MAP, _MAP, table(types.int32, 2), types.int64)
def summed_groups(strength, direction, number, groups):  # type: ignore[no-untyped-def]
    """Per group: its strength in all, its centre x and y, and its direction, f32 [G] each."""
    mass, x_mean, y_mean = np.zeros(groups, np.float32), np.zeros(groups, np.float32), np.zeros(groups, np.float32)
    cosine, sine = np.zeros(groups, np.float32), np.zeros(groups, np.float32)
    for y in range(number.shape[0]):
        for x in range(number.shape[1]):
            g = number[y, x]
            if g < 0:
                continue
            m = strength[y, x]
            mass[g] += m
            x_mean[g] += m * x
            y_mean[g] += m * y
            # twice the angle, so that a line and the same line turned by π agree
            cosine[g] += m * math.cos(2 * direction[y, x])
            sine[g] += m * math.sin(2 * direction[y, x])
    along = np.empty(groups, np.float32)
    for g in range(groups):
        x_mean[g] /= mass[g]
        y_mean[g] /= mass[g]
        along[g] = math.atan2(sine[g], cosine[g]) / 2
    return mass, x_mean, y_mean, along


@compiled(table(types.int32, 2), table(types.float32, 1), table(types.float32, 1))
def middle_pixels(number, x_mean, y_mean):  # type: ignore[no-untyped-def]
    """Per group its column and row, i32 [G] each: that of its pixels which is nearest to its centre.

    The centre of a bent curve lies off it; whether the curve is in a box must not be asked there.
    """
    groups = x_mean.shape[0]
    column, row = np.zeros(groups, np.int32), np.zeros(groups, np.int32)
    nearest = np.full(groups, np.inf, np.float32)
    for y in range(number.shape[0]):
        for x in range(number.shape[1]):
            g = number[y, x]
            if g < 0:
                continue
            square = (x - x_mean[g]) ** 2 + (y - y_mean[g]) ** 2
            if square < nearest[g]:
                column[g], row[g], nearest[g] = x, y, square
    return column, row


@compiled(table(types.int32, 2), types.int64)
def near_groups(number, reach):  # type: ignore[no-untyped-def]
    """Keys low · 2³² + high of groups with pixels within `reach` of each other, with repetitions, i64 [P]."""
    height, width = number.shape
    keys = np.empty(1024, np.int64)
    n = 0
    for y in range(height):
        for x in range(width):
            here = number[y, x]
            if here < 0:
                continue
            for v in range(y, min(y + reach + 1, height)):
                for u in range(max(x - reach, 0), min(x + reach + 1, width)):
                    there = number[v, u]
                    if there < 0 or there == here:
                        continue
                    if n == keys.shape[0]:
                        larger = np.empty(2 * n, np.int64)
                        larger[:n] = keys
                        keys = larger
                    keys[n] = (np.int64(min(here, there)) << 32) + max(here, there)
                    n += 1
    return keys[:n].copy()
