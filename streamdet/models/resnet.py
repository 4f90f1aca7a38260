"""ResNet-18, 34 and 50 (He et al. 2015), to be trained from nothing: no weights are fetched from anywhere."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.backbones import Backbone, Pyramid

ResNetName = Literal["resnet18", "resnet34", "resnet50"]

# name → (blocks of the four stages, whether a block is a bottleneck)
_PLANS: dict[ResNetName, tuple[tuple[int, int, int, int], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation for small data: slow statistics, and an ε that small batches do not upset."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class ResNet(Backbone):
    """Stem at stride 4, then four stages: levels 2 to 5."""

    def __init__(self, name: ResNetName = "resnet18") -> None:
        super().__init__()
        counts, bottleneck = _PLANS[name]
        width = 64
        block, growth = (Bottleneck, 4) if bottleneck else (BasicBlock, 1)
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList()
        before, channels = width, {}
        for stage, count in enumerate(counts):
            after = width * 2**stage * growth
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            inputs = [before] + [after] * (count - 1)
            self.stages.append(nn.Sequential(*[block(i, after, s) for i, s in zip(inputs, strides, strict=True)]))
            channels[stage + 2] = before = after
        self.channels = channels
        _initialise(self)

    def forward(self, pixels: Tensor) -> Pyramid:
        features, pyramid = self.stem(pixels), {}  # [B, width, H/4, W/4]
        for level, stage in zip(self.channels, self.stages, strict=True):
            pyramid[level] = features = stage(features)
        return pyramid


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = norm(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.last_norm = norm(after)
        self.shortcut = _shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        branch = self.last_norm(self.conv2(branch))
        return functional.relu(branch + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1 down to a quarter, 3x3, 1x1 up again beside a shortcut; the stride sits in the 3x3."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        inner = after // 4
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.norm1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.norm2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
        self.last_norm = norm(after)
        self.shortcut = _shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        branch = functional.relu(self.norm2(self.conv2(branch)), inplace=True)
        branch = self.last_norm(self.conv3(branch))
        return functional.relu(branch + self.shortcut(x), inplace=True)


def _shortcut(before: int, after: int, stride: int) -> nn.Module:
    if stride == 1 and before == after:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), norm(after))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, BasicBlock | Bottleneck):
            # Each block begins as the identity: a deep network learns from the first step on.
            with torch.no_grad():
                module.last_norm.weight.zero_()
