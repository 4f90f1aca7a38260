"""The compiled half of grouping: the likest two neighbours join, again and again. Imported only by what needs it."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from streamdet.infer.compiling import compiled, table


@compiled(table(types.int32, 2))
def touching(label):  # type: ignore[no-untyped-def]
    """Pairs of patches that share a border, i32 [P, 2], with repetitions where the border is not straight."""
    height, width = label.shape
    pairs = np.empty((1024, 2), np.int32)
    n = 0
    last = np.full(label.max() + 1, -1, np.int32)  # the neighbour noted last: most repetitions follow each other
    for y in range(height):
        for x in range(width):
            here = label[y, x]
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy >= height or x + dx >= width:
                    continue
                there = label[y + dy, x + dx]
                if there == here or (last[here] == there and last[there] == here):
                    continue
                last[here], last[there] = there, here
                if n == pairs.shape[0]:
                    larger = np.empty((2 * n, 2), np.int32)
                    larger[:n] = pairs
                    pairs = larger
                pairs[n, 0], pairs[n, 1] = here, there
                n += 1
    return pairs[:n].copy()


@njit(nogil=True)
def _root(parent, node):  # type: ignore[no-untyped-def]
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(nogil=True)
def _push(keys, pairs, n, key, a, b):  # type: ignore[no-untyped-def]
    """A heap with the greatest key on top, in arrays that double when full."""
    if n == keys.shape[0]:
        more_keys, more_pairs = np.empty(2 * n, np.float32), np.empty((2 * n, 2), np.int32)
        more_keys[:n], more_pairs[:n] = keys, pairs
        keys, pairs = more_keys, more_pairs
    at = n
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] >= key:
            break
        keys[at], pairs[at, 0], pairs[at, 1] = keys[above], pairs[above, 0], pairs[above, 1]
        at = above
    keys[at], pairs[at, 0], pairs[at, 1] = key, a, b
    return keys, pairs


@njit(nogil=True)
def _drop_top(keys, pairs, n):  # type: ignore[no-untyped-def]
    key, a, b = keys[n - 1], pairs[n - 1, 0], pairs[n - 1, 1]
    at = 0
    while 2 * at + 1 < n - 1:
        below = 2 * at + 1
        if below + 1 < n - 1 and keys[below + 1] > keys[below]:
            below += 1
        if keys[below] <= key:
            break
        keys[at], pairs[at, 0], pairs[at, 1] = keys[below], pairs[below, 0], pairs[below, 1]
        at = below
    keys[at], pairs[at, 0], pairs[at, 1] = key, a, b


@njit(nogil=True, fastmath=True)
def _shared(first, second):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for j in range(first.shape[0]):
        total += min(first[j], second[j])
    return total


@njit(nogil=True)
def _likeness(colour, texture, size, xyxy, area, weight, a, b):  # type: ignore[no-untyped-def]
    """0 (nothing in common) to 1 per cue: see selective_search.Cues."""
    total = np.float32(0)
    joined = size[a] + size[b]
    if weight[0] > 0:
        total += weight[0] * _shared(colour[a], colour[b])
    if weight[1] > 0:
        total += weight[1] * _shared(texture[a], texture[b])
    if weight[2] > 0:
        total += weight[2] * (np.float32(1) - np.float32(joined) / area)
    if weight[3] > 0:
        width = max(xyxy[a, 2], xyxy[b, 2]) - min(xyxy[a, 0], xyxy[b, 0])
        height = max(xyxy[a, 3], xyxy[b, 3]) - min(xyxy[a, 1], xyxy[b, 1])
        total += weight[3] * (np.float32(1) - np.float32(width * height - joined) / area)
    return total


@njit(nogil=True)
def _join(colour, texture, size, xyxy, a, b, new):  # type: ignore[no-untyped-def]
    size[new] = size[a] + size[b]
    share = np.float32(size[a]) / np.float32(size[new])
    rest = np.float32(1) - share
    for j in range(colour.shape[1]):
        colour[new, j] = share * colour[a, j] + rest * colour[b, j]
    for j in range(texture.shape[1]):
        texture[new, j] = share * texture[a, j] + rest * texture[b, j]
    for side in range(2):
        xyxy[new, side] = min(xyxy[a, side], xyxy[b, side])
        xyxy[new, side + 2] = max(xyxy[a, side + 2], xyxy[b, side + 2])


@njit(nogil=True)
def _doubled(values):  # type: ignore[no-untyped-def]
    n = values.shape[0]
    larger = np.empty((2 * n - 1, values.shape[1]), values.dtype)
    larger[:n] = values
    return larger


@njit(nogil=True)
def _linked(pairs, n):  # type: ignore[no-untyped-def]
    """Neighbours as linked lists: `head` and `tail` per patch, `following` and `who` per entry, no pair twice."""
    total = pairs.shape[0]
    head, tail = np.full(2 * n - 1, -1, np.int32), np.full(2 * n - 1, -1, np.int32)
    following, who = np.full(2 * total, -1, np.int32), np.empty(2 * total, np.int32)
    for e in range(2 * total):
        here, there = pairs[e >> 1, e & 1], pairs[e >> 1, 1 - (e & 1)]
        who[e] = there
        if head[here] < 0:
            head[here] = e
        else:
            following[tail[here]] = e
        tail[here] = e
    return head, tail, following, who


@compiled(
    table(types.float32, 2),
    table(types.float32, 2),
    table(types.int32, 1),
    table(types.int32, 2),
    table(types.int32, 2),
    table(types.float32, 1),
    types.float32,
)
def group(colour, texture, size, xyxy, pairs, weight, area):  # type: ignore[no-untyped-def]
    """Boxes of all patches and of everything they are joined to, i32 [2 N − 1, 4], in the order they came to be.

    Joined patches share one list of neighbours, tied together end to end in no time; it still names the patches of the
    beginning, and whoever walks along it asks to which group each belongs by now, and cuts out what it meets twice.
    """
    n = size.shape[0]
    colour, texture, xyxy = _doubled(colour), _doubled(texture), _doubled(xyxy)
    sizes = np.empty(2 * n - 1, np.int32)
    sizes[:n] = size
    parent = np.arange(2 * n - 1).astype(np.int32)
    head, tail, following, who = _linked(pairs, n)
    seen_by = np.full(2 * n - 1, -1, np.int32)
    keys, ends = np.empty(1024, np.float32), np.empty((1024, 2), np.int32)
    waiting = 0
    for e in range(pairs.shape[0]):
        a, b = pairs[e, 0], pairs[e, 1]
        key = _likeness(colour, texture, sizes, xyxy, area, weight, a, b)
        keys, ends = _push(keys, ends, waiting, key, a, b)
        waiting += 1
    new = n
    while waiting > 0 and new < 2 * n - 1:
        a, b = ends[0, 0], ends[0, 1]
        _drop_top(keys, ends, waiting)
        waiting -= 1
        if parent[a] != a or parent[b] != b:  # one of them was joined to another meanwhile
            continue
        _join(colour, texture, sizes, xyxy, a, b, new)
        parent[a] = parent[b] = new
        following[tail[a]] = head[b]
        head[new], tail[new] = head[a], tail[b]
        before, at = -1, head[new]
        while at >= 0:
            other = _root(parent, who[at])
            if other == new or seen_by[other] == new:
                if before >= 0:
                    following[before] = following[at]
                    if tail[new] == at:
                        tail[new] = before
            else:
                seen_by[other] = new
                key = _likeness(colour, texture, sizes, xyxy, area, weight, new, other)
                keys, ends = _push(keys, ends, waiting, key, new, other)
                waiting += 1
                before = at
            at = following[at]
        new += 1
    return xyxy[:new]
