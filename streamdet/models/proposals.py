"""The proposal network (Ren et al. 2015): where in the picture something may be, whatever it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from streamdet.models import losses
from streamdet.models.backbones import Pyramid
from streamdet.models.box_coder import decode, encode
from streamdet.models.contract import Targets
from streamdet.models.dense_head import SharedTower, answers, last_layer, pyramid_anchors
from streamdet.models.geometry import clip
from streamdet.models.matcher import match, rows_of
from streamdet.models.pyramid import FeaturePyramid
from streamdet.models.sampler import sample
from streamdet.models.static_nms import suppress


class ProposalOptions(BaseModel):
    """How proposals are found and learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(96, ge=1, le=1000, description="R: how many regions every picture gets, always.")
    per_level: int = Field(192, ge=1, le=2000, description="The best so many anchors of each level are looked at.")
    iou: float = Field(0.7, gt=0, lt=1, description="A proposal that overlaps a better one of its level more, goes.")
    anchor_scale: float = Field(2.5, gt=0, description="Size of a level's smallest anchor, in strides; 8 in the paper.")
    anchor_steps: int = Field(2, ge=1, description="Anchor sizes per level; 1 in the paper.")
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), description="Height to width of the anchors.")
    background_below: float = Field(0.3, ge=0, le=1, description="An anchor that overlaps less is background.")
    object_from: float = Field(0.7, gt=0, le=1, description="An anchor that overlaps as much learns the object.")
    samples: int = Field(256, ge=1, description="Anchors of a picture that learn in one step.")
    positive_share: float = Field(0.5, gt=0, le=1, description="At most this part of them lies on objects.")


class Answers(NamedTuple):
    """What the network says of every anchor, level by level."""

    logits: list[Tensor]  # f32 [B, n, 1] each
    offsets: list[Tensor]  # f32 [B, n, 4] each
    anchors: list[Tensor]  # f32 [n, 4] each


class Proposals(NamedTuple):
    """R regions per picture, best first."""

    xyxy: Tensor  # f32 [B, R, 4], inside of the picture; zeros where none is held
    held: Tensor  # bool [B, R]: whether there is one at this place


class ProposalNetwork(nn.Module):
    """One convolution over the pyramid, then for every anchor whether there is something, and where."""

    def __init__(self, neck: FeaturePyramid, channels: int, options: ProposalOptions) -> None:
        super().__init__()
        self.options = options
        anchors = options.anchor_steps * len(options.anchor_ratios)
        self.tower = SharedTower(channels, 1, neck.levels)
        self.object_layer = last_layer(channels, anchors)
        self.box_layer = last_layer(channels, anchors * 4)

    def forward(self, pyramid: Pyramid) -> Answers:
        seen, options = self.tower(pyramid), self.options
        return Answers(
            answers(self.object_layer, seen, 1),
            answers(self.box_layer, seen, 4),
            pyramid_anchors(pyramid, options.anchor_scale, options.anchor_steps, options.anchor_ratios),
        )

    @torch.no_grad()
    def propose(self, said: Answers, width: int, height: int) -> Proposals:
        """The best regions of every picture; where they are does not learn from what is made of them."""
        score, level, offset, anchor = [], [], [], []
        for number, (logits, offsets, anchors) in enumerate(zip(*said, strict=True)):
            best, rows = logits[..., 0].topk(min(self.options.per_level, len(anchors)), dim=1)  # [B, k]
            chosen = rows[..., None].expand(-1, -1, 4)
            score.append(best)
            level.append(torch.full_like(rows, number))
            offset.append(offsets.gather(1, chosen))
            anchor.append(anchors.expand_as(offsets).gather(1, chosen))
        candidates = clip(decode(torch.cat(offset, dim=1), torch.cat(anchor, dim=1)), width, height)  # [B, K, 4]
        alive = ((candidates[..., 2:] - candidates[..., :2]) > 1.0).all(dim=-1)
        rows, held = suppress(
            candidates, torch.cat(score, 1), torch.cat(level, 1), alive, self.options.iou, self.options.count
        )
        kept = candidates.gather(1, rows[..., None].expand(-1, -1, 4))  # [B, R, 4]
        return Proposals(kept * held[..., None], held)

    def losses(self, said: Answers, targets: Targets) -> dict[str, Tensor]:
        """Whether and where, over a sample of each picture's anchors."""
        options = self.options
        logits, offsets = torch.cat(said.logits, 1)[..., 0], torch.cat(said.offsets, 1)
        anchors = torch.cat(said.anchors).expand_as(offsets)  # [B, N, 4]
        found = match(anchors, targets, options.background_below, options.object_from, best_always=True)
        positive, background = sample(found, options.samples, options.positive_share)
        chosen = positive | background
        count = losses.mean_over_ranks(chosen.sum().float()).clamp(min=1.0)
        object_loss = losses.soft_cross_entropy(logits[chosen], positive[chosen])
        wanted = encode(rows_of(targets.xyxy, found)[positive], anchors[positive])
        box_loss = losses.smooth_l1(offsets[positive], wanted, beta=0.1)
        return {"proposal": object_loss.sum() / count, "proposal_box": box_loss.sum() / count}
