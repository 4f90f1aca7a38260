"""Which point of the grid answers for which object: the task-aligned assigner, over the padded batch at once.

A point may answer for an object when it lies inside of it, or when its cell holds the object's centre: so an object
smaller than a cell has a candidate on every level too. The candidates that classify and locate it best together
become positive; how well they locate it is the score they shall learn.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streamdet.models import geometry
from streamdet.models.contract import Targets


class Points(NamedTuple):
    """Where a detector looks: the centres of all cells of all levels."""

    xy: Tensor  # f32 [N, 2], pixels of the input
    stride: Tensor  # f32 [N]


class Assignment(NamedTuple):
    """What each point of each picture shall learn."""

    row: Tensor  # i64 [B, N]: the object's row in Targets; 0 where the point is not positive
    positive: Tensor  # bool [B, N]
    quality: Tensor  # f32 [B, N]: the score wanted for the object's class; 0 where not positive
    counted: Tensor  # bool [B, N]: False where an ignored object lies and no other: neither right nor wrong


class Alignment(NamedTuple):
    """metric = score^score_power · max(IoU, closeness · cold_overlap)^overlap_power; the `best` of an object win."""

    best: int = 10
    score_power: float = 0.5
    overlap_power: float = 6.0
    cold_overlap: float = 0.1  # boxes that fit worse than this are told apart by their distance from the centre
    least_quality: float = (
        0.2  # wanted of an object's best point however badly its box fits, or it would never be learnt
    )


@torch.no_grad()
def assign(points: Points, scores: Tensor, xyxy: Tensor, targets: Targets, how: Alignment) -> Assignment:
    """Points [N], scores 0..1 [B, N, C], boxes [B, N, 4], targets [B, M] → what each point shall learn."""
    batch, count, _ = xyxy.shape
    rows = targets.class_id.shape[1]
    if rows == 0:
        nothing = torch.zeros(batch, count, device=xyxy.device)
        return Assignment(nothing.long(), nothing.bool(), nothing, ~nothing.bool())
    inside, offset = _inside(points, targets.xyxy)  # [B, M, N] twice: the point is in the box; its distance, in cells
    wanted = ((targets.class_id >= 0) & ~targets.ignored)[..., None]  # [B, M, 1]
    candidate = (inside | (offset <= 0.5)) & wanted

    overlap = geometry.pairwise_iou(targets.xyxy.float(), xyxy.float()) * candidate  # [B, M, N]
    score = scores.float().transpose(1, 2)  # [B, C, N]
    of_class = targets.class_id.clamp(min=0)[..., None].expand(-1, -1, count)
    metric = score.gather(1, of_class) ** how.score_power * _fit(points, offset, targets, overlap, how)
    metric = metric * candidate  # [B, M, N]

    best = metric.topk(min(how.best, count), dim=2)
    chosen = torch.zeros_like(candidate).scatter_(2, best.indices, best.values > 0)
    chosen, owner = _settle(chosen, overlap)

    metric = metric * chosen
    highest = metric.amax(2, keepdim=True).clamp(min=1e-30)
    reach = (overlap * chosen).amax(2, keepdim=True).clamp(min=how.least_quality)
    quality = (metric / highest * reach).amax(1)  # [B, N]: at most one row is not 0
    positive = chosen.any(1)
    hidden = (inside & (targets.ignored & (targets.class_id >= 0))[..., None]).any(1)
    return Assignment(owner * positive, positive, quality, positive | ~hidden)


def _inside(points: Points, xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """[N], [B, M, 4] → [B, M, N] twice: is the point in the box; the larger of its x and y distance in cells."""
    x, y = points.xy[:, 0], points.xy[:, 1]
    left, top, right, bottom = (edge[..., None] for edge in xyxy.unbind(-1))
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    away = torch.maximum((x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs())
    return inside, away / points.stride


def _fit(points: Points, offset: Tensor, targets: Targets, overlap: Tensor, how: Alignment) -> Tensor:
    """[B, M, N]: how well the point's box fits, or promises to while it still fits badly."""
    size = (targets.xyxy[..., 2:] - targets.xyxy[..., :2]).clamp(min=0.0).amax(-1)[..., None]  # [B, M, 1]
    # Half the object's size, as wide as a cell at least: there closeness has fallen to 1/e.
    closeness = torch.exp(-2 * offset * points.stride / torch.maximum(size, points.stride))
    return torch.maximum(overlap, closeness * how.cold_overlap) ** how.overlap_power


def _settle(chosen: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """A point chosen by several objects goes to the one it overlaps most: [B, M, N] → the same, and whose [B, N]."""
    claim = torch.where(chosen, overlap, -1.0)
    owner = claim.argmax(1)
    return chosen & torch.zeros_like(chosen).scatter_(1, owner[:, None], True), owner
