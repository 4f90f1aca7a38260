"""The kernels once more in plain numpy: their oracle, and stand-in without numba. Same arguments, same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import greedy_nms

Planes = tuple[npt.NDArray[np.uint8], ...]


def letterbox(
    planes: Planes,
    plane_shape: npt.NDArray[np.int64],
    rows: npt.NDArray[np.uint64],
    row_weight: npt.NDArray[np.uint16],
    columns: npt.NDArray[np.uint64],
    column_weight: npt.NDArray[np.int32],
    components: npt.NDArray[np.uint64],
    matrix: npt.NDArray[np.int32],
    out: npt.NDArray[np.uint8],
    left: int,
    top: int,
) -> None:
    """Integer bilinear resampling, then the colour matrix; bit for bit what the kernel writes."""
    height, width = rows.shape[1], columns.shape[1]
    samples = np.zeros((3, height, width), np.int32)
    for c, (p, step) in enumerate(components.astype(np.int64)):
        upper, lower = rows[p].astype(np.int64)[:, None, :].transpose(2, 0, 1)  # [h, 1] each
        column = columns[c].astype(np.int64)[None]
        beside = np.where(column_weight[c] > 0, column + step, column)  # never reads beyond the last sample
        below = row_weight[p].astype(np.int32)[:, None]
        left_sample, right_sample = (
            planes[p][upper + at].astype(np.int32) * (256 - below) + planes[p][lower + at].astype(np.int32) * below
            for at in (column, beside)
        )
        samples[c] = ((left_sample << 11) + (right_sample - left_sample) * column_weight[c]) >> 13
    mixed = np.einsum("oc,chw->ohw", matrix[:, :3], samples) + matrix[:, 3, None, None]
    out[:, top : top + height, left : left + width] = (mixed >> 19).clip(0, 255)


def warp(
    planes: Planes,
    plane_shape: npt.NDArray[np.int64],
    components: npt.NDArray[np.int64],
    homography: npt.NDArray[np.float64],
    matrix: npt.NDArray[np.float64],
    across: int,
    down: int,
    out: npt.NDArray[np.uint8],
) -> None:
    """Perspective resampling, `across` × `down` samples to a pixel of `out`."""
    _, height, width = out.shape
    u = (np.arange(width * across) + 0.5) / across
    v = (np.arange(height * down) + 0.5) / down
    grid = np.stack([*np.meshgrid(u, v), np.ones((height * down, width * across))])
    x, y, depth = np.einsum("ij,jhw->ihw", homography, grid)
    found = np.zeros((3, height, width))
    for c, component in enumerate(components):
        fine = _sample(planes, plane_shape, component, x / depth, y / depth)
        found[c] = fine.reshape(height, down, width, across).mean(axis=(1, 3))
    mixed = np.einsum("oc,chw->ohw", matrix[:, :3], found) + matrix[:, 3, None, None]
    out[:] = (mixed + 0.5).clip(0, 255)


def _sample(
    planes: Planes,
    plane_shape: npt.NDArray[np.int64],
    component: npt.NDArray[np.int64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    p, offset, step = component
    stride, _, width, height, coarser_x, coarser_y = plane_shape[p]
    x = (x / coarser_x - 0.5).clip(0, width - 1)
    y = (y / coarser_y - 0.5).clip(0, height - 1)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    right, below = x - x0, y - y0
    a, b = offset + x0 * step, offset + x1 * step
    plane = planes[p]
    upper = plane[y0 * stride + a] * (1 - right) + plane[y0 * stride + b] * right
    lower = plane[y1 * stride + a] * (1 - right) + plane[y1 * stride + b] * right
    found: npt.NDArray[np.float64] = upper * (1 - below) + lower * below
    return found


def tail(
    boxes: npt.NDArray[np.float32],
    score_bits: npt.NDArray[np.int32],
    limit: int,
    overlap: float,
    floor_bits: int,
    duplicates: bool,
    count: npt.NDArray[np.int32],
    xyxy: npt.NDArray[np.float32],
    kept_bits: npt.NDArray[np.int32],
    class_id: npt.NDArray[np.int32],
    index: npt.NDArray[np.int32],
    truncated: npt.NDArray[np.int32],
    broken: npt.NDArray[np.int32],
) -> None:
    """Best class per candidate, the K best, greedy suppression, the D best."""
    outputs: tuple[npt.NDArray[Any], ...] = (xyxy, kept_bits, class_id, index)
    for b in range(len(boxes)):
        best_bits = score_bits[b].max(axis=1)
        candidates = np.flatnonzero(best_bits > floor_bits)
        broken[b] = np.count_nonzero(best_bits > 0x7F800000)
        truncated[b] = max(len(candidates) - limit, 0)
        chosen = candidates[np.argsort(-best_bits[candidates].astype(np.int64), kind="stable")][:limit]
        best = best_bits[chosen].view(np.float32)
        kind = score_bits[b, chosen].argmax(axis=1).astype(np.int32)
        if duplicates:
            kept = greedy_nms(boxes[b, chosen], best, kind, overlap)[: xyxy.shape[1]]
        else:
            kept = np.arange(len(chosen))[: xyxy.shape[1]]
        count[b] = len(kept)
        for array, rows in zip(outputs, (boxes[b, chosen], best.view(np.int32), kind, chosen), strict=True):
            array[b] = 0
            array[b, : len(kept)] = rows[kept]
