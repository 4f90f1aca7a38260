"""Feature pyramid network (Lin et al. 2017): the same number of channels at every level, each seeing all above it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.backbones import Pyramid
from streamdet.models.resnet import norm


class FeaturePyramid(nn.Module):
    """Levels `first`..`last`: those of the backbone top-down, those beyond its last by strided convolutions."""

    def __init__(self, backbone_channels: Mapping[int, int], first: int, last: int, channels: int) -> None:
        super().__init__()
        top = max(backbone_channels)
        self.levels = tuple(range(first, last + 1))
        self._inner = tuple(level for level in self.levels if level <= top)
        # ModuleDict wants strings for keys.
        self.lateral = nn.ModuleDict(
            {str(level): _conv_norm(backbone_channels[level], channels, 1) for level in self._inner}
        )
        self.smooth = nn.ModuleDict({str(level): _conv_norm(channels, channels, 3) for level in self._inner})
        self.extra = nn.ModuleDict(
            {str(level): _conv_norm(channels, channels, 3, stride=2) for level in self.levels if level > top}
        )

    def forward(self, backbone: Pyramid) -> Pyramid:
        """Pyramid of the backbone → {level: [B, channels, H / 2**level, W / 2**level]}, rounded up beyond its top."""
        pyramid: Pyramid = {}
        above: Tensor | None = None
        for level in reversed(self._inner):
            lateral = self.lateral[str(level)](backbone[level])
            merged = lateral if above is None else lateral + functional.interpolate(above, scale_factor=2.0)
            pyramid[level] = self.smooth[str(level)](merged)
            above = merged
        for level in self.levels[len(self._inner) :]:
            pyramid[level] = self.extra[str(level)](functional.relu(pyramid[level - 1]))
        return {level: pyramid[level] for level in self.levels}


def _conv_norm(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, size, stride, size // 2, bias=False), norm(after))
