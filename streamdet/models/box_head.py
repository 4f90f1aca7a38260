"""The second stage of R-CNN (Girshick 2015): what a region holds, and where in it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.backbones import Pyramid
from streamdet.models.box_coder import PROPOSAL_SCALE, decode, encode
from streamdet.models.contract import Cut, Targets
from streamdet.models.geometry import clip
from streamdet.models.matcher import BACKGROUND, NEUTRAL, match, rows_of
from streamdet.models.proposals import Proposals
from streamdet.models.resnet import norm
from streamdet.models.roi_align import level_of, roi_align
from streamdet.models.roi_pool import roi_pool
from streamdet.models.sampler import gather_chosen, sample


class LearningRegions(BaseModel):
    """Which regions of a picture learn in one step, and what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object_from: float = Field(0.5, gt=0, le=1, description="A region that overlaps as much learns the object.")
    background_from: float = Field(
        0.0, ge=0, le=1, description="One that overlaps less learns nothing; 0.1 in the paper of Fast R-CNN."
    )
    samples: int = Field(64, ge=1, description="Regions of a picture that learn in one step.")
    positive_share: float = Field(0.25, gt=0, le=1, description="At most this part of them lies on objects.")


class BoxHeadOptions(LearningRegions):
    """How regions are read and learnt from."""

    pool: int = Field(7, ge=1, description="A region is read as so many cells across and down.")
    pooling: Literal["align", "max"] = Field(
        "align", description="How a cell is read: the mean of bilinear samples, or the maximum, as Fast R-CNN did."
    )
    canonical_px: float = Field(
        112.0,
        gt=0,
        description="A region of this size is read from level 4, half of it from level 3; 224 in the paper.",
    )
    convs: int = Field(1, ge=0, description="Convolutions over the cells of a region; none in the paper.")
    width: int = Field(256, ge=8, description="Width of the two dense layers; 1024 in the paper.")
    context: bool = Field(False, description="Every region also sees the whole picture, as one more region of it.")
    passes: int = Field(
        1, ge=1, le=4, description="Boxes that were found are looked at anew so often; all passes count, none is lost."
    )


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
            *convs, nn.Flatten(), *dense_layer(cells, options.width), *dense_layer(options.width, options.width)
        )
        seen = options.width * (2 if options.context else 1)
        self.class_layer = nn.Linear(seen, classes + 1)
        self.box_layer = nn.Linear(seen, classes * 4)
        nn.init.normal_(self.class_layer.weight, std=0.01)
        nn.init.normal_(self.box_layer.weight, std=0.001)
        nn.init.zeros_(self.class_layer.bias)
        nn.init.zeros_(self.box_layer.bias)

    def forward(self, pyramid: Pyramid, xyxy: Tensor) -> Answers:
        """Regions [B, R, 4] → their answers."""
        seen = self._seen(pyramid, xyxy)  # [B, R, width]
        logits = self.class_layer(seen).float()
        return Answers(logits, self.box_layer(seen).float().unflatten(2, (self.classes, 4)))

    def _seen(self, pyramid: Pyramid, xyxy: Tensor) -> Tensor:
        """What the dense layers make of each region; with `context`, beside what they make of the whole picture."""
        options = self.options
        regions = xyxy.shape[1]
        if options.context:
            xyxy = torch.cat([xyxy, _whole(pyramid).to(xyxy).expand(xyxy.shape[0], 1, 4)], dim=1)
        level = level_of(xyxy, min(pyramid), max(pyramid), options.canonical_px)
        pooled = roi_align if options.pooling == "align" else roi_pool
        cells = pooled(pyramid, xyxy, level, options.pool)  # [B, R, C, 7, 7]
        seen: Tensor = self.body(cells.flatten(0, 1)).unflatten(0, (-1, xyxy.shape[1]))
        if options.context:
            around = seen[:, regions:].expand(-1, regions, -1)
            seen = torch.cat([seen[:, :regions], around], dim=-1)
        return seen

    def detect(self, pyramid: Pyramid, proposals: Proposals, width: int, height: int) -> Cut:
        """Every region's box is that of its best class; scores are without background, 0 where no region is held.

        With several passes the boxes are the regions of the next one; its candidates follow behind, so a box that a
        further look would spoil is still there.
        """
        cuts = []
        for _ in range(self.options.passes):
            cuts.append(self._look(pyramid, proposals, width, height))
            proposals = proposals._replace(xyxy=cuts[-1].xyxy)
        return joined(cuts)

    def _look(self, pyramid: Pyramid, proposals: Proposals, width: int, height: int) -> Cut:
        said = self(pyramid, proposals.xyxy)
        scores = said.logits.softmax(dim=-1)[..., :-1] * proposals.held[..., None]  # [B, R, C]
        best = scores.argmax(dim=-1)[..., None, None].expand(-1, -1, 1, 4)
        offsets = said.offsets.gather(2, best)[:, :, 0]  # [B, R, 4]
        return Cut(clip(decode(offsets, proposals.xyxy, PROPOSAL_SCALE), width, height), scores)

    def losses(self, pyramid: Pyramid, proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """What and where, over a sample of each picture's regions; the objects themselves are among them."""
        options = self.options
        drawn = draw(proposals, targets, options)
        said = self(pyramid, drawn.xyxy)
        wanted = drawn.wanted(targets, self.classes)
        learns = drawn.held & (drawn.found >= 0)
        count = losses.mean_over_ranks(drawn.held.sum().float()).clamp(min=1.0)
        class_loss = functional.cross_entropy(said.logits[drawn.held], wanted[drawn.held], reduction="sum")
        offsets = said.offsets[learns, wanted[learns]]  # [P, 4]
        wanted_offsets = encode(rows_of(targets.xyxy, drawn.found)[learns], drawn.xyxy[learns], PROPOSAL_SCALE)
        box_loss = losses.smooth_l1(offsets, wanted_offsets, beta=1.0)
        return {"class": class_loss / count, "box": box_loss.sum() / count}


class Drawn(NamedTuple):
    """S regions of each picture that learn in one step."""

    xyxy: Tensor  # f32 [B, S, 4]
    found: Tensor  # i64 [B, S]: the row of its object, BACKGROUND or NEUTRAL
    held: Tensor  # bool [B, S]: whether there is one at this place

    def wanted(self, targets: Targets, background: int) -> Tensor:
        """The class of each, i64 [B, S], that of background where it lies on no object."""
        return torch.where(self.found >= 0, rows_of(targets.class_id, self.found), background)


def draw(proposals: Proposals, targets: Targets, options: LearningRegions) -> Drawn:
    """A few positives and background of every picture, by chance; the objects themselves are among the candidates."""
    xyxy, match_of_all = candidates(proposals, targets, options)
    positive, background = sample(match_of_all, options.samples, options.positive_share)
    rows, held = gather_chosen(positive | background, options.samples)  # [B, S]
    return Drawn(xyxy.gather(1, rows[..., None].expand(-1, -1, 4)), match_of_all.gather(1, rows), held)


def candidates(proposals: Proposals, targets: Targets, options: LearningRegions) -> tuple[Tensor, Tensor]:
    """Proposals and objects, [B, R + M, 4], and whom each learns, [B, R + M]."""
    objects = targets.xyxy.to(proposals.xyxy.dtype)
    xyxy = torch.cat([proposals.xyxy, objects], dim=1)
    held = torch.cat([proposals.held, (targets.class_id >= 0) & ~targets.ignored], dim=1)
    limit, least = options.object_from, options.background_from
    found = match(xyxy, targets, limit, limit).masked_fill(~held, NEUTRAL)
    if least > 0:
        found = found.masked_fill(match(xyxy, targets, least, limit) == BACKGROUND, NEUTRAL)
    return xyxy, found


def joined(cuts: Sequence[Cut]) -> Cut:
    """Candidates of several looks at the same pictures."""
    whole = Cut(torch.cat([cut.xyxy for cut in cuts], dim=1), torch.cat([cut.scores for cut in cuts], dim=1))
    masks = [cut.masks for cut in cuts if cut.masks is not None]
    return whole._replace(masks=torch.cat(masks, dim=1)) if masks else whole


def _whole(pyramid: Pyramid) -> Tensor:
    """The box around the whole picture, f32 [4]."""
    level, features = next(iter(pyramid.items()))
    height, width = (float(side * 2**level) for side in features.shape[-2:])
    return torch.tensor([0.0, 0.0, width, height])


def dense_layer(before: int, after: int) -> list[nn.Module]:
    """One dense layer, normalised as all that is trained from nothing: without, it needs a start from elsewhere."""
    return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after, eps=1e-3, momentum=0.03), nn.ReLU(inplace=True)]
