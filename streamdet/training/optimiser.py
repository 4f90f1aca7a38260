"""What moves the weights: an optimiser over the parameters that learn, and a step that broken numbers cannot spoil."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from streamdet.training.muon import Muon


class OptimiserOptions(BaseModel):
    """How the weights are moved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[
        Literal["sgd", "adamw", "muon"],
        Field(description="SGD with Nesterov's momentum, AdamW, or Muon: few steps go further, each costs more."),
    ] = "sgd"
    rate: Annotated[float, Field(gt=0, description="Learning rate at its height, for one step of the whole batch.")] = (
        0.02
    )
    momentum: Annotated[float, Field(ge=0, lt=1, description="Of SGD and Muon; AdamW's first beta.")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, description="On weights only: never on norms and biases.")] = 5e-4
    vector_rate_ratio: Annotated[
        float, Field(gt=0, description="The rate of norms and biases, as a multiple of that of the weights.")
    ] = 1.0
    clip_norm: Annotated[float, Field(gt=0, description="Gradients longer than this are shortened to it.")] = 10.0
    warm_up_share: Annotated[float, Field(ge=0, lt=1, description="Of a phase's steps: the rate rises from 0.")] = 0.05
    warm_up_steps: Annotated[int, Field(ge=0, description="The rise takes no more steps than this.")] = 1000
    final_ratio: Annotated[float, Field(ge=0, le=1, description="The rate's end, as a part of its height.")] = 0.0
    schedule: Annotated[
        Literal["cosine", "linear"], Field(description="How the rate falls from its height to its end.")
    ] = "cosine"


def build_optimiser(model: nn.Module, options: OptimiserOptions) -> torch.optim.Optimizer:
    """Over what learns in this phase: weights decay, norms and biases do not."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in learning if each.ndim > 1], "weight_decay": options.weight_decay, "ratio": 1.0},
        {
            "params": [each for each in learning if each.ndim <= 1],
            "weight_decay": 0.0,
            "ratio": options.vector_rate_ratio,
        },
    ]
    if options.kind == "muon":
        hidden = {id(weight) for weight in _hidden_matrices(model)}
        weights = groups[0]["params"]
        groups[0] = {**groups[0], "params": [each for each in weights if id(each) not in hidden]}
        groups.append({**groups[0], "params": [each for each in weights if id(each) in hidden], "matrix": True})
    groups = [group for group in groups if group["params"]]
    if options.kind == "muon":
        return Muon(groups, lr=options.rate, momentum=options.momentum)
    if options.kind == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(groups, lr=options.rate, momentum=options.momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, lr=options.rate, betas=(options.momentum, 0.999), fused=True)


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    """Weights of layers without a bias: a norm follows them, so they are no answers."""
    layers = (module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    return [layer.weight for layer in layers if layer.bias is None]


def take_step(optimiser: torch.optim.Optimizer, rate: float, clip_norm: float) -> tuple[Tensor, Tensor]:
    """Shorten the gradients and move the weights, unless the gradients are not numbers → their length, and whether so.

    Both stay on the device: the optimisers are told with a tensor whether to move, and nothing waits for the answer.
    """
    gradients = [
        parameter.grad
        for group in optimiser.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    norm = torch.nn.utils.get_total_norm(gradients)
    broken = ~torch.isfinite(norm)
    # A broken norm would turn every gradient into NaN here; they are thrown away anyway.
    torch._foreach_mul_(gradients, (clip_norm / (norm + 1e-6)).clamp(max=1.0))
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("ratio", 1.0)  # not known to checkpoints of earlier versions
    optimiser.found_inf = broken.float()  # type: ignore[attr-defined] # how torch's own gradient scaler says it
    optimiser.step()
    return norm, broken
