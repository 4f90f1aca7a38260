"""Boxes with gradients: the torch twin of `streamdet.boxes`, which tests hold it equal to, and the losses' overlaps.

Boxes are `xyxy` float [..., N, 4] in pixels of the input, edges. Everything is differentiable, free of data-dependent
shapes, and without NaN for boxes of no area.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 1e-7  # keeps a division by the area of nothing at 0 instead of NaN


def area(xyxy: Tensor) -> Tensor:
    """[..., 4] → [...]; an inverted box has area 0."""
    return (xyxy[..., 2] - xyxy[..., 0]).clamp(min=0.0) * (xyxy[..., 3] - xyxy[..., 1]).clamp(min=0.0)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """[..., N, 4], [..., M, 4] → [..., N, M]; two boxes without area have 0."""
    return aligned_iou(a[..., :, None, :], b[..., None, :, :])


def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Row by row: [..., 4], [..., 4] → [...]."""
    inter, union = _overlap(a, b)
    return inter / union.clamp(min=_TINY)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Row by row: IoU less the share of the hull that neither box covers, −1..1, so that boxes apart attract."""
    inter, union = _overlap(a, b)
    width, height = _hull(a, b)
    hull = (width * height).clamp(min=_TINY)
    return inter / union.clamp(min=_TINY) - (hull - union) / hull


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Row by row: IoU less the squared distance of the centres and the difference in aspect, −1.5..1 or so."""
    inter, union = _overlap(a, b)
    overlap = inter / union.clamp(min=_TINY)
    width, height = _hull(a, b)
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) ** 2).sum(-1) / 4
    slant = (width**2 + height**2).clamp(min=_TINY)
    aspect = 4 / math.pi**2 * (_angle(a) - _angle(b)) ** 2
    with torch.no_grad():  # the weight is a weight: it is not there to be learnt
        weight = aspect / (1 - overlap + aspect).clamp(min=_TINY)
    return overlap - distance / slant - weight * aspect


def xyxy_to_cxcywh(xyxy: Tensor) -> Tensor:
    """Xyxy → centre x, centre y, width, height."""
    low, high = xyxy[..., :2], xyxy[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def cxcywh_to_xyxy(cxcywh: Tensor) -> Tensor:
    """Centre x, centre y, width, height → xyxy."""
    centre, half = cxcywh[..., :2], cxcywh[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def distances_to_xyxy(points: Tensor, distances: Tensor) -> Tensor:
    """Points [..., 2] and their distances to the left, top, right and bottom edge [..., 4] → xyxy."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


def xyxy_to_distances(points: Tensor, xyxy: Tensor) -> Tensor:
    """The way back; negative where the point lies outside of the box."""
    return torch.cat([points - xyxy[..., :2], xyxy[..., 2:] - points], dim=-1)


def clip(xyxy: Tensor, width: float, height: float) -> Tensor:
    """Boxes cut to the picture (0, 0, width, height)."""
    # Both bounds as floats: the exporter knows no mixture with integers.
    corner = torch.tensor([float(width), float(height)] * 2, dtype=xyxy.dtype, device=xyxy.device)
    return torch.minimum(xyxy.clamp(min=0.0), corner)


def grid_points(size: tuple[int, int], stride: int, device: torch.device | None = None) -> Tensor:
    """The centres of a feature map's cells, row by row: (height, width) in cells → [height · width, 2] x, y in px."""
    height, width = size
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) * stride
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) * stride
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union, each [...]."""
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    inter = width.clamp(min=0.0) * height.clamp(min=0.0)
    return inter, area(a) + area(b) - inter


def _hull(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around both."""
    width = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    height = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    return width, height


def _angle(xyxy: Tensor) -> Tensor:
    """The aspect as the angle of the diagonal; a box without height stands for 0.0000001 px."""
    width = (xyxy[..., 2] - xyxy[..., 0]).clamp(min=0.0)
    height = (xyxy[..., 3] - xyxy[..., 1]).clamp(min=0.0)
    return torch.atan(width / height.clamp(min=_TINY))
