"""Greedy suppression without data-dependent shapes, so that a network can hold it and any runtime can run it."""

from __future__ import annotations

import torch
from torch import Tensor

from streamdet.models.geometry import area

ROUNDS = 16  # crowds have needed 8 at most


def suppress(
    xyxy: Tensor, score: Tensor, class_id: Tensor, valid: Tensor, iou_limit: float, keep: int, rounds: int = ROUNDS
) -> tuple[Tensor, Tensor]:
    """Candidates [B, K, 4], [B, K] each → rows i64 [B, keep], best first, and which of these places hold one.

    Greedy suppression per class, at an overlap strictly above `iou_limit`; equal scores go by row. It is the fixed
    point of "kept are those that no kept one suppresses", reached in as many rounds as the longest chain has links.
    """
    better = _better(score)  # [B, K, K]
    same = class_id[:, :, None] == class_id[:, None, :]
    suppresses = (_overlapping(xyxy, iou_limit) & same & better).float()  # [B, i, j]: i, if kept, suppresses j
    alive = valid.float()[:, None]  # [B, 1, K]
    kept = alive
    for _ in range(rounds):
        kept = alive * (torch.matmul(kept, suppresses) < 0.5).float()
    candidates = score.shape[1]
    rank = better.float().sum(dim=1)  # [B, K]: how many are better
    key = kept[:, 0] * (candidates - rank)  # 1 and more for what is kept, without ties
    best, rows = key.topk(min(keep, candidates), dim=1)
    return rows, best > 0.5


def _better(score: Tensor) -> Tensor:
    """Bool [B, K, K]: i comes before j, by score, and of equal scores the earlier row."""
    mine, other = score[:, :, None], score[:, None, :]
    row = torch.arange(score.shape[1], device=score.device)
    earlier = row[:, None] < row[None, :]
    return (mine > other) | ((mine == other) & earlier)


def _overlapping(xyxy: Tensor, iou_limit: float) -> Tensor:
    """Bool [B, K, K], without a division: boxes of no area overlap nothing."""
    a, b = xyxy[:, :, None], xyxy[:, None]
    width = (torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0.0)
    height = (torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])).clamp(min=0.0)
    inter = width * height
    size = area(xyxy)
    return inter > iou_limit * (size[:, :, None] + size[:, None] - inter)
