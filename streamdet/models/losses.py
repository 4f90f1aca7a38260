"""What a wrong answer costs, as pure functions: each gives one number per element and leaves the mean to its caller.

All compute in float32 whatever they are given: under autocast the logits come as bf16, whose eight bits would round
small errors away.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional

from streamdet.models import geometry


def soft_cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of a sigmoid against a probability 0..1, [...] → [...]."""
    return functional.binary_cross_entropy_with_logits(logits.float(), wanted.float(), reduction="none")


def focal_loss(logits: Tensor, wanted: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Cross-entropy of a sigmoid against 0 or 1 that forgets what is already right, [...] → [...].

    `alpha` weighs the ones and 1 − alpha the zeros; a negative alpha weighs nothing.
    """
    wanted = wanted.float()
    probability = logits.float().sigmoid()
    wrong = probability * (1 - wanted) + (1 - probability) * wanted
    loss = soft_cross_entropy(logits, wanted) * wrong**gamma
    return loss if alpha < 0 else loss * (alpha * wanted + (1 - alpha) * (1 - wanted))


def quality_focal_loss(logits: Tensor, wanted: Tensor, beta: float = 2.0) -> Tensor:
    """Cross-entropy of a sigmoid against a probability, weighed by how far off it is, [...] → [...]."""
    wanted = wanted.float()
    return soft_cross_entropy(logits, wanted) * (wanted - logits.float().sigmoid()).abs() ** beta


def smooth_l1(got: Tensor, wanted: Tensor, beta: float = 1.0) -> Tensor:
    """Absolute difference, rounded off to a parabola within `beta`, [...] → [...]; beta 0 is plain L1."""
    difference = (got.float() - wanted.float()).abs()
    if beta == 0:
        return difference
    return torch.where(difference < beta, difference**2 / (2 * beta), difference - beta / 2)


def box_loss(got: Tensor, wanted: Tensor) -> Tensor:
    """1 − complete IoU, row by row [..., 4] → [...]."""
    return 1 - geometry.complete_iou(got.float(), wanted.float())


def mean_over_ranks(total: Tensor) -> Tensor:
    """The mean over all processes that train together, so that each divides by the same; without them, as it is."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return total
    shared = total.detach().clone()
    distributed.all_reduce(shared)
    return shared / distributed.get_world_size()
