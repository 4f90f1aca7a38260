"""The second stage of R-CNN (Girshick 2015): what a region holds, and where in it exactly."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.backbones import Pyramid
from streamdet.models.box_coder import PROPOSAL_SCALE, decode, encode
from streamdet.models.contract import Cut, Targets
from streamdet.models.geometry import clip
from streamdet.models.matcher import NEUTRAL, match, rows_of
from streamdet.models.proposals import Proposals
from streamdet.models.resnet import norm
from streamdet.models.roi_align import level_of, roi_align
from streamdet.models.sampler import gather_chosen, sample


class BoxHeadOptions(BaseModel):
    """How regions are read and learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: int = Field(7, ge=1, description="A region is read as so many cells across and down.")
    canonical_px: float = Field(
        112.0,
        gt=0,
        description="A region of this size is read from level 4, half of it from level 3; 224 in the paper.",
    )
    convs: int = Field(1, ge=0, description="Convolutions over the cells of a region; none in the paper.")
    width: int = Field(256, ge=8, description="Width of the two dense layers; 1024 in the paper.")
    object_from: float = Field(0.5, gt=0, le=1, description="A region that overlaps as much learns the object.")
    samples: int = Field(64, ge=1, description="Regions of a picture that learn in one step; 512 in the paper.")
    positive_share: float = Field(0.25, gt=0, le=1, description="At most this part of them lies on objects.")


class Answers(NamedTuple):
    """What the head says of every region."""

    logits: Tensor  # f32 [B, R, C + 1]; the last class is background
    offsets: Tensor  # f32 [B, R, C, 4], one box per class


class BoxHead(nn.Module):
    """Cells of a region → convolutions → two dense layers → a class, and a box for each class."""

    def __init__(self, channels: int, classes: int, options: BoxHeadOptions) -> None:
        super().__init__()
        self.options = options
        self.classes = classes
        convs = [
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels), nn.ReLU(inplace=True)
            )
            for _ in range(options.convs)
        ]
        cells = channels * options.pool**2
        self.body = nn.Sequential(
            *convs, nn.Flatten(), *_dense(cells, options.width), *_dense(options.width, options.width)
        )
        self.class_layer = nn.Linear(options.width, classes + 1)
        self.box_layer = nn.Linear(options.width, classes * 4)
        nn.init.normal_(self.class_layer.weight, std=0.01)
        nn.init.normal_(self.box_layer.weight, std=0.001)
        nn.init.zeros_(self.class_layer.bias)
        nn.init.zeros_(self.box_layer.bias)

    def forward(self, pyramid: Pyramid, xyxy: Tensor) -> Answers:
        """Regions [B, R, 4] → their answers."""
        regions = xyxy.shape[1]
        level = level_of(xyxy, min(pyramid), max(pyramid), self.options.canonical_px)
        cells = roi_align(pyramid, xyxy, level, self.options.pool)  # [B, R, C, 7, 7]
        seen = self.body(cells.flatten(0, 1))  # [B · R, width]
        logits = self.class_layer(seen).float().unflatten(0, (-1, regions))
        offsets = self.box_layer(seen).float().unflatten(0, (-1, regions)).unflatten(2, (self.classes, 4))
        return Answers(logits, offsets)

    def detect(self, pyramid: Pyramid, proposals: Proposals, width: int, height: int) -> Cut:
        """Every region's box is that of its best class; scores are without background, 0 where no region is held."""
        said = self(pyramid, proposals.xyxy)
        scores = said.logits.softmax(dim=-1)[..., :-1] * proposals.held[..., None]  # [B, R, C]
        best = scores.argmax(dim=-1)[..., None, None].expand(-1, -1, 1, 4)
        offsets = said.offsets.gather(2, best)[:, :, 0]  # [B, R, 4]
        return Cut(clip(decode(offsets, proposals.xyxy, PROPOSAL_SCALE), width, height), scores)

    def losses(self, pyramid: Pyramid, proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """What and where, over a sample of each picture's regions; the objects themselves are among them."""
        options = self.options
        xyxy, found = self._candidates(proposals, targets)
        positive, background = sample(found, options.samples, options.positive_share)
        rows, held = gather_chosen(positive | background, options.samples)  # [B, S]
        xyxy = xyxy.gather(1, rows[..., None].expand(-1, -1, 4))
        found = found.gather(1, rows)
        said = self(pyramid, xyxy)
        learns = held & (found >= 0)
        wanted = torch.where(learns, rows_of(targets.class_id, found), self.classes)
        count = losses.mean_over_ranks(held.sum().float()).clamp(min=1.0)
        class_loss = functional.cross_entropy(said.logits[held], wanted[held], reduction="sum")
        offsets = said.offsets[learns, wanted[learns]]  # [P, 4]
        wanted_offsets = encode(rows_of(targets.xyxy, found)[learns], xyxy[learns], PROPOSAL_SCALE)
        box_loss = losses.smooth_l1(offsets, wanted_offsets, beta=1.0)
        return {"class": class_loss / count, "box": box_loss.sum() / count}

    def _candidates(self, proposals: Proposals, targets: Targets) -> tuple[Tensor, Tensor]:
        """Proposals and objects, [B, R + M, 4], and whom each learns, [B, R + M]."""
        objects = targets.xyxy.to(proposals.xyxy.dtype)
        xyxy = torch.cat([proposals.xyxy, objects], dim=1)
        held = torch.cat([proposals.held, (targets.class_id >= 0) & ~targets.ignored], dim=1)
        limit = self.options.object_from
        return xyxy, match(xyxy, targets, limit, limit).masked_fill(~held, NEUTRAL)


def _dense(before: int, after: int) -> list[nn.Module]:
    # Normalised, as all that is trained from nothing here: without, a dense layer needs a start from elsewhere.
    return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after, eps=1e-3, momentum=0.03), nn.ReLU(inplace=True)]
