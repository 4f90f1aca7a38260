"""The compiled half of edge boxes: how much contour a box holds, its refinement, and keeping boxes apart."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table

_FLOATS, _INTS = table(types.float32, 1), table(types.int32, 1)
_SUMS, _NUMBERS = table(types.float64, 2), table(types.int32, 2)
_FAINT = np.float32(0.05)  # a way as weak as this leads nowhere


@compiled(_NUMBERS)
def jumps(number):  # type: ignore[no-untyped-def]
    """For every pixel the next edge pixel rightwards and downwards, itself included: walking a rim skips the void."""
    height, width = number.shape
    right, down = np.empty((height, width), np.int32), np.empty((height, width), np.int32)
    for y in range(height - 1, -1, -1):
        for x in range(width - 1, -1, -1):
            edge = number[y, x] >= 0
            right[y, x] = x if edge else (right[y, x + 1] if x + 1 < width else width)
            down[y, x] = y if edge else (down[y + 1, x] if y + 1 < height else height)
    return right, down


@njit(nogil=True)
def _sum(sums, x0, y0, x1, y1):  # type: ignore[no-untyped-def]
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]


@njit(nogil=True)
def _meet(group, way, box, graph, scratch, stamp, depth):  # type: ignore[no-untyped-def]
    """A way of that strength leads from the rim to a group: what more of it does not count, and the stack's height."""
    tried, best, stack = scratch
    known = best[group] if tried[group] == stamp else np.float32(0)
    if way <= known:
        return 0.0, depth
    tried[group], best[group] = stamp, way
    if depth < stack.shape[0]:
        stack[depth] = group
        depth += 1
    inside = box[0] <= graph[1][group] < box[2] and box[1] <= graph[2][group] < box[3]
    return (graph[0][group] * (way - known) if inside else 0.0), depth


@njit(nogil=True)
def _leading_out(box, graph, rim, scratch, stamp):  # type: ignore[no-untyped-def]
    """The mass that does not count: of each group within the box, as much as the best way from it to the rim is strong.

    Edges that cross the rim lead out entirely; what continues them smoothly does so nearly.
    """
    number, right, down = rim
    _, column, row, start, other, affinity = graph
    _, best, stack = scratch
    x0, y0, x1, y1 = box
    lost, depth = 0.0, 0
    for y in (y0, y1 - 1):
        x = right[y, x0]
        while x < x1:
            more, depth = _meet(number[y, x], np.float32(1), box, graph, scratch, stamp, depth)
            lost += more
            x = right[y, x + 1] if x + 1 < x1 else x1
    for x in (x0, x1 - 1):
        y = down[y0, x]
        while y < y1:
            more, depth = _meet(number[y, x], np.float32(1), box, graph, scratch, stamp, depth)
            lost += more
            y = down[y + 1, x] if y + 1 < y1 else y1
    while depth > 0:
        depth -= 1
        group = stack[depth]
        for e in range(start[group], start[group + 1]):
            onward = other[e]
            way = best[group] * affinity[e]
            if way > _FAINT and x0 <= column[onward] < x1 and y0 <= row[onward] < y1:
                more, depth = _meet(onward, way, box, graph, scratch, stamp, depth)
                lost += more
    return lost


@njit(nogil=True)
def _score(box, graph, rim, sums, scratch, stamp, power, bound, least):  # type: ignore[no-untyped-def]
    """The score, or 0 where it cannot be above `least`; with `bound`, what it cannot be above."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    mass = _sum(sums[0], x0, y0, x1, y1)
    # contours in the middle belong to something smaller
    mass -= _sum(sums[1], x0 + width // 4, y0 + height // 4, x1 - width // 4, y1 - height // 4)
    if mass <= 0:
        return 0.0
    girth = (2.0 * (width + height)) ** power
    if bound or mass <= least * girth:
        return mass / girth if bound else 0.0
    mass -= _leading_out(box, graph, rim, scratch, stamp)
    return max(mass, 0.0) / girth


@njit(nogil=True)
def _corners(box):  # type: ignore[no-untyped-def]
    return box[0], box[1], box[2], box[3]


@compiled(
    _NUMBERS,
    table(types.int32, 2),
    *[_NUMBERS] * 2,
    _FLOATS,
    *[_INTS] * 4,
    _FLOATS,
    *[_SUMS] * 2,
    types.float64,
    types.int64,
)
def score_boxes(  # type: ignore[no-untyped-def]
    boxes, number, right, down, mass, column, row, start, other, affinity, group_sums, edge_sums, power, turns
):
    """Scores f64 [N] of boxes i32 [N, 4], and the boxes after `turns` of moving each side to where the score is best.

    The first turn moves sides by a eighth of the box's length; each further one by half as much, down to two pixels.
    With −1 turns what leads out of the boxes is not taken off: no score is higher than that, and it is quick.
    """
    graph, rim = (mass, column, row, start, other, affinity), (number, right, down)
    sums = (group_sums, edge_sums)
    scratch = (np.full(mass.shape[0], -1, np.int64), np.zeros(mass.shape[0], np.float32), np.empty(4096, np.int32))
    height, width = number.shape
    moved, scores = boxes.copy(), np.empty(boxes.shape[0], np.float64)
    stamp = 0
    for i in range(boxes.shape[0]):
        box = boxes[i].astype(np.int64)
        best = _score(_corners(box), graph, rim, sums, scratch, stamp, power, turns < 0, 0.0)
        stamp += 1
        step = np.array([max((box[2] - box[0]) // 8, 2), max((box[3] - box[1]) // 8, 2)])
        for _ in range(turns):
            for side in range(4):
                for direction in (-1, 1):
                    trial = box.copy()
                    trial[side] += direction * step[side % 2]
                    if trial[side] < 0 or trial[2] > width or trial[3] > height:
                        continue
                    if trial[2] - trial[0] < 4 or trial[3] - trial[1] < 4:
                        continue
                    got = _score(_corners(trial), graph, rim, sums, scratch, stamp, power, False, best)
                    stamp += 1
                    if got > best:
                        best, box = got, trial
            if step.max() <= 2:
                break
            step = np.maximum(step // 2, 2)
        scores[i] = best
        moved[i] = box
    return scores, moved


@compiled(_NUMBERS, types.float64, types.int64)
def keep_apart(boxes, overlap, most):  # type: ignore[no-untyped-def]
    """Rows of boxes, best first, that overlap no kept one by more than `overlap`; equal to boxes.greedy_nms."""
    kept = np.empty(min(most, boxes.shape[0]), np.int64)
    n = 0
    for i in range(boxes.shape[0]):
        if n == kept.shape[0]:
            break
        x0, y0, x1, y1 = boxes[i]
        area = (x1 - x0) * (y1 - y0)
        free = True
        for k in range(n):
            j = kept[k]
            inter_x = min(x1, boxes[j, 2]) - max(x0, boxes[j, 0])
            inter_y = min(y1, boxes[j, 3]) - max(y0, boxes[j, 1])
            if inter_x <= 0 or inter_y <= 0:
                continue
            inter = inter_x * inter_y
            other = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            if inter > overlap * (area + other - inter):
                free = False
                break
        if free:
            kept[n] = i
            n += 1
    return kept[:n]
