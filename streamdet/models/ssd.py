"""SSD (Liu et al. 2016): default boxes of many sizes on maps of many resolutions, and one convolution that judges them.

    pixels [B, 3, H, W] → backbone → its levels, and coarser ones by strided convolutions
                        → at every cell of every level, per default box: C + 1 classes (0: nothing) and four offsets

No pyramid brings what the deep levels know back to the fine ones: each map answers for objects of its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.anchors import boxes_around, shapes
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.backbones import Pyramid
from streamdet.models.blocks import ConvNormAct
from streamdet.models.box_coder import PROPOSAL_SCALE, decode, encode
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.dense_head import answers, last_layer
from streamdet.models.geometry import clip, grid_points
from streamdet.models.matcher import BACKGROUND, match, rows_of


class SsdOptions(BaseModel):
    """How an SSD is built; the sizes of its default boxes are shares of the picture's shorter side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName = Field("resnet18", description="The network that sees.")
    first_level: int = Field(3, ge=2, le=5, description="Finest map that answers; level n has stride 2^n.")
    last_level: int = Field(7, ge=5, le=9, description="Coarsest map that answers; those beyond 5 are added.")
    channels: int = Field(256, ge=8, description="Channels of the maps that are added.")
    finest_size: float = Field(0.07, gt=0, lt=1, description="Size of the finest map's default boxes.")
    second_size: float = Field(0.15, gt=0, lt=1, description="Size on the next map; from there on it grows evenly.")
    coarsest_size: float = Field(0.9, gt=0, le=1.5, description="Size on the coarsest map.")
    ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), description="Height to width of the default boxes.")
    middle_ratios: tuple[float, ...] = Field(
        (1 / 3, 3.0), description="And of those that all maps but the finest and the two coarsest have too."
    )
    object_from: float = Field(0.5, gt=0, le=1, description="A default box that overlaps as much learns the object.")
    negatives_ratio: float = Field(3.0, gt=0, description="Background that teaches, per box that learns an object.")
    negatives_at_least: int = Field(
        16,
        ge=0,
        description="And in every picture, also where no object is; 0, as in the paper: nothing is learnt there.",
    )
    box_weight: float = Field(1.0, gt=0, description="Weight of the boxes' loss against that of the classes.")


