"""The moving average of a model's weights, which scores better than the weights themselves."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from streamdet.models.contract import Learnable


class Average:
    """A second model whose weights and running figures follow the first one's slowly.

    How slowly depends on the length of the training: the last `horizon` (a share of all steps) counts, so that a short
    one is not averaged with its beginnings. At first it follows at once.
    """

    def __init__(self, model: Learnable, steps: int, horizon: float, decay_at_most: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = min(decay_at_most, max(0.0, 1 - 1 / max(horizon * steps, 1)))
        self.updates = 0
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        self._average = [average for average, _ in pairs if average.is_floating_point()]
        self._newest = [newest for average, newest in pairs if average.is_floating_point()]
        self._counts = [(average, newest) for average, newest in pairs if not average.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the model."""
        self.updates += 1
        decay = min(self.decay, 1 - 1 / (1 + self.updates / 4))
        torch._foreach_lerp_(self._average, self._newest, 1 - decay)

    def finish(self) -> Learnable:
        """The averaged model, ready for use; what merely counts is taken over."""
        for average, newest in self._counts:
            average.copy_(newest)
        return self.model


def _tensors(model: Learnable) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
