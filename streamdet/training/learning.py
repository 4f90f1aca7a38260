"""One step of learning: forward, backward, and a step of the weights that broken numbers cannot spoil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from streamdet.models.contract import Learnable
from streamdet.training.averaging import Average
from streamdet.training.batches import Batch, resized, seed_of
from streamdet.training.distributed import Ranks
from streamdet.training.hardware import Hardware
from streamdet.training.optimiser import build_optimiser, take_step
from streamdet.training.options import LearningOptions
from streamdet.training.schedule import Stretch, rate_at

_FIRST_FP16_SCALE = 2.0**12


@dataclass(frozen=True)
class StepReport:
    """What a step came to; the numbers are still on the device, so that nothing waits for them."""

    step: int
    keys: tuple[str, ...]  # of the pictures that this process saw
    rate: float
    names: tuple[str, ...]  # of the loss terms
    numbers: Tensor  # f32 [terms + 2]: each term, the gradients' length, 1 where the step had no effect


class Learner:
    """The model with everything that moves with it."""

    def __init__(
        self, model: Learnable, options: LearningOptions, hardware: Hardware, ranks: Ranks, steps: int
    ) -> None:
        self._options = options
        self._ranks = ranks
        self._dtype = hardware.dtype
        self._device = ranks.device
        model = model.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if ranks.world > 1 and ranks.device.type == "cuda":
            model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.model = model.train()
        self._norms = _in_one_piece(self.model)  # the norms' running figures
        self._norms_before = self._norms.clone()
        self.average = Average(self.model, steps, options.average.horizon, options.average.decay_at_most)
        self._scaler = torch.amp.GradScaler(
            self._device.type, init_scale=_FIRST_FP16_SCALE, enabled=self._dtype == torch.float16
        )
        self._optimiser: torch.optim.Optimizer | None = None

    def enter(self, stretch: Stretch) -> None:
        """Begin a phase of the model: what learns now gets an optimiser of its own."""
        self.model.enter(stretch.phase)
        self.average.model.enter(stretch.phase)
        self.average.model.eval().requires_grad_(False)
        self._optimiser = build_optimiser(self.model, self._options.optimiser)

    def step(self, step: int, stretch: Stretch, batches: Sequence[Batch]) -> StepReport:
        """Learn from these pictures."""
        assert self._optimiser is not None
        self._norms_before.copy_(self._norms)
        terms: dict[str, Tensor] = {}
        for part, batch in enumerate(batches):
            # Whatever the model draws at random follows from the step, so a resumed training draws the same.
            torch.manual_seed(seed_of(self._options.seed, 2, step, part, self._ranks.rank))
            for name, term in self._losses(step, batch, stretch).items():
                terms[name] = terms.get(name, 0) + term.detach() / len(batches)
        self._gather_gradients()
        self._scaler.unscale_(self._optimiser)
        rate = rate_at(step, stretch, self._options.optimiser)
        norm, broken = take_step(self._optimiser, rate, self._options.optimiser.clip_norm)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        # Broken numbers have passed through the norms on their way; their figures are as they were.
        torch.where(broken, self._norms_before, self._norms, out=self._norms)
        self.average.update()
        keys = tuple(key for batch in batches for key in batch.keys)
        numbers = torch.stack([*(term.float() for term in terms.values()), norm, broken.float()])
        return StepReport(step, keys, rate, tuple(terms), numbers)

    def _losses(self, step: int, batch: Batch, stretch: Stretch) -> dict[str, Tensor]:
        """The weighted terms of one batch, their gradients added to those that are there."""
        batch = batch.to(self._device)
        pixels = batch.pixels.float().div_(255)
        batch = resized(Batch(batch.keys, pixels, batch.targets), self._size(step, batch))
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            terms = self.model.losses(batch.pixels.contiguous(memory_format=torch.channels_last), batch.targets)
        total = torch.stack([term.float() for term in terms.values()]).sum()
        if total.requires_grad:
            self._scaler.scale(total / self._options.accumulate).backward()  # type: ignore[no-untyped-call]
        return terms

    def _size(self, step: int, batch: Batch) -> tuple[int, int]:
        """Width and height of this step; the same in every process."""
        height, width = batch.pixels.shape[2:]
        spread = self._options.size_spread()
        if not spread:
            return width, height
        stride = self.model.stride
        draw = seed_of(self._options.seed, 3, step) / 2**64  # 0..1
        ratio = 1 + spread * (2 * draw - 1)
        return tuple(max(stride, round(side * ratio / stride) * stride) for side in (width, height))  # type: ignore[return-value]

    def _gather_gradients(self) -> None:
        """One gradient for every parameter that learns, the mean over all processes."""
        assert self._optimiser is not None
        learning = [parameter for group in self._optimiser.param_groups for parameter in group["params"]]
        for parameter in learning:
            if parameter.grad is None:  # it had no part in the losses
                parameter.grad = torch.zeros_like(parameter)
        self._ranks.average([parameter.grad for parameter in learning])

    def state(self) -> dict[str, Any]:
        """Weights and all that moves with them, as a checkpoint keeps it."""
        assert self._optimiser is not None
        return {
            "weights": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "average_updates": self.average.updates,
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: Any, *, within_phase: bool) -> None:
        """Go on from a checkpoint; the optimiser's part of it only counts within its own phase."""
        self.model.load_state_dict(state.weights)
        self.average.model.load_state_dict(state.average)
        self.average.updates = state.average_updates
        self._scaler.load_state_dict(state.scaler)
        if within_phase:
            assert self._optimiser is not None
            self._optimiser.load_state_dict(state.optimiser)


def _in_one_piece(model: Learnable) -> Tensor:
    """The running figures of all norms as views of one tensor: kept and brought back by one copy."""
    found = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if name in ("running_mean", "running_var")
    ]
    device = next(model.parameters()).device
    flat = torch.cat([buffer.reshape(-1) for _, _, buffer in found]) if found else torch.zeros(0, device=device)
    begin = 0
    for module, name, buffer in found:
        setattr(module, name, flat[begin : begin + buffer.numel()].view(buffer.shape))
        begin += buffer.numel()
    return flat