class Ssd(DetectionModel):
    """Backbone → maps of falling resolution → one convolution each → one answer per default box."""

    stride = 32

    def __init__(self, classes: int, options: SsdOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or SsdOptions()
        self.classes = classes
        self.backbone = backbone(options.backbone)
        self.levels = tuple(range(options.first_level, options.last_level + 1))
        top = max(self.backbone.channels)
        widths = {level: self.backbone.channels.get(level, options.channels) for level in self.levels}
        # ModuleDict wants strings for keys.
        self.extra = nn.ModuleDict(
            {
                str(level): nn.Sequential(
                    ConvNormAct(widths[level - 1], options.channels // 2, 1),
                    ConvNormAct(options.channels // 2, options.channels, 3, stride=2),
                )
                for level in self.levels
                if level > top
            }
        )
        counts = {level: len(self._shapes(level, 1.0)) for level in self.levels}
        self.class_layers = nn.ModuleDict(
            {str(level): last_layer(widths[level], counts[level] * (classes + 1)) for level in self.levels}
        )
        self.box_layers = nn.ModuleDict(
            {str(level): last_layer(widths[level], counts[level] * 4) for level in self.levels}
        )

    @classmethod
    def tiny(cls, classes: int) -> Ssd:
        """Small enough to learn something within seconds."""
        return cls(classes, SsdOptions(backbone="tiny", channels=24, last_level=5, finest_size=0.2, second_size=0.4))

    def forward(self, pixels: Tensor) -> Cut:
        logits, offsets, boxes = self._answers(pixels)
        height, width = pixels.shape[-2:]
        xyxy = clip(decode(offsets, boxes, PROPOSAL_SCALE), width, height)
        return Cut(xyxy, logits.softmax(dim=-1)[..., 1:])

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        logits, offsets, boxes = self._answers(pixels)
        options = self.options
        reference = boxes.expand_as(offsets)
        found = match(reference, targets, options.object_from, options.object_from, one_each=True)  # [B, N]
        positive = found >= 0
        count = losses.mean_over_ranks(positive.sum().float()).clamp(min=1.0)

        wanted = (rows_of(targets.class_id, found) + 1) * positive  # [B, N]; 0: nothing
        loss = functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")  # [B, N]
        negative = hard_negatives(
            loss, positive, found == BACKGROUND, options.negatives_ratio, options.negatives_at_least
        )
        class_loss = (loss * (positive | negative)).sum() / count

        wanted_offsets = encode(rows_of(targets.xyxy, found)[positive], reference[positive], PROPOSAL_SCALE)
        box_loss = losses.smooth_l1(offsets[positive], wanted_offsets).sum() / count
        return {"class": class_loss, "box": box_loss * options.box_weight}

    def default_boxes(self, maps: Sequence[tuple[int, int]], picture: tuple[int, int]) -> list[Tensor]:
        """Those of every level, each f32 [h · w · A, 4] xyxy in pixels; sizes of maps and picture as height, width.

        They divide the picture evenly, however many cells a level has, and are not clipped.
        """
        height, width = picture
        boxes = []
        for level, (rows, columns) in zip(self.levels, maps, strict=True):
            points = grid_points((rows, columns), 1) * torch.tensor([width / columns, height / rows])
            boxes.append(boxes_around(points, self._shapes(level, float(min(picture)))))
        return boxes

    def _shapes(self, level: int, side_px: float) -> Tensor:
        """Of the default boxes of a level: its own size in all ratios, and a square halfway to the next; [A, 2]."""
        options = self.options
        steps = max(len(self.levels) - 2, 1)
        growth = (options.coarsest_size - options.second_size) / steps
        sizes = [options.finest_size, *(options.second_size + growth * step for step in range(steps + 1))]
        place = level - self.levels[0]
        own, following = list(pairwise([*sizes, sizes[-1] + growth]))[place]
        middle = level in self.levels[1:-2]
        ratios = (*options.ratios, *options.middle_ratios) if middle else options.ratios
        between = shapes([(own * following) ** 0.5 * side_px], [1.0])
        return torch.cat([shapes([own * side_px], ratios), between])

    def _answers(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels → class logits [B, N, C + 1], offsets [B, N, 4] and the default boxes [N, 4] that they are from."""
        pyramid: Pyramid = self.backbone(pixels)
        for name, layers in self.extra.items():
            pyramid[int(name)] = layers(pyramid[int(name) - 1])
        logits, offsets = [], []
        for level in self.levels:
            one = {level: pyramid[level]}
            logits += answers(self.class_layers[str(level)], one, self.classes + 1)
            offsets += answers(self.box_layers[str(level)], one, 4)
        maps = [(pyramid[level].shape[-2], pyramid[level].shape[-1]) for level in self.levels]
        boxes = torch.cat(self.default_boxes(maps, (pixels.shape[-2], pixels.shape[-1]))).to(pixels.device)
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1), boxes


def hard_negatives(loss: Tensor, positive: Tensor, background: Tensor, ratio: float, at_least: int) -> Tensor:
    """Bool [B, N]: of each picture's background the boxes that are most wrongly taken for something.

    `ratio` of them per positive of the picture, `at_least` so many; all [B, N]. A sum over all background would drown
    the objects, and most of it is known by heart after a few steps.
    """
    wanted = (positive.sum(dim=1, keepdim=True) * ratio).clamp(min=float(at_least))  # [B, 1]
    order = loss.detach().masked_fill(~background, -1.0).argsort(dim=1, descending=True)
    rank = torch.empty_like(order)
    rank.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return background & (rank < wanted)
