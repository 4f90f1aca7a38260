"""The compiled half of deformable parts. Imported only by what needs it."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table


@njit(nogil=True)
def _highest(value, square, linear, best, source, line, start):  # type: ignore[no-untyped-def]
    """best[p] = the largest of value[q] − square · (q − p)² − linear · (q − p), and the q that it comes from.

    Apart from what depends on p alone, each q is a straight line over p, and steeper the larger q: the upper envelope
    of such lines is found in one sweep, and read off in another.
    """
    n = len(value)
    lines = 0
    for q in range(n):
        height = value[q] - square * q * q - linear * q
        while lines > 0:
            other = line[lines - 1]
            other_height = value[other] - square * other * other - linear * other
            crossing = (other_height - height) / (2.0 * square * (q - other))
            if crossing > start[lines - 1]:
                start[lines] = crossing
                break
            lines -= 1
        if lines == 0:
            start[0] = -np.inf
        line[lines] = q
        lines += 1
    at = 0
    for p in range(n):
        while at + 1 < lines and start[at + 1] <= p:
            at += 1
        q = line[at]
        best[p] = value[q] - square * (q - p) * (q - p) - linear * (q - p)
        source[p] = q


@compiled(table(types.float32, 2), types.float64, types.float64, types.float64, types.float64)
def spread(fit, square_x, linear_x, square_y, linear_y):  # type: ignore[no-untyped-def]
    """The generalised distance transform of a part's fit f32 [H, W]: what it is worth to want the part at each place.

    worth(y, x) = the largest, over all places (v, u) where it may be instead, of
    fit(v, u) − square_x (u − x)² − linear_x (u − x) − square_y (v − y)² − linear_y (v − y)
    → f32 [H, W], and the v and the u that it comes from, i32 [H, W]. The work grows with the places, not their square.
    """
    height, width = fit.shape
    across = np.empty((height, width), np.float64)
    from_u = np.empty((height, width), np.int32)
    worth = np.empty((height, width), np.float32)
    from_y, from_x = np.empty((height, width), np.int32), np.empty((height, width), np.int32)
    longest = max(height, width)
    value, best = np.empty(longest), np.empty(longest)
    source, line, start = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest + 1)
    for y in range(height):
        for x in range(width):
            value[x] = fit[y, x]
        _highest(value[:width], square_x, linear_x, best, source, line, start)
        for x in range(width):
            across[y, x], from_u[y, x] = best[x], source[x]
    for x in range(width):
        for y in range(height):
            value[y] = across[y, x]
        _highest(value[:height], square_y, linear_y, best, source, line, start)
        for y in range(height):
            worth[y, x] = best[y]
            from_y[y, x] = source[y]
            from_x[y, x] = from_u[source[y], x]
    return worth, from_y, from_x
