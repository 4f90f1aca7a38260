"""U-Net (Ronneberger et al. 2015): down by pooling, up by deconvolution, and across at every size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamdet.models.segmentation.contract import SegmentationModel
from streamdet.models.segmentation.stages import StageOptions, Stages, several


class UNetOptions(StageOptions):
    """How a U-Net is built; in the paper 64, 128, 256, 512 and 1024 channels."""


class Up(nn.Module):
    """Coarse features deconvolved to twice the size, beside the fine ones that were on the way down."""

    def __init__(self, coarse: int, fine: int, depth: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(coarse, fine, 2, stride=2)
        self.blend = several(2 * fine, fine, depth)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, c, h, w], [B, f, 2h, 2w] → [B, f, 2h, 2w]."""
        blended: Tensor = self.blend(torch.cat([fine, self.grow(coarse)], dim=1))
        return blended


class UNet(SegmentationModel):
    """See the module. Convolutions are padded, so that the answer is as large as the picture."""

    def __init__(self, classes: int, options: UNetOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or UNetOptions()
        self.classes = classes
        widths = options.widths
        self.stride = 2 ** (len(widths) - 1)
        self.down = Stages(widths, options.depth)
        pairs = zip(widths[:0:-1], widths[-2::-1], strict=True)  # coarsest first
        self.up = nn.ModuleList(Up(coarse, fine, options.depth) for coarse, fine in pairs)
        self.answer = nn.Conv2d(widths[0], 1 + classes, 1)

    @classmethod
    def tiny(cls, classes: int) -> UNet:
        """Small enough to learn something within seconds."""
        return cls(classes, UNetOptions(widths=(8, 16, 16), depth=1))

    def forward(self, pixels: Tensor) -> Tensor:
        levels = self.down(pixels)
        coarsest = max(levels)
        x = levels[coarsest]
        for level, up in zip(range(coarsest - 1, -1, -1), self.up, strict=True):
            x = up(x, levels[level])
        logits: Tensor = self.answer(x)
        return logits.float()
