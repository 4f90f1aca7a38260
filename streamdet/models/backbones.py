"""What every backbone is to necks and heads: pixels in, a pyramid of named levels out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

Pyramid = dict[int, Tensor]  # level → features [B, channels, H / 2**level, W / 2**level]


class Backbone(nn.Module, ABC):
    """Features at falling resolution. A level is named by its number: level n has stride 2ⁿ, so C5 is level 5."""

    channels: Mapping[int, int]  # level → how many; the levels that it gives, finest first

    @abstractmethod
    def forward(self, pixels: Tensor) -> Pyramid:
        """float [B, 3, H, W] in 0..1 → every level of `channels`."""
