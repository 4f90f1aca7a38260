"""OverFeat (Sermanet et al. 2013): a classifier of windows, run over a whole picture at once.

    window [3, 95, 95] → convolutions and pooling, none of them padded → 5 x 5 cells → connected layers → class, box

A connected layer over 5 x 5 cells is a convolution with a kernel of 5 x 5. So the same network, given a larger picture,
answers for every window in steps of 8 pixels, and what neighbouring windows share is computed once. Nothing is padded
inside: the answer is the same, number by number, as that of the window cut out and seen alone. Objects of other sizes
are met at other scales of the picture.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.box_coder import PROPOSAL_SCALE, decode, encode
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.geometry import clip
from streamdet.models.matcher import BACKGROUND, match, rows_of
from streamdet.models.resnet import norm
from streamdet.models.ssd import hard_negatives

WINDOW_PX = 95
STEP_PX = 8
_CELLS = 5  # of the last map that a window is seen through
_GREY = 0.447  # around the picture, so that windows reach over its rim
_BEFORE = (WINDOW_PX - STEP_PX) // 2  # so much of it that the first window's middle is that of the first step
_AFTER = WINDOW_PX - STEP_PX - _BEFORE


class OverFeatOptions(BaseModel):
    """How an OverFeat is built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(16, ge=4, description="Channels of the first convolution; later ones have twice and four times.")
    hidden: int = Field(128, ge=8, description="Numbers between a window's cells and its answers.")
    scales: tuple[float, ...] = Field((0.5, 0.71, 1.0, 1.41), min_length=1, description="The picture is seen at each.")
    fill: float = Field(0.7, gt=0, le=1, description="Share of a window's side that an object of its size takes up.")
    object_from: float = Field(0.4, gt=0, le=1, description="A window whose middle overlaps as much learns the object.")
    background_below: float = Field(0.3, ge=0, le=1, description="One that overlaps less learns that nothing is there.")
    negatives_ratio: float = Field(3.0, gt=0, description="Background that teaches, per window that learns an object.")
    negatives_at_least: int = Field(16, ge=0, description="And in every picture, also where no object is.")
    box_weight: float = Field(1.0, gt=0, description="Weight of the boxes against that of the classes.")


class OverFeat(DetectionModel):
    """Every scale → every window → its class and its box."""

    stride = 32

    def __init__(self, classes: int, options: OverFeatOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or OverFeatOptions()
        self.classes = classes
        first, second, third = options.width, 2 * options.width, 4 * options.width
        self.features = nn.Sequential(
            *_unpadded(3, first, 5, stride=2),
            *_unpadded(first, first, 3),
            nn.MaxPool2d(2),
            *_unpadded(first, second, 3),
            *_unpadded(second, second, 3),
            nn.MaxPool2d(2),
            *_unpadded(second, third, 3),
            *_unpadded(third, third, 3),
        )
        self.what = nn.Sequential(*_unpadded(third, options.hidden, _CELLS), nn.Conv2d(options.hidden, classes + 1, 1))
        self.where = nn.Sequential(*_unpadded(third, options.hidden, _CELLS), nn.Conv2d(options.hidden, 4, 1))

    @classmethod
    def tiny(cls, classes: int) -> OverFeat:
        """Small enough to learn something within seconds."""
        return cls(classes, OverFeatOptions(width=8, hidden=32, scales=(1.8,)))

    def forward(self, pixels: Tensor) -> Cut:
        logits, offsets, windows = self._answers(pixels)
        xyxy = clip(decode(offsets, windows, PROPOSAL_SCALE), pixels.shape[-1], pixels.shape[-2])
        return Cut(xyxy, logits.softmax(dim=-1)[..., 1:])

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        options = self.options
        logits, offsets, windows = self._answers(pixels)
        reference = windows.expand_as(offsets)
        found = match(reference, targets, options.background_below, options.object_from, best_always=True)
        positive = found >= 0
        count = losses.mean_over_ranks(positive.sum().float()).clamp(min=1.0)
        wanted = (rows_of(targets.class_id, found) + 1) * positive  # [B, N]; 0: nothing
        error = functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        negative = hard_negatives(
            error, positive, found == BACKGROUND, options.negatives_ratio, options.negatives_at_least
        )
        boxes = encode(rows_of(targets.xyxy, found)[positive], reference[positive], PROPOSAL_SCALE)
        return {
            "class": (error * (positive | negative)).sum() / count,
            "box": options.box_weight * losses.smooth_l1(offsets[positive], boxes).sum() / count,
        }

    def seen(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Every window of a picture of any size: class logits [B, 1 + C, h, w] and offsets [B, 4, h, w]."""
        features = self.features(pixels)
        return self.what(features).float(), self.where(features).float()

    def windows(self, size: tuple[int, int]) -> Tensor:
        """The middles of all windows of a picture, where their objects are expected: xyxy [N, 4] in its pixels.

        `size` is height and width. A scale has a window for each step that begins in it, the first one around the
        first step; so windows reach over the rim.
        """
        found = []
        for level in self._levels(size):
            y, x = (torch.arange(-(-side // STEP_PX), dtype=torch.float32) * STEP_PX for side in level)
            corner = torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], dim=-1)
            centre, half = corner - _BEFORE + WINDOW_PX / 2, self.options.fill * WINDOW_PX / 2
            way = torch.tensor([size[1] / level[1], size[0] / level[0]] * 2)
            found.append(torch.cat([centre - half, centre + half], dim=-1) * way)
        return torch.cat(found)

    def _levels(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of the picture at each scale."""
        least = STEP_PX
        return [(max(round(size[0] * each), least), max(round(size[1] * each), least)) for each in self.options.scales]

    def _answers(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All scales: logits [B, N, 1 + C], offsets [B, N, 4], the middles of the windows xyxy [N, 4] in pixels."""
        logits, offsets = [], []
        size = pixels.shape[-2], pixels.shape[-1]
        for level in self._levels(size):
            seen = pixels if level == size else functional.interpolate(pixels, level, mode="bilinear")
            below, right = (_AFTER + -side % STEP_PX for side in level)  # the last step is a whole one
            what, where = self.seen(functional.pad(seen, (_BEFORE, right, _BEFORE, below), value=_GREY))
            logits.append(what.flatten(2).transpose(1, 2))
            offsets.append(where.flatten(2).transpose(1, 2))
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1), self.windows(size).to(pixels.device)


def _unpadded(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that looks at nothing beyond the edge, normalised, rectified."""
    return [nn.Conv2d(before, after, kernel, stride, bias=False), norm(after), nn.ReLU(inplace=True)]
