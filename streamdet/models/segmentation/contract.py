"""What every network that labels pixels is to training, evaluation and export."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from streamdet.masks import UNKNOWN
from streamdet.models import losses
from streamdet.models.contract import Learnable


@dataclass(frozen=True)
class LabelTargets:
    """What every pixel of a batch is."""

    labels: Tensor  # u8 [B, H, W]: 0 nothing, i class i − 1, UNKNOWN: not known


class SegmentationModel(Learnable):
    """A network that says of every pixel of an RGB picture what it is."""

    classes: int
    overlap_weight: float = 0.5  # of the loss of overlap beside that of single pixels

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """float [B, 3, H, W] in 0..1 → logits f32 [B, 1 + classes, H, W]; the first is nothing."""

    def losses(self, pixels: Tensor, targets: LabelTargets) -> dict[str, Tensor]:
        """Pixel by pixel, and by how much of each class is covered."""
        logits, labels = self(pixels).float(), targets.labels.long()
        return {"pixel": pixel_loss(logits, labels), "overlap": self.overlap_weight * overlap_loss(logits, labels)}


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, [B, C, H, W] and i64 [B, H, W] → the mean over all pixels that are known."""
    total = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
    return total / losses.mean_over_ranks((labels != UNKNOWN).sum().float()).clamp(min=1.0)


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 − the soft overlap of what is said with what is there, the mean over pictures and the classes in them.

    However small a part of the pixels a class has, it counts as much as any other; nothing is no class.
    """
    known = (labels != UNKNOWN)[:, None]
    said = logits.softmax(dim=1)[:, 1:] * known  # [B, classes, H, W]
    classes = torch.arange(1, logits.shape[1], device=labels.device)[:, None, None]
    there = ((labels[:, None] == classes) & known).float()
    both, sizes = (said * there).sum(dim=(2, 3)), (said + there).sum(dim=(2, 3))
    present = there.flatten(2).any(dim=2)  # [B, classes]
    lost = (1 - (2 * both + 1) / (sizes + 1)) * present
    return lost.sum() / losses.mean_over_ranks(present.sum().float()).clamp(min=1.0)
