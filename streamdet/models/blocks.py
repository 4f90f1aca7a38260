"""The pieces networks are made of: plain convolutions, ELAN, a spatial pyramid, a path aggregation neck, a backbone.

Plain 3×3 convolutions with batch norm and ReLU throughout: they fold into one operator each, survive eight bits, and
run in bf16 on a CPU twice to four times as fast as in float32. Widths are channels, depths are repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.backbones import Backbone, Pyramid

Activation = Literal["relu", "silu"]


class Size(NamedTuple):
    """How wide and how deep a YOLO is."""

    widths: tuple[int, int, int, int, int]  # channels of the stem and of strides 4, 8, 16, 32
    depths: tuple[int, int, int, int]
    head: int  # channels


SIZES = {
    "tiny": Size((8, 8, 16, 24, 32), (1, 1, 1, 1), 16),
    "femto": Size((16, 24, 40, 72, 112), (1, 1, 1, 1), 32),
    "pico": Size((16, 24, 48, 96, 160), (1, 1, 1, 1), 48),
    "n": Size((16, 32, 64, 128, 256), (1, 1, 2, 1), 64),
    "s": Size((32, 64, 128, 256, 512), (1, 2, 2, 1), 128),
}


class ConvNormAct(nn.Sequential):
    """Convolution → batch norm → activation; padded so that stride 1 keeps the size and stride 2 halves it."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, activation: Activation = "relu"
    ) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03),
            nn.ReLU(inplace=True) if activation == "relu" else nn.SiLU(inplace=True),
        )


class Elan(nn.Module):
    """Two halves; one of them goes on through `depth` pairs of convolutions, and all that was on the way is joined."""

    def __init__(self, c_in: int, c_out: int, depth: int, residual: bool, activation: Activation = "relu") -> None:
        super().__init__()
        half = c_out // 2
        self.residual = residual
        self.split = ConvNormAct(c_in, 2 * half, 1, activation=activation)
        self.pairs = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(half, half, activation=activation), ConvNormAct(half, half, activation=activation)
            )
            for _ in range(depth)
        )
        self.join = ConvNormAct((2 + depth) * half, c_out, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, h, w] → [B, c_out, h, w]."""
        parts = list(self.split(x).chunk(2, dim=1))
        for pair in self.pairs:
            further = pair(parts[-1])
            parts.append(parts[-1] + further if self.residual else further)
        return self.join(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class SpatialPyramid(nn.Module):
    """Maxima of windows of 5, 9 and 13 cells beside the cell itself, so that the coarsest level sees far."""

    def __init__(self, channels: int, activation: Activation = "relu") -> None:
        super().__init__()
        half = channels // 2
        self.narrow = ConvNormAct(channels, half, 1, activation=activation)
        self.join = ConvNormAct(4 * half, channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """[B, c, h, w] → the same shape."""
        parts = [self.narrow(x)]
        for _ in range(3):
            parts.append(functional.max_pool2d(parts[-1], 5, stride=1, padding=2))
        return self.join(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class ElanBackbone(Backbone):
    """A stem and four stages, each half the size of the one before: levels 2 to 5."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int], activation: Activation = "relu") -> None:
        super().__init__()
        self.channels = dict(enumerate(widths[1:], start=2))
        self.stem = ConvNormAct(3, widths[0], stride=2, activation=activation)
        stages: list[nn.Module] = [
            nn.Sequential(
                ConvNormAct(c_in, c_out, stride=2, activation=activation),
                Elan(c_out, c_out, depth, residual=True, activation=activation),
            )
            for (c_in, c_out), depth in zip(pairwise(widths), depths, strict=True)
        ]
        stages[-1] = nn.Sequential(stages[-1], SpatialPyramid(widths[-1], activation))
        self.stages = nn.ModuleList(stages)

    def forward(self, pixels: Tensor) -> Pyramid:
        x = self.stem(pixels)
        levels = {}
        for level, stage in enumerate(self.stages, start=2):
            x = levels[level] = stage(x)
        return levels


class PathAggregation(nn.Module):
    """Coarse features flow up to the fine ones, then fine ones down again; widths stay those of the backbone."""

    def __init__(self, channels: Sequence[int], depth: int = 1, activation: Activation = "relu") -> None:
        super().__init__()
        pairs = list(pairwise(channels))  # (finer, coarser)
        self.up = nn.ModuleList(Elan(fine + coarse, fine, depth, False, activation) for fine, coarse in pairs)
        self.shrink = nn.ModuleList(ConvNormAct(fine, fine, stride=2, activation=activation) for fine, _ in pairs)
        self.down = nn.ModuleList(Elan(fine + coarse, coarse, depth, False, activation) for fine, coarse in pairs)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features, finest first → as many of the same shapes."""
        levels = list(features)
        for index in range(len(self.up) - 1, -1, -1):
            grown = functional.interpolate(levels[index + 1], scale_factor=2.0, mode="nearest")
            levels[index] = self.up[index](torch.cat([grown, levels[index]], dim=1))
        for index, (shrink, down) in enumerate(zip(self.shrink, self.down, strict=True)):
            levels[index + 1] = down(torch.cat([shrink(levels[index]), levels[index + 1]], dim=1))
        return levels
