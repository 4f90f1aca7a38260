"""What every detector that can be trained is to the trainer, the evaluation and the export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn


@dataclass(frozen=True)
class Targets:
    """The objects of a batch, padded to the picture that has most; a row of class −1 is padding."""

    xyxy: Tensor  # f32 [B, M, 4], pixels of the input
    class_id: Tensor  # i64 [B, M]; −1: no object
    ignored: Tensor  # bool [B, M]: neither an object nor background
    keypoints: Tensor | None = None  # f32 [B, M, P, 3]: x, y, visible
    masks: Tensor | None = None  # u8 [B, M, H, W]


class Cut(NamedTuple):
    """What a detector says of a batch before suppression: the same cut as in every engine on the shelf."""

    xyxy: Tensor  # f32 [B, N, 4], pixels of the input, inside of it
    scores: Tensor  # f32 [B, N, C], 0..1
    keypoints: Tensor | None = None  # f32 [B, N, P, 3]
    masks: Tensor | None = None  # f32 [B, N, h, w], relative to the box


class DetectionModel(nn.Module, ABC):
    """A network that finds objects, and what it needs to learn to.

    Pictures come as float RGB in 0..1, [B, 3, H, W], H and W multiples of `stride`; nothing else is normalised. The
    trainer calls `losses` in training mode and adds them up, so each comes weighted, finite for every input, and a mean
    over objects or pictures and not a sum (it does not grow with the batch). `forward` is inference alone, free of
    data-dependent shapes: it is what the export traces.
    """

    stride: int
    classes: int

    @abstractmethod
    def forward(self, pixels: Tensor) -> Cut:
        """float [B, 3, H, W] in 0..1 → candidates, N the same for every picture of this size."""

    @abstractmethod
    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Named, weighted terms; their sum is what training minimises."""

    def parameter_count(self) -> int:
        """How many numbers it has learnt."""
        return sum(parameter.numel() for parameter in self.parameters())
