"""The compiled kernels: letterbox, warp, and the tail behind the cut. Imported only by constructors that need them.

All signatures are explicit: nothing is compiled while frames wait, and a wrong type fails instead of compiling anew.
The arithmetic is integer wherever a picture is resampled, so that every machine computes the same bytes; twins.py
says the same in numpy. Indices are unsigned, because numba guards signed ones against being negative, and that guard
is half of a gather's cost.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_PICTURE = types.Array(types.uint8, 3, "C")


@njit(nogil=True, inline="never")
def _blend_rows(upper, lower, weight, row):  # type: ignore[no-untyped-def]
    below = np.uint16(weight)
    above = np.uint16(np.uint16(256) - below)
    for i in range(upper.shape[0]):
        row[i] = np.uint16(np.uint16(np.uint16(upper[i]) * above) + np.uint16(np.uint16(lower[i]) * below))


@njit(nogil=True, inline="never")
def _gather(row, index, step, weight, samples):  # type: ignore[no-untyped-def]
    for j in range(index.shape[0]):
        i = index[j]
        left = np.int32(row[i])
        right = np.int32(row[i + step])
        # 16 bits of blended sample and 11 of weight; 6 fractional bits stay
        samples[j] = np.int32(np.int32(left << 11) + np.int32((right - left) * weight[j])) >> 13


@njit(nogil=True, inline="never")
def _mix(first, second, third, m0, m1, m2, m3, row):  # type: ignore[no-untyped-def]
    for j in range(row.shape[0]):
        total = np.int32(np.int32(m0 * first[j]) + np.int32(m1 * second[j]) + np.int32(m2 * third[j]) + m3)
        level = np.int32(total >> np.int32(19))
        row[j] = np.uint8(min(max(level, np.int32(0)), np.int32(255)))


@compiled(
    types.UniTuple(_BYTES, 3),
    table(types.int64, 2),
    table(types.uint64, 3),
    table(types.uint16, 2),
    table(types.uint64, 2),
    table(types.int32, 2),
    table(types.uint64, 2),
    table(types.int32, 2),
    _PICTURE,
    types.int64,
    types.int64,
)
def letterbox(planes, plane_shape, rows, row_weight, columns, column_weight, components, matrix, out, left, top):  # type: ignore[no-untyped-def]
    """Resample the planes and write the picture into `out` [C, H, W] at (left, top); see preprocess.Plan."""
    n_planes, n_components = plane_shape.shape[0], components.shape[0]
    height, width = rows.shape[1], columns.shape[1]
    longest = 0
    for p in range(n_planes):
        longest = max(longest, plane_shape[p, 1])
    # One sample more than the row, because the last column reads its right neighbour, with weight 0.
    blended = np.zeros((n_planes, longest + 8), np.uint16)
    samples = np.zeros((3, width), np.int32)
    for y in range(height):
        for p in range(n_planes):
            length = plane_shape[p, 1]
            upper, lower = rows[p, y, 0], rows[p, y, 1]
            _blend_rows(
                planes[p][upper : upper + np.uint64(length)],
                planes[p][lower : lower + np.uint64(length)],
                row_weight[p, y],
                blended[p, :length],
            )
        for c in range(n_components):
            plane, step = components[c, 0], components[c, 1]
            _gather(blended[plane], columns[c], step, column_weight[c], samples[c])
        for c in range(out.shape[0]):
            m = matrix[c]
            _mix(samples[0], samples[1], samples[2], m[0], m[1], m[2], m[3], out[c, top + y, left : left + width])


@njit(nogil=True)
def _sample(planes, plane_shape, component, x, y):  # type: ignore[no-untyped-def]
    """Bilinear, beyond the edge the edge."""
    p = component[0]
    plane, stride = planes[p], plane_shape[p, 0]
    x = min(max(x / plane_shape[p, 4] - 0.5, 0.0), plane_shape[p, 2] - 1.0)
    y = min(max(y / plane_shape[p, 5] - 0.5, 0.0), plane_shape[p, 3] - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, plane_shape[p, 2] - 1), min(y0 + 1, plane_shape[p, 3] - 1)
    right, below = x - x0, y - y0
    a, b = component[1] + x0 * component[2], component[1] + x1 * component[2]
    upper = plane[y0 * stride + a] * (1 - right) + plane[y0 * stride + b] * right
    lower = plane[y1 * stride + a] * (1 - right) + plane[y1 * stride + b] * right
    return upper * (1 - below) + lower * below


@compiled(
    types.UniTuple(_BYTES, 3),
    table(types.int64, 2),
    table(types.int64, 2),
    table(types.float64, 2),
    table(types.float64, 2),
    types.int64,
    types.int64,
    _PICTURE,
)
def warp(planes, plane_shape, components, homography, matrix, across, down, out):  # type: ignore[no-untyped-def]
    """Fill `out` [C, h, w] through a homography from its pixels to the picture's; see preprocess.Warp."""
    h = homography
    _, height, width = out.shape
    found = np.zeros(3)
    for y in range(height):
        for x in range(width):
            found[:] = 0.0
            for sub in range(across * down):
                u = x + (sub % across + 0.5) / across
                v = y + (sub // across + 0.5) / down
                depth = h[2, 0] * u + h[2, 1] * v + h[2, 2]
                source_x = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / depth
                source_y = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / depth
                for c in range(components.shape[0]):
                    found[c] += _sample(planes, plane_shape, components[c], source_x, source_y)
            for c in range(out.shape[0]):
                total = matrix[c, 0] * found[0] + matrix[c, 1] * found[1] + matrix[c, 2] * found[2]
                level = total / (across * down) + matrix[c, 3] + 0.5
                out[c, y, x] = np.uint8(min(max(level, 0.0), 255.0))


@njit(nogil=True)
def _largest(bits):  # type: ignore[no-untyped-def]
    best = np.int32(-0x80000000)
    for j in range(bits.shape[0]):
        best = max(best, bits[j])
    return best


@njit(nogil=True)
def _best_first(bits, rows):  # type: ignore[no-untyped-def]
    """Both columns sorted by bits, largest first, equal ones as they came: three passes over eleven bits each."""
    n = bits.shape[0]
    for shift in range(0, 33, 11):
        start = np.zeros(2049, np.int32)
        for i in range(n):
            start[2048 - ((bits[i] >> shift) & 2047)] += 1
        for digit in range(2048):
            start[digit + 1] += start[digit]
        next_bits, next_rows = np.empty(n, np.int32), np.empty(n, np.int32)
        for i in range(n):
            digit = 2047 - ((bits[i] >> shift) & 2047)
            next_bits[start[digit]], next_rows[start[digit]] = bits[i], rows[i]
            start[digit] += 1
        bits, rows = next_bits, next_rows
    return bits, rows


@njit(nogil=True)
def _suppress(x1, y1, x2, y2, size, kind, gone, overlap):  # type: ignore[no-untyped-def]
    """Mark what overlaps the first row by strictly more than the limit.

    It vectorises, which makes it eight times as fast: no division, no branch, every array read from its own start (an
    offset would bring back the guard against negative indices), and comparisons in place of min and max.
    """
    zero = np.float32(0)
    left, top, right, bottom, own, own_kind = x1[0], y1[0], x2[0], y2[0], size[0], kind[0]
    for j in range(x1.shape[0]):
        nearest_right = x2[j] if x2[j] < right else right
        farthest_left = x1[j] if x1[j] > left else left
        nearest_bottom = y2[j] if y2[j] < bottom else bottom
        farthest_top = y1[j] if y1[j] > top else top
        width = nearest_right - farthest_left
        height = nearest_bottom - farthest_top
        inter = (width if width > zero else zero) * (height if height > zero else zero)
        gone[j] |= np.int32((inter > overlap * (size[j] + own - inter)) & (kind[j] == own_kind))


@njit(nogil=True)
def _keep(boxes, score_bits, bits, rows, overlap, duplicates, xyxy, kept_bits, class_id, index):  # type: ignore[no-untyped-def]
    """Greedy suppression of one picture's candidates, best first; the number of rows written."""
    n = rows.shape[0]
    x1, y1, x2, y2 = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    size, kind = np.empty(n, np.float32), np.zeros(n, np.int32)
    gone = np.zeros(n, np.int32)
    for r in range(n):
        row = rows[r]
        x1[r], y1[r], x2[r], y2[r] = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        width, height = x2[r] - x1[r], y2[r] - y1[r]
        # Written so that what is not a number stays so: such a box overlaps nothing.
        size[r] = (np.float32(0) if width <= 0 else width) * (np.float32(0) if height <= 0 else height)
        while score_bits[row, kind[r]] != bits[r]:
            kind[r] += 1
    kept = 0
    for r in range(n):
        if gone[r]:
            continue
        if kept == xyxy.shape[0]:
            break
        xyxy[kept, 0], xyxy[kept, 1], xyxy[kept, 2], xyxy[kept, 3] = x1[r], y1[r], x2[r], y2[r]
        kept_bits[kept], class_id[kept], index[kept] = bits[r], kind[r], rows[r]
        kept += 1
        if duplicates:
            _suppress(x1[r:], y1[r:], x2[r:], y2[r:], size[r:], kind[r:], gone[r:], overlap)
    return kept


@compiled(
    table(types.float32, 3),
    table(types.int32, 3),
    types.int64,
    types.float32,
    types.int32,
    types.boolean,
    types.Array(types.int32, 1, "C"),
    types.Array(types.float32, 3, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 2, "C"),
    types.Array(types.int32, 1, "C"),
    types.Array(types.int32, 1, "C"),
)
def tail(  # type: ignore[no-untyped-def]
    boxes,
    score_bits,
    limit,
    overlap,
    floor_bits,
    duplicates,
    count,
    xyxy,
    kept_bits,
    class_id,
    index,
    truncated,
    broken,
):
    """Candidates above the floor → the K best → greedy suppression per class → the D best; see tail.Tail.

    Scores come and go as the bits of their float32: for numbers ≥ 0 these sort as integers, which vectorise, and every
    NaN is larger than infinity, so that it is found on the way.
    """
    batch, n_candidates, _ = score_bits.shape
    bits, rows = np.empty(n_candidates, np.int32), np.empty(n_candidates, np.int32)
    for b in range(batch):
        found = 0
        broken[b] = 0
        for i in range(n_candidates):
            best = _largest(score_bits[b, i])
            if best > floor_bits:
                broken[b] += best > 0x7F800000
                bits[found], rows[found] = best, i
                found += 1
        truncated[b] = max(found - limit, 0)
        best_bits, best_rows = _best_first(bits[:found], rows[:found])
        kept = _keep(
            boxes[b],
            score_bits[b],
            best_bits[:limit],
            best_rows[:limit],
            overlap,
            duplicates,
            xyxy[b],
            kept_bits[b],
            class_id[b],
            index[b],
        )
        count[b] = kept
        for r in range(kept, xyxy.shape[1]):
            xyxy[b, r, 0], xyxy[b, r, 1], xyxy[b, r, 2], xyxy[b, r, 3] = 0, 0, 0, 0
            kept_bits[b, r], class_id[b, r], index[b, r] = 0, 0, 0
