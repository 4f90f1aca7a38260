"""Several processes that learn one model: who is who, and the mean of what each has found.

`torchrun --nproc-per-node 2 -m streamdet train CONFIG` starts one process per GPU (or, with gloo, per CPU share). Each
takes its part of every batch; gradients are averaged in one bucket after the backward pass. Nothing is wrapped around
the model, and a parameter that had no part in one process's loss counts as zero there and holds nobody up.

What comes out is what one process makes of the whole batch where a loss is a mean over pictures. A mean over objects
is one over each process's own objects, unless the model divides by `losses.mean_over_ranks`, as ours do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from streamdet.errors import ConfigError

CPU = torch.device("cpu")
_PATIENCE = timedelta(hours=1)  # the others wait while the first process scores and saves


@dataclass(frozen=True)
class Ranks:
    """This process among those that learn together; alone, every exchange is a no-op."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """The one that writes, scores and speaks."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Each becomes its mean over all processes, in place, in one exchange."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        if self.world == 1:
            return said
        flag = torch.tensor(float(said), device=self.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the others that torchrun started, or be alone; leave at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            "the processes of this training cannot find each other",
            expected="MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE as torchrun sets them",
            got=error,
        ) from error
    try:
        yield Ranks(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()
