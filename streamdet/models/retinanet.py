"""RetinaNet (Lin et al. 2017): a pyramid, anchors at every cell, and a loss that is not drowned by background."""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.backbones import Pyramid
from streamdet.models.box_coder import decode, encode
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.dense_head import SharedTower, answers, last_layer, pyramid_anchors
from streamdet.models.geometry import clip
from streamdet.models.matcher import NEUTRAL, match, rows_of
from streamdet.models.pyramid import FeaturePyramid

_PRIOR = 0.01  # what every anchor says of every class before it has learnt: focal loss wants a quiet start


class RetinaNetOptions(BaseModel):
    """How a RetinaNet is built; the defaults suit pictures of some 320 to 640 pixels and a CPU."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName = Field("resnet18", description="The network that sees.")
    first_level: int = Field(3, ge=2, le=5, description="Finest level looked at; level n has stride 2^n.")
    last_level: int = Field(6, ge=5, le=7, description="Coarsest level looked at.")
    channels: int = Field(96, ge=8, description="Channels of pyramid and head; 256 in the paper.")
    head_convs: int = Field(2, ge=1, le=8, description="Convolutions in each branch of the head; 4 in the paper.")
    anchor_scale: float = Field(2.0, gt=0, description="Size of a level's smallest anchor, in strides; 4 in the paper.")
    anchor_steps: int = Field(3, ge=1, description="Anchor sizes per level; the next level's begin at twice the size.")
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), description="Height to width of the anchors.")
    background_below: float = Field(0.4, ge=0, le=1, description="An anchor that overlaps less is background.")
    object_from: float = Field(0.5, gt=0, le=1, description="An anchor that overlaps as much learns the object.")
    focal_gamma: float = Field(2.0, ge=0, description="How fast the loss forgets what is already right.")
    focal_alpha: float = Field(0.25, le=1, description="Weight of objects against background; negative: none.")
    box_weight: float = Field(1.0, gt=0, description="Weight of the boxes' loss against that of the classes.")
    box_beta: float = Field(0.1, ge=0, description="Errors below are squared, above absolute; 0: all absolute.")


class RetinaNet(DetectionModel):
    """Backbone → pyramid → two branches over every level → one answer per anchor."""

    stride = 32

    def __init__(self, classes: int, options: RetinaNetOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or RetinaNetOptions()
        self.classes = classes
        anchors = options.anchor_steps * len(options.anchor_ratios)
        self.backbone = backbone(options.backbone)
        self.neck = FeaturePyramid(
            self.backbone.channels, options.first_level, options.last_level, channels=options.channels
        )
        self.class_tower = SharedTower(options.channels, options.head_convs, self.neck.levels)
        self.box_tower = SharedTower(options.channels, options.head_convs, self.neck.levels)
        self.class_layer = last_layer(options.channels, anchors * classes, math.log(_PRIOR / (1 - _PRIOR)))
        self.box_layer = last_layer(options.channels, anchors * 4)

    @classmethod
    def tiny(cls, classes: int) -> RetinaNet:
        """Small enough to learn something within seconds."""
        return cls(classes, RetinaNetOptions(backbone="tiny", channels=24, head_convs=1, last_level=5))

    def forward(self, pixels: Tensor) -> Cut:
        logits, offsets, anchors = self._answers(pixels)
        height, width = pixels.shape[-2:]
        xyxy = clip(decode(offsets, anchors), width, height)
        return Cut(xyxy, logits.sigmoid())

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        logits, offsets, anchors = self._answers(pixels)
        options = self.options
        found = match(
            anchors.expand_as(offsets), targets, options.background_below, options.object_from, best_always=True
        )
        positive = found >= 0  # [B, N]
        count = losses.mean_over_ranks(positive.sum().float()).clamp(min=1.0)
        class_id = rows_of(targets.class_id, found)  # [B, N]
        wanted = functional.one_hot(class_id.clamp(min=0), self.classes) * positive[..., None]  # [B, N, C]
        loss = losses.focal_loss(logits, wanted, options.focal_gamma, options.focal_alpha)
        class_loss = (loss * (found != NEUTRAL)[..., None]).sum() / count
        wanted_offsets = encode(rows_of(targets.xyxy, found)[positive], anchors.expand_as(offsets)[positive])
        box_loss = losses.smooth_l1(offsets[positive], wanted_offsets, options.box_beta).sum() / count
        return {"class": class_loss, "box": box_loss * options.box_weight}

    def _answers(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels → class logits [B, N, C], offsets [B, N, 4] and the anchors [N, 4] that they are from."""
        pyramid: Pyramid = self.neck(self.backbone(pixels))
        options = self.options
        logits = answers(self.class_layer, self.class_tower(pyramid), self.classes)
        offsets = answers(self.box_layer, self.box_tower(pyramid), 4)
        anchors = pyramid_anchors(pyramid, options.anchor_scale, options.anchor_steps, options.anchor_ratios)
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1), torch.cat(anchors)
