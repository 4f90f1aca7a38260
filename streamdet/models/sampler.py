"""A fair few of very many candidates: training on all of them would drown the objects in background."""

from __future__ import annotations

import torch
from torch import Tensor

from streamdet.models.matcher import BACKGROUND


def sample(match: Tensor, count: int, positive_share: float) -> tuple[Tensor, Tensor]:
    """Matches [B, N] → the chosen positives and the chosen background, bool [B, N] each.

    Up to `count` in every picture, of which at most `positive_share` positive; background fills up. Which ones is
    chance, of torch's global generator.
    """
    chance = torch.rand(match.shape, device=match.device)
    positive = _first(match >= 0, chance, torch.full_like(match[:, :1], round(count * positive_share)))
    room = count - positive.sum(dim=1, keepdim=True)
    return positive, _first(match == BACKGROUND, chance, room)


def _first(eligible: Tensor, chance: Tensor, room: Tensor) -> Tensor:
    """Bool [B, N]: of the eligible the `room` [B, 1] that chance puts first."""
    order = chance.masked_fill(~eligible, 2.0).argsort(dim=1)
    rank = torch.empty_like(order)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank.scatter_(1, order, places)
    return eligible & (rank < room)


def gather_chosen(chosen: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Bool [B, N] → the first `count` chosen rows of each picture, i64 [B, count], and which places hold one."""
    held, rows = chosen.to(torch.int8).sort(dim=1, descending=True, stable=True)
    return rows[:, :count], held[:, :count].bool()
