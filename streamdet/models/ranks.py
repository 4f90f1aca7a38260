"""Means over the objects of all processes that learn together."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def mean_count(count: Tensor) -> Tensor:
    """A count of objects → its mean over the processes of a training; alone, itself.

    Gradients are averaged over processes. A sum divided by this, averaged, is the sum over all objects divided by the
    number of all objects: what one process would make of the whole batch.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
