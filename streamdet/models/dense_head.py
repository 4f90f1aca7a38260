"""What RetinaNet and the proposal network share: the same convolutions over every level, answers at every anchor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.anchors import level_anchors, shapes
from streamdet.models.backbones import Pyramid
from streamdet.models.resnet import norm


class SharedTower(nn.Module):
    """Convolutions that all levels share, each level with normalisations of its own.

    Levels differ in their statistics: shared running means would fit none of them at inference.
    """

    def __init__(self, channels: int, depth: int, levels: Sequence[int]) -> None:
        super().__init__()
        convs = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleDict({str(level): nn.ModuleList(norm(channels) for _ in self.convs) for level in levels})

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """Every level [B, C, h, w] → the same shape."""
        return {level: self._level(features, level) for level, features in pyramid.items()}

    def _level(self, x: Tensor, level: int) -> Tensor:
        norms = self.norms[str(level)]
        assert isinstance(norms, nn.ModuleList)
        for conv, level_norm in zip(self.convs, norms, strict=True):
            x = functional.relu(level_norm(conv(x)), inplace=True)
        return x


def answers(layer: nn.Module, pyramid: Pyramid, width: int) -> list[Tensor]:
    """The last layer on every level: [B, A · width, h, w] → f32 [B, h · w · A, width], one per level."""
    # Float32 from here on: what follows is exponentials and logarithms.
    maps = [layer(features).float().permute(0, 2, 3, 1) for features in pyramid.values()]
    return [each.unflatten(3, (-1, width)).flatten(1, 3) for each in maps]


def pyramid_anchors(pyramid: Pyramid, scale: float, steps: int, ratios: Sequence[float]) -> list[Tensor]:
    """The anchors of every level, each [h · w · A, 4]: `steps` sizes per octave from `scale` strides on."""
    found = []
    for level, features in pyramid.items():
        sizes = [scale * 2 ** (level + step / steps) for step in range(steps)]
        height, width = features.shape[-2:]
        found.append(level_anchors((height, width), 2**level, shapes(sizes, ratios).to(features.device)))
    return found


def last_layer(channels: int, outputs: int, bias: float = 0.0) -> nn.Conv2d:
    """A 3x3 convolution that says nearly nothing but `bias` before it has learnt."""
    layer = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    with torch.no_grad():
        assert layer.bias is not None
        layer.bias.fill_(bias)
    return layer
