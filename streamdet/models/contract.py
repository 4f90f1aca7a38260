"""What every network that can be trained is to the trainer, and every detector to evaluation and export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from torch import Tensor, nn


@dataclass(frozen=True)
class Targets:
    """The objects of a batch, padded to the picture that has most; a row of class −1 is padding."""

    xyxy: Tensor  # f32 [B, M, 4], pixels of the input
    class_id: Tensor  # i64 [B, M]; −1: no object
    ignored: Tensor  # bool [B, M]: neither an object nor background
    keypoints: Tensor | None = None  # f32 [B, M, P, 3]: x, y, visible (−1: not known)
    masks: Tensor | None = None  # u8 [B, M, H, W]
    regions: Tensor | None = None  # f32 [B, R, 4]: boxes proposed from outside; zeros where a picture has fewer


class Cut(NamedTuple):
    """What a detector says of a batch before suppression: the same cut as in every engine on the shelf."""

    xyxy: Tensor  # f32 [B, N, 4], pixels of the input, inside of it
    scores: Tensor  # f32 [B, N, C], 0..1
    keypoints: Tensor | None = None  # f32 [B, N, P, 3]
    masks: Tensor | None = None  # f32 [B, N, h, w], relative to the box


@dataclass(frozen=True)
class Phase:
    """A stretch of training in which a part of the model learns; most models have one, in which everything does."""

    name: str
    share: float = 1.0  # of the whole budget; those of a model's phases add up to 1
    learns: tuple[str, ...] = ("",)  # what the names of the learning parameters begin with; "" is everything


WHOLE = Phase("whole")


class Learnable(nn.Module, ABC):
    """A network, and what it needs to learn: all that the trainer knows of one.

    Pictures come as float in 0..1, [B, C, H, W], H and W multiples of `stride`; nothing else is normalised. The
    trainer calls `losses` in training mode and adds them up, so each comes weighted, finite for every input, and a mean
    over objects or pictures and not a sum (it does not grow with the batch). `forward` is inference alone, free of
    data-dependent shapes: it is what the export traces.

    Training goes through `phases()` in order. At the start of each, and again after a resume in the middle of one, the
    trainer calls `enter(phase)`, then builds the optimiser, its schedule (warm-up to decay, `share` of the steps) and
    the DDP wrapper anew over the parameters that require gradients; the moving average of the weights goes on.
    `losses` then gives the terms of that phase alone. What is random in training comes from torch's global generators.
    """

    stride: int
    phase: Phase = WHOLE

    @abstractmethod
    def losses(self, pixels: Tensor, targets: Any) -> dict[str, Tensor]:
        """Named, weighted terms; their sum is what training minimises. The targets are those of the model's kind."""

    def phases(self) -> tuple[Phase, ...]:
        """The stretches of training, in order."""
        return (WHOLE,)

    def enter(self, phase: Phase) -> None:
        """Let learn what learns in this phase and nothing else, the statistics of frozen normalisations included."""
        self.phase = phase
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(phase.learns))
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As torch has it; but what is frozen stays in inference mode."""
        super().train(mode)
        for module in self.modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.training = False
        return self

    def parameter_count(self) -> int:
        """How many numbers it has learnt."""
        return sum(parameter.numel() for parameter in self.parameters())


class DetectionModel(Learnable):
    """A network that finds objects in RGB pictures."""

    classes: int

    @abstractmethod
    def forward(self, pixels: Tensor) -> Cut:
        """float [B, 3, H, W] in 0..1 → candidates, N the same for every picture of this size."""

    @abstractmethod
    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Named, weighted terms; their sum is what training minimises."""


class RegionModel(Learnable):
    """A network that looks at regions which something outside of it proposes: R-CNN, Fast R-CNN.

    Its pictures are what every detector's are; its targets hold `regions`.
    """

    classes: int
    proposals: str  # METHOD?option=value&…, as `open_proposer` reads it: on what it was trained, it shall run
    regions: int  # R: at most so many of a picture's, the likeliest first

    @abstractmethod
    def forward(self, pixels: Tensor, regions: Tensor) -> Cut:
        """float [B, 3, H, W] in 0..1, regions f32 [B, R, 4] → candidates; a region without area scores 0."""

    @abstractmethod
    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Named, weighted terms; their sum is what training minimises."""


AnyDetector = DetectionModel | RegionModel
