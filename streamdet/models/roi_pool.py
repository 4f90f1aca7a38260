"""RoIPool (Girshick 2015): a region as so many cells, each the maximum of what lies in it, whatever its size.

A cell is a rectangle of feature cells of any size, so plain pooling cannot give it. Here the maxima of all windows of
1, 2, 4 … cells are worked out once for the whole map; any rectangle is covered by four of those windows, which may
overlap, as a maximum counts nothing twice. Fixed shapes, no plugin, equal to ONNX's MaxRoiPool.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from streamdet.models.backbones import Pyramid


def roi_pool(pyramid: Pyramid, xyxy: Tensor, level: Tensor, size: int) -> Tensor:
    """Regions [B, R, 4] in pixels inside the picture, each from its level i64 [B, R] → [B, R, C, size, size].

    A region begins and ends at whole feature cells, both included; its cells share their borders where it does not
    divide evenly. What lies wholly outside of the map is 0.
    """
    table, places, most = _tables(pyramid, size)  # [B, rows, C]
    # A look-up by embedding, as that is one Gather in every runtime.
    place = functional.embedding(level, places)  # [B, R, 5]
    first, stride, height, width, windows = (part[..., None] for part in place.unbind(dim=-1))  # [B, R, 1] each
    low = torch.floor(xyxy / stride + 0.5)  # [B, R, 4]: rounded half up, as ONNX Runtime does
    left, right, in_x = bins(low[..., 0:1], low[..., 2:3], width, size)  # [B, R, size] each
    top, bottom, in_y = bins(low[..., 1:2], low[..., 3:4], height, size)
    step_x, step_y = _doublings(right - left, most), _doublings(bottom - top, most)
    kind = step_y[:, :, :, None] * windows[..., None] + step_x[:, :, None, :]  # [B, R, size, size]
    batch, stored = table.shape[:2]
    base = first[..., None] + kind * (height * width)[..., None]
    inside = in_y[:, :, :, None] & in_x[:, :, None, :]
    flat, picture = table.flatten(0, 1), torch.arange(batch, device=table.device).reshape(-1, 1, 1, 1) * stored
    cells: Tensor | None = None
    # Two windows side by side cover a span, the second ends where it ends; so four cover a rectangle.
    for row in (top, bottom - 2.0**step_y):
        for column in (left, right - 2.0**step_x):
            window = base + row[:, :, :, None] * width[..., None] + column[:, :, None, :]
            row_of = torch.where(inside, window, stored - 1.0).long() + picture
            found = functional.embedding(row_of, flat)  # [B, R, size, size, C]
            cells = found if cells is None else torch.maximum(cells, found)
    assert cells is not None
    return cells.permute(0, 1, 4, 2, 3)


def bins(low: Tensor, high: Tensor, limit: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """First and last + 1 feature cell of every cell, [B, R, size], and which of them hold any."""
    extent = (high - low + 1).clamp(min=1.0)
    number = torch.arange(size, dtype=torch.float32, device=low.device)
    # Halves in between keep a division that a runtime rounds its own way from falling to the wrong side.
    begin = torch.floor((number * extent + 0.5) / size)
    end = torch.floor(((number + 1) * extent - 0.5) / size) + 1
    begin, end = (torch.minimum((each + low).clamp(min=0.0), limit) for each in (begin, end))
    held = end > begin
    return begin * held, torch.where(held, end, torch.ones_like(end)), held


def _doublings(length: Tensor, most: int) -> Tensor:
    """How often 1 is doubled within a length, at most `most` times: 0 for 1, 1 for 2 and 3, 2 for 4 …"""
    return sum(((length >= 2.0**power).float() for power in range(1, most + 1)), torch.zeros_like(length))


def _tables(pyramid: Pyramid, size: int) -> tuple[Tensor, Tensor, int]:
    """Maxima of all windows that begin at each cell, [B, rows, C], where those of each level stand, and most doublings.

    The places are f32 [levels from 0 on, 5]: first row, stride, height and width in cells, kinds of windows per axis.
    """
    places = [(0.0, 1.0, 1.0, 1.0, 1.0)] * (max(pyramid) + 1)  # levels that there are not stand for nothing
    found, first, most = [], 0, 0
    for level, features in pyramid.items():
        height, width = features.shape[-2:]
        longest = -(-(max(height, width) + 1) // size) + 1
        kinds = longest.bit_length()
        most = max(most, kinds - 1)
        places[level] = (float(first), float(2**level), float(height), float(width), float(kinds))
        tall = features
        for power in range(kinds):
            wide = tall
            for across in range(kinds):
                found.append(wide.flatten(2))
                wide = _doubled(wide, 2**across, dim=3)
            tall = _doubled(tall, 2**power, dim=2)
        first += kinds**2 * height * width
    found.append(torch.zeros_like(found[0][..., :1]))  # what lies outside of the map reads this
    table = torch.cat(found, dim=2).transpose(1, 2).contiguous()  # a cell's channels are read together
    return table, torch.tensor(places, dtype=torch.float32, device=table.device), most


def _doubled(maxima: Tensor, length: int, dim: int) -> Tensor:
    """From windows of a length to those of twice that; the last ones would reach beyond the map and are not read."""
    length = min(length, maxima.shape[dim] - 1)
    if length < 1:
        return maxima
    further = maxima.narrow(dim, length, maxima.shape[dim] - length)
    rest = maxima.narrow(dim, maxima.shape[dim] - length, length)
    return torch.maximum(maxima, torch.cat([further, rest], dim=dim))
