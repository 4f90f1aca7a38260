"""The third answer of Mask R-CNN (He et al. 2017): which places of a region belong to the object, class by class."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from streamdet.models import losses
from streamdet.models.backbones import Pyramid
from streamdet.models.box_head import LearningRegions, draw
from streamdet.models.contract import Cut, Targets
from streamdet.models.matcher import rows_of
from streamdet.models.proposals import Proposals
from streamdet.models.resnet import norm
from streamdet.models.roi_align import level_of, roi_align

_FROM = 0.5  # share of a cell from which it belongs to the object


class MaskHeadOptions(LearningRegions):
    """How masks are made and learnt."""

    pool: int = Field(14, ge=1, description="A region is read as so many cells; its mask is twice as fine.")
    canonical_px: float = Field(
        112.0, gt=0, description="A region of this size is read from level 4; 224 in the paper."
    )
    convs: int = Field(2, ge=1, description="Convolutions over the cells of a region; 4 in the paper.")
    channels: int = Field(64, ge=8, description="Their channels; 256 in the paper.")
    samples: int = Field(16, ge=1, description="Regions of a picture that learn in one step, at most.")
    positive_share: float = Field(1.0, gt=0, le=1, description="All of them lie on objects: only those have masks.")


class MaskHead(nn.Module):
    """Cells of a region → convolutions → a deconvolution to twice as many → a mask for each class.

    Every class has a sigmoid of its own: masks do not compete, what the object is has been said elsewhere.
    """

    def __init__(self, channels: int, classes: int, options: MaskHeadOptions) -> None:
        super().__init__()
        self.options = options
        width = options.channels
        inputs = [channels] + [width] * (options.convs - 1)
        convs = [
            nn.Sequential(nn.Conv2d(before, width, 3, padding=1, bias=False), norm(width), nn.ReLU(inplace=True))
            for before in inputs
        ]
        self.body = nn.Sequential(*convs, nn.ConvTranspose2d(width, width, 2, stride=2), nn.ReLU(inplace=True))
        self.mask_layer = nn.Conv2d(width, classes, 1)

    def forward(self, cells: Tensor) -> Tensor:
        """[n, C, pool, pool] → logits f32 [n, classes, 2 pool, 2 pool]."""
        logits: Tensor = self.mask_layer(self.body(cells))
        return logits.float()

    def read(self, pyramid: Pyramid, xyxy: Tensor) -> Tensor:
        """Regions [B, R, 4] → their cells [B, R, C, pool, pool]."""
        level = level_of(xyxy, min(pyramid), max(pyramid), self.options.canonical_px)
        cells: Tensor = roi_align(pyramid, xyxy, level, self.options.pool)
        return cells

    def detect(self, pyramid: Pyramid, cut: Cut) -> Tensor:
        """Candidates → their masks f32 [B, N, 2 pool, 2 pool], 0..1, each that of the candidate's best class."""
        cells = self.read(pyramid, cut.xyxy)
        logits = self(cells.flatten(0, 1)).unflatten(0, (-1, cut.xyxy.shape[1]))  # [B, N, classes, m, m]
        side = logits.shape[-1]
        best = cut.scores.argmax(dim=-1)[..., None, None, None].expand(-1, -1, 1, side, side)
        masks: Tensor = logits.gather(2, best)[:, :, 0].sigmoid()
        return masks

    def losses(self, pyramid: Pyramid, proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Cell by cell, over some of each picture's regions that lie on objects; only the object's class learns."""
        assert targets.masks is not None
        xyxy, found, held = draw(proposals, targets, self.options)
        learns = held & (found >= 0)
        chosen = learns.clone()
        chosen.view(-1)[0] = True  # never none at all: a normalisation needs something to see
        picture, place = chosen.nonzero(as_tuple=True)
        logits = self(self.read(pyramid, xyxy)[picture, place])  # [P, classes, m, m]
        masks = rows_of(targets.masks, found)[picture, place]
        wanted = masks_in(masks, xyxy[picture, place], logits.shape[-1])
        of_class = rows_of(targets.class_id, found)[picture, place].clamp(min=0)
        own = logits[torch.arange(len(logits), device=logits.device), of_class]
        each = losses.soft_cross_entropy(own, wanted).mean(dim=(1, 2)) * learns[picture, place]
        count = losses.mean_over_ranks(learns.sum().float()).clamp(min=1.0)
        return {"mask": each.sum() / count}


def masks_in(masks: Tensor, xyxy: Tensor, size: int) -> Tensor:
    """Masks u8 [P, H, W], each as one region [P, 4] of its picture sees it: f32 [P, size, size], 0 or 1."""
    level = torch.zeros(len(xyxy), 1, dtype=torch.int64, device=xyxy.device)
    share = roi_align({0: masks[:, None].float()}, xyxy[:, None].float(), level, size)
    return (share[:, 0, 0] >= _FROM).float()
