"""The trunk that both of these networks stand on: pairs of convolutions with pooling in between (Simonyan 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.backbones import Pyramid
from streamdet.models.blocks import ConvNormAct

Widths = Annotated[tuple[Annotated[int, Field(ge=4)], ...], Field(min_length=2, max_length=6)]


class StageOptions(BaseModel):
    """How deep and how wide the trunk is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: Widths = Field(
        (16, 32, 64, 96, 128), description="Channels at the picture's own size, half of it and so on."
    )
    depth: int = Field(2, ge=1, le=4, description="Convolutions at each size.")


class Stages(nn.Module):
    """Level n has stride 2^n, from 0 on; each is the maximum of what was seen at the level before, seen further."""

    def __init__(self, widths: Sequence[int], depth: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            several(before, after, depth) for before, after in zip((3, *widths[:-1]), widths, strict=True)
        )

    def forward(self, pixels: Tensor) -> Pyramid:
        """float [B, 3, H, W], sides multiples of the coarsest stride → features by level."""
        levels: Pyramid = {}
        x = pixels
        for level, stage in enumerate(self.stages):
            x = levels[level] = stage(functional.max_pool2d(x, 2) if level else x)
        return levels


def several(before: int, after: int, depth: int) -> nn.Sequential:
    """So many convolutions of 3 by 3."""
    return nn.Sequential(*(ConvNormAct(before if number == 0 else after, after) for number in range(depth)))
