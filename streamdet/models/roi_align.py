"""RoIAlign (He et al. 2017, averaged) as one bilinear sampling of a pyramid: no plugin, any batch, any runtime."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from streamdet.models.backbones import Pyramid
from streamdet.models.geometry import area


def roi_align(pyramid: Pyramid, xyxy: Tensor, level: Tensor, size: int, sampling: int = 2) -> Tensor:
    """Regions [B, R, 4] in pixels inside the picture, each from its level i64 [B, R] → [B, R, C, size, size].

    Every output cell is the mean of sampling x sampling bilinear samples, as ONNX's RoiAlign has it (`avg`,
    `half_pixel`). All levels lie in one picture below each other, the atlas, so that it takes one sampling and no
    sorting of regions by level. Samples are drawn in to the centres of a level's outermost cells, as RoIAlign wants
    it; so none ever mixes two levels.
    """
    atlas, places = _atlas(pyramid)
    # A look-up by embedding, as that is one Gather in every runtime.
    place = functional.embedding(level, places)  # [B, R, 4]
    top, stride, height, width = place.chunk(4, dim=-1)  # [B, R, 1] each
    side = size * sampling
    steps = (torch.arange(side, dtype=torch.float32, device=xyxy.device) + 0.5) / side  # [S]
    low, extent = xyxy[..., :2], xyxy[..., 2:] - xyxy[..., :2]
    x = (low[..., :1] + extent[..., :1] * steps) / stride  # [B, R, S], cells from the level's left edge
    y = (low[..., 1:] + extent[..., 1:] * steps) / stride
    x = torch.minimum(x.clamp(min=0.5), width - 0.5)
    y = torch.minimum(y.clamp(min=0.5), height - 0.5) + top
    rows, columns = atlas.shape[-2:]
    x = (x * (2.0 / columns) - 1.0)[:, :, None, :].expand(-1, -1, side, -1)  # [B, R, S, S]
    y = (y * (2.0 / rows) - 1.0)[:, :, :, None].expand(-1, -1, -1, side)
    grid = torch.stack([x, y], dim=-1).flatten(1, 2)  # [B, R·S, S, 2]
    with torch.autocast(atlas.device.type, enabled=False):
        samples = functional.grid_sample(
            atlas.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
    pooled = functional.avg_pool2d(samples, sampling)  # [B, C, R·size, size]
    channels, regions = atlas.shape[1], xyxy.shape[1]
    return pooled.permute(0, 2, 1, 3).reshape(-1, regions, size, channels, size).transpose(2, 3)


def level_of(xyxy: Tensor, first: int, last: int, canonical_px: float) -> Tensor:
    """Boxes [..., 4] → i64 [...]: the level to read from; 4 for a box of `canonical_px`, 5 for one of twice that."""
    size = area(xyxy).clamp(min=1.0).sqrt()
    level = torch.floor(4.0 + torch.log2(size / canonical_px + 1e-6))
    return level.clamp(float(first), float(last)).long()


def _atlas(pyramid: Pyramid) -> tuple[Tensor, Tensor]:
    """All levels below each other, [B, C, sum of heights, largest width], and where each stands.

    The places are f32 [levels from 0 on, 4]: top row in the atlas, stride, height and width in cells.
    """
    widest = max(features.shape[-1] for features in pyramid.values())
    places = [(0.0, 1.0, 1.0, 1.0)] * (max(pyramid) + 1)  # levels that there are not stand for nothing
    top = 0
    for level, features in pyramid.items():
        height, width = features.shape[-2:]
        places[level] = (float(top), float(2**level), float(height), float(width))
        top += height
    rows = [functional.pad(features, (0, widest - features.shape[-1])) for features in pyramid.values()]
    atlas = torch.cat(rows, dim=2)
    return atlas, torch.tensor(places, dtype=torch.float32, device=atlas.device)
