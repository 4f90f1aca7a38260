"""Anchors: the boxes that a dense head starts from, some at every cell of every level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from streamdet.models.geometry import grid_points


def shapes(sizes_px: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Every size (root of the area) in every ratio (height to width) → [sizes · ratios, 2] width, height."""
    size = torch.tensor(sizes_px, dtype=torch.float32)[:, None]  # [S, 1]
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()[None]  # [1, R]
    return torch.stack([size / root, size * root], dim=-1).flatten(0, 1)


def level_anchors(size: tuple[int, int], stride: int, shapes_px: Tensor) -> Tensor:
    """A level of (height, width) cells → f32 [height · width · A, 4] xyxy, centred on the cells, row by row.

    They are not clipped: an anchor that reaches beyond the picture still stands for an object cut off there.
    """
    return boxes_around(grid_points(size, stride, shapes_px.device), shapes_px)


def boxes_around(points: Tensor, shapes_px: Tensor) -> Tensor:
    """Every shape [A, 2] at every point [P, 2] → f32 [P · A, 4] xyxy, point by point."""
    centre, half = points[:, None], shapes_px[None] / 2  # [P, 1, 2], [1, A, 2]
    return torch.cat([centre - half, centre + half], dim=-1).flatten(0, 1)
