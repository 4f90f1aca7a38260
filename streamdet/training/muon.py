"""Muon: the momentum of each weight matrix, made orthogonal, is the step; what is no hidden matrix learns by AdamW.

All directions of a layer then move equally far, not those that few large gradients choose: few steps go further. The
orthogonal factor is found by five rounds of Newton and Schulz's iteration (Jordan et al. 2024), sized so that a step is
as long as AdamW's (Liu et al. 2025), so both share one learning rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_STEP_LENGTH = 0.2  # root mean square of AdamW's steps
_BETA_2 = 0.999
_EPSILON = 1e-8


class Muon(torch.optim.Optimizer):
    """Groups with `matrix` learn orthogonally, the others by AdamW; `found_inf`, a tensor, holds a step back."""

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "matrix": False})
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # no closures here
        """Move, unless the gradients are broken."""
        if self.found_inf is not None and bool(self.found_inf):
            return
        for group in self.param_groups:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not learning:
                continue
            torch._foreach_mul_(learning, 1 - group["lr"] * group["weight_decay"])
            (self._orthogonal if group["matrix"] else self._adaptive)(learning, group["lr"], group["momentum"])

    def _orthogonal(self, learning: list[Tensor], rate: float, momentum: float) -> None:
        gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
        means = [self._state(parameter, "mean") for parameter in learning]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, means, momentum)  # Nesterov's look ahead
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, parameter in enumerate(learning):
            alike[tuple(parameter.shape)].append(place)
        for shape, places in alike.items():
            steps = orthogonal(torch.stack([ahead[place].reshape(shape[0], -1) for place in places]))
            length = _STEP_LENGTH * max(steps.shape[-2:]) ** 0.5
            for place, step in zip(places, steps, strict=True):
                learning[place].add_(step.reshape(shape), alpha=-rate * length)

    def _adaptive(self, learning: list[Tensor], rate: float, momentum: float) -> None:
        gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
        means = [self._state(parameter, "mean") for parameter in learning]
        squares = [self._state(parameter, "square") for parameter in learning]
        steps = self.state[learning[0]].get("steps", 0) + 1
        self.state[learning[0]]["steps"] = steps
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        torch._foreach_mul_(squares, _BETA_2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - _BETA_2)
        roots = torch._foreach_sqrt(torch._foreach_div(squares, 1 - _BETA_2**steps))
        torch._foreach_add_(roots, _EPSILON)
        torch._foreach_addcdiv_(learning, means, roots, -rate / (1 - momentum**steps))

    def _state(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        found: Tensor = state[name]
        return found


def orthogonal(matrices: Tensor) -> Tensor:
    """[n, rows, columns] → nearly the nearest matrices with orthogonal rows or columns: singular values about 1."""
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    nearest: Tensor = x.mT if tall else x
    return nearest.float()
