"""R-CNN (Girshick et al. 2014): every region is cut out, stretched to a square, and shown to a network by itself.

What was new was the network in place of hand-made features; all around it is what detectors had before. It learns in
three steps that do not know of each other: the network, to tell classes of crops apart; then, on what its layers say,
one linear SVM per class that has seen its own worst mistakes, and a ridge regression from a crop to where the object
in it lies exactly. `losses` are those of the first step; the others have closed forms and are fitted afterwards, with
`fit`. Until then the network's own softmax speaks, and boxes stay where they were proposed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.box_coder import decode
from streamdet.models.box_head import LearningRegions, dense_layer, draw, joined
from streamdet.models.contract import Cut, Phase, RegionModel, Targets
from streamdet.models.geometry import area, clip, cxcywh_to_xyxy, xyxy_to_cxcywh
from streamdet.models.proposals import Proposals
from streamdet.models.roi_align import roi_align

_AT_ONCE = 250  # crops: what lies between the layers would otherwise take gigabytes
TUNING = Phase("fine-tuning", 1.0, ("backbone.", "dense.", "class_layer."))


class FittingOptions(BaseModel):
    """How SVMs and boxes are fitted when the network has learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(2, ge=0, description="How often the SVMs are shown their worst mistakes.")
    cost: float = Field(1e-3, gt=0, description="What an error of an SVM weighs against a broad street.")
    near: float = Field(0.6, gt=0, le=1, description="Boxes are learnt from regions that overlap an object as much.")
    damping: float = Field(1000.0, ge=0, description="Lambda of the ridge regression of boxes.")
    features_mb: int = Field(
        4096, ge=0, description="Features kept on disk meanwhile; what has no room is worked out again and again."
    )


class RcnnOptions(LearningRegions):
    """How an R-CNN is built; the defaults suit pictures of some 320 pixels and a CPU."""

    backbone: BackboneName = Field("resnet18", description="The network that sees crops.")
    crop_px: int = Field(64, ge=32, multiple_of=32, description="Side of a crop; 227 in the paper.")
    context: float = Field(
        16 / 227, ge=0, lt=0.5, description="What is around a region takes this share of its crop on each side."
    )
    width: int = Field(256, ge=8, description="Width of the two dense layers, and of what SVMs see; 4096 in the paper.")
    proposals: str = Field(
        "selective-search?smallest_px=25", description="Where regions come from: METHOD?option=value&…"
    )
    regions: int = Field(2000, ge=1, le=4000, description="At most so many of a picture, the likeliest first.")
    samples: int = Field(32, ge=1, description="Crops of a picture that learn in one step: four pictures make 128.")
    fitting: FittingOptions = Field(FittingOptions(), description="What follows on the network's training.")


class Seen(NamedTuple):
    """What the network makes of crops."""

    pooled: Tensor  # f32 [N, P]: of the last convolution, where places still show; what boxes are regressed from
    dense: Tensor  # f32 [N, D]: of the dense layers; what is classified


class Rcnn(RegionModel):
    """Crops → backbone → dense layers → SVMs, and boxes by ridge regression."""

    stride = 32
    phase = TUNING

    def __init__(self, classes: int, options: RcnnOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or RcnnOptions()
        self.classes = classes
        self.proposals = options.proposals
        self.regions = options.regions
        self.backbone = backbone(options.backbone)
        self.level = max(self.backbone.channels)
        pooled = self.backbone.channels[self.level] * (options.crop_px // 2**self.level) ** 2
        self.dense = nn.Sequential(*dense_layer(pooled, options.width), *dense_layer(options.width, options.width))
        self.class_layer = nn.Linear(options.width, classes + 1)
        self.svm = nn.Linear(options.width, classes)
        self.ridge = nn.Linear(pooled, classes * 4)
        self.fitted: Tensor
        self.register_buffer("fitted", torch.zeros(()))
        nn.init.normal_(self.class_layer.weight, std=0.01)
        for parameter in (self.class_layer.bias, *self.svm.parameters(), *self.ridge.parameters()):
            nn.init.zeros_(parameter)

    @classmethod
    def tiny(cls, classes: int) -> Rcnn:
        """Small enough to learn something within seconds."""
        return cls(classes, RcnnOptions(backbone="tiny", crop_px=32, width=32, regions=64, samples=16))

    def phases(self) -> tuple[Phase, ...]:
        return (TUNING,)

    def forward(self, pixels: Tensor, regions: Tensor) -> Cut:
        starts = range(0, regions.shape[1], _AT_ONCE)
        return joined([self._look(pixels, regions[:, start : start + _AT_ONCE]) for start in starts])

    def _look(self, pixels: Tensor, regions: Tensor) -> Cut:
        seen = self.see(self.crops(pixels, regions).flatten(0, 1))
        count = regions.shape[1]
        by_network = self.class_layer(seen.dense).float().softmax(dim=-1)[..., :-1]
        by_planes = self.svm(seen.dense).float().sigmoid()
        scores = torch.lerp(by_network, by_planes, self.fitted).reshape(-1, count, self.classes)  # [B, R, C]
        scores = scores * (area(regions) > 0)[..., None]
        offsets = self.ridge(seen.pooled).float().reshape(-1, count, self.classes, 4)
        best = scores.argmax(dim=-1)[..., None, None].expand(-1, -1, 1, 4)
        height, width = pixels.shape[-2:]
        return Cut(clip(decode(offsets.gather(2, best)[:, :, 0], regions), width, height), scores)

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        assert targets.regions is not None, "a region model is trained on pictures with regions"
        drawn = draw(Proposals(targets.regions, area(targets.regions) > 0), targets, self.options)
        seen = self.see(self.crops(pixels, drawn.xyxy).flatten(0, 1))
        logits = self.class_layer(seen.dense).float().unflatten(0, drawn.held.shape)
        wanted = drawn.wanted(targets, self.classes)
        count = losses.mean_over_ranks(drawn.held.sum().float()).clamp(min=1.0)
        wrong = functional.cross_entropy(logits[drawn.held], wanted[drawn.held], reduction="sum")
        return {"class": wrong / count}

    @torch.no_grad()
    def crops(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """Regions [B, R, 4] of pictures, each with its surroundings → [B, R, 3, S, S]; the picture's rim is repeated.

        As in the paper a region's shape is given up: what is long becomes as wide as high.
        """
        centre_and_size = xyxy_to_cxcywh(regions.float())
        wide = centre_and_size[..., 2:] / (1 - 2 * self.options.context)
        around = cxcywh_to_xyxy(torch.cat([centre_and_size[..., :2], wide], dim=-1))
        level = torch.zeros(regions.shape[:2], dtype=torch.int64, device=regions.device)
        return roi_align({0: pixels}, around, level, self.options.crop_px)

    def see(self, crops: Tensor) -> Seen:
        """Crops [N, 3, S, S] → what the layers say of them."""
        pooled = self.backbone(crops)[self.level].flatten(1)
        return Seen(pooled, self.dense(pooled))

    @torch.no_grad()
    def fit(self, planes: tuple[Tensor, Tensor], boxes: tuple[Tensor, Tensor]) -> None:
        """Take over what was fitted, weights and bias each: the SVMs [C, D], [C] and the boxes [C · 4, P], [C · 4]."""
        for layer, (weight, bias) in ((self.svm, planes), (self.ridge, boxes)):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        self.fitted.fill_(1.0)
