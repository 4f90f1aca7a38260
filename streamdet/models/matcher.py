"""Which candidate learns which object, by the largest overlap (Ren et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from streamdet.models.contract import Targets
from streamdet.models.geometry import area, pairwise_iou

BACKGROUND = -1  # learns that there is nothing
NEUTRAL = -2  # learns nothing: between the limits, or on something ignored

_COVERED = 0.5  # share of a candidate that lies on an ignored target when it becomes neutral


def match(
    xyxy: Tensor,
    targets: Targets,
    background_below: float,
    object_from: float,
    best_always: bool = False,
    one_each: bool = False,
) -> Tensor:
    """Candidates [B, N, 4] → i64 [B, N]: the row of its object in `targets`, BACKGROUND or NEUTRAL.

    A candidate belongs to the object that it overlaps most, if by `object_from` or more; below `background_below` it
    is background, in between neutral. With `best_always` the candidates that an object overlaps most (all of them,
    where several do equally) are its own however little that is, unless they overlap another one more. With `one_each`
    every object first takes the one candidate that it overlaps most, even from an object that has a larger share of it
    (Liu et al. 2016); of two that want the same one, the larger overlap has it.
    """
    if targets.class_id.shape[1] == 0:
        return torch.full(xyxy.shape[:2], BACKGROUND, dtype=torch.int64, device=xyxy.device)
    present = targets.class_id >= 0
    real = present & ~targets.ignored
    overlap = pairwise_iou(targets.xyxy, xyxy) * real[..., None]  # [B, M, N]
    best, owner = overlap.max(dim=1)  # [B, N]
    positive = best >= object_from
    if best_always:
        of_object = overlap.amax(dim=2, keepdim=True)  # [B, M, 1]
        favourite = (overlap == of_object) & (of_object > 0)
        positive |= favourite.any(dim=1)
    if one_each:
        taken = torch.zeros_like(overlap).scatter_(2, overlap.argmax(dim=2, keepdim=True), 1.0)
        most, first_owner = (overlap * taken).max(dim=1)  # [B, N]
        owner = torch.where(most > 0, first_owner, owner)
        positive |= most > 0
    verdict = torch.where(best < background_below, BACKGROUND, NEUTRAL)
    verdict = torch.where(_covered(xyxy, targets.xyxy, present & targets.ignored), NEUTRAL, verdict)
    return torch.where(positive, owner, verdict)


def _covered(xyxy: Tensor, ignored_xyxy: Tensor, ignored: Tensor) -> Tensor:
    """Bool [B, N]: whether a candidate lies half or more on one of the ignored targets [B, M, 4]."""
    a, b = ignored_xyxy[:, :, None], xyxy[:, None]  # [B, M, 1, 4], [B, 1, N, 4]
    inter = area(torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], dim=-1))
    on_it = (inter >= _COVERED * area(b)) & (inter > 0)  # [B, M, N]
    return (on_it & ignored[..., None]).any(dim=1)


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Values of targets [B, M, ...] by a match [B, N] → [B, N, ...]; where nothing is matched, those of row 0, or 0."""
    if values.shape[1] == 0:
        return values.new_zeros((*rows.shape, *values.shape[2:]))
    index = rows.clamp(min=0).reshape(*rows.shape, *[1] * (values.dim() - 2))
    return torch.take_along_dim(values, index, dim=1)
