"""Boxes as offsets from other boxes: what R-CNN and all its kin regress (Girshick et al. 2014)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamdet.models.geometry import cxcywh_to_xyxy, xyxy_to_cxcywh

# By what offsets are divided to bring them near a variance of 1: proposals lie closer than anchors do.
ANCHOR_SCALE = (1.0, 1.0, 1.0, 1.0)
PROPOSAL_SCALE = (0.1, 0.1, 0.2, 0.2)

_TINY = 1e-3  # px: a box of no width is learnt as this one
_LARGEST = math.log(1000 / 16)  # a box grows at most 62-fold, whatever the network says: exp does not overflow


def encode(xyxy: Tensor, reference: Tensor, scale: tuple[float, ...] = ANCHOR_SCALE) -> Tensor:
    """What leads from the reference boxes to the boxes, both [..., 4] → [..., 4]."""
    box, origin = xyxy_to_cxcywh(xyxy.float()), xyxy_to_cxcywh(reference.float())
    origin_size = origin[..., 2:].clamp(min=_TINY)
    shift = (box[..., :2] - origin[..., :2]) / origin_size
    growth = torch.log(box[..., 2:].clamp(min=_TINY) / origin_size)
    return torch.cat([shift, growth], dim=-1) / shift.new_tensor(scale)


def decode(offsets: Tensor, reference: Tensor, scale: tuple[float, ...] = ANCHOR_SCALE) -> Tensor:
    """The way back: offsets [..., 4] and their reference boxes → xyxy f32 [..., 4]."""
    origin = xyxy_to_cxcywh(reference.float())
    offsets = offsets.float() * offsets.new_tensor(scale, dtype=torch.float32)
    origin_size = origin[..., 2:].clamp(min=_TINY)
    centre = origin[..., :2] + offsets[..., :2] * origin_size
    size = origin_size * torch.exp(offsets[..., 2:].clamp(max=_LARGEST))
    return cxcywh_to_xyxy(torch.cat([centre, size], dim=-1))
