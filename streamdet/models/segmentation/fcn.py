"""Fully convolutional network (Long et al. 2015): a classifier whose dense layers are convolutions.

First it learns as a classifier: what is in the middle of a window? Its dense layers then look at every window of the
picture at once, which costs little more than one; the coarse answer is grown by deconvolutions that begin as bilinear
interpolation, and finer levels add what they see to it.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.masks import UNKNOWN
from streamdet.models.contract import Phase
from streamdet.models.segmentation.contract import LabelTargets, SegmentationModel
from streamdet.models.segmentation.stages import StageOptions, Stages

CLASSIFYING = Phase("1: classifier", 0.2, ("trunk.", "head."))
DENSE = Phase("2: everywhere at once", 0.8)


class FcnOptions(StageOptions):
    """How it is built; in the paper the trunk is VGG-16 and the finest level has stride 8."""

    cells: int = Field(3, ge=1, description="A window of the classifier has so many cells of the coarsest level.")
    width: int = Field(128, ge=8, description="Width of the dense layers; 4096 in the paper.")
    finest: int = Field(3, ge=0, description="The finest level that adds to the answer: FCN-8s, whose stride is 2^3.")
    windows: int = Field(8, ge=2, description="Windows of a picture that the classifier learns in a step.")


class ClassifierHead(nn.Module):
    """Two dense layers and a class, over the cells of a window or, as convolutions, of all windows at once."""

    def __init__(self, channels: int, cells: int, width: int, classes: int) -> None:
        super().__init__()
        self.cells = cells
        self.first = nn.Linear(channels * cells**2, width)
        self.second = nn.Linear(width, width)
        self.class_layer = nn.Linear(width, 1 + classes)

    def forward(self, cells: Tensor) -> Tensor:
        """One window each, [n, C, cells, cells] → [n, 1 + classes]."""
        seen = functional.relu(self.second(functional.relu(self.first(cells.flatten(1)))))
        logits: Tensor = self.class_layer(seen)
        return logits

    def everywhere(self, features: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 1 + classes, h − cells + 1, w − cells + 1]: for each window what `forward` says of it."""
        kernels = self.first.weight.reshape(self.first.out_features, -1, self.cells, self.cells)
        x = functional.conv2d(features, kernels, self.first.bias)
        for layer in (self.second, self.class_layer):
            x = functional.conv2d(functional.relu(x), layer.weight[:, :, None, None], layer.bias)
        return x


class Fcn(SegmentationModel):
    """See the module."""

    def __init__(self, classes: int, options: FcnOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or FcnOptions()
        self.classes = classes
        self.coarsest = len(options.widths) - 1
        self.stride = 2**self.coarsest
        finer = range(self.coarsest - 1, min(options.finest, self.coarsest) - 1, -1)
        self.trunk = Stages(options.widths, options.depth)
        self.head = ClassifierHead(options.widths[-1], options.cells, options.width, classes)
        self.skips = nn.ModuleDict({str(level): _silent(options.widths[level], 1 + classes) for level in finer})
        self.growths = nn.ModuleDict({str(level): _bilinear(1 + classes) for level in finer})

    @classmethod
    def tiny(cls, classes: int) -> Fcn:
        """Small enough to learn something within seconds."""
        return cls(classes, FcnOptions(widths=(8, 16, 16), depth=1, cells=3, width=16, finest=0, windows=4))

    def phases(self) -> tuple[Phase, ...]:
        return CLASSIFYING, DENSE

    def forward(self, pixels: Tensor) -> Tensor:
        levels = self.trunk(pixels)
        cells = self.options.cells
        around = ((cells - 1) // 2, cells // 2)  # so that there is a window around every cell
        score = self.head.everywhere(functional.pad(levels[self.coarsest], (*around, *around)))
        level = self.coarsest
        for name, skip in self.skips.items():
            level = int(name)
            score = self.growths[name](score) + skip(levels[level])
        if level:
            score = functional.interpolate(score, scale_factor=2.0**level, mode="bilinear", align_corners=False)
        return score.float()

    def losses(self, pixels: Tensor, targets: LabelTargets) -> dict[str, Tensor]:
        if self.phase != CLASSIFYING:
            return super().losses(pixels, targets)
        windows, labels = self._windows(pixels, targets.labels)
        logits = self.head(self.trunk(windows)[self.coarsest]).float()
        known = (labels != UNKNOWN).sum().clamp(min=1)
        lost = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum") / known
        return {"window": lost}

    def _windows(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Windows [n, 3, s, s] and the label of each one's middle, i64 [n]; half of them around something."""
        width = pixels.shape[3]
        side, count = self.options.cells * self.stride, self.options.windows
        flat = labels.flatten(1).long()
        something = ((flat > 0) & (flat != UNKNOWN)).float()
        anywhere = torch.ones_like(something)
        weight = torch.where(something.any(dim=1, keepdim=True), something, anywhere)
        half = count // 2
        middles = torch.cat([weight.multinomial(half, True), anywhere.multinomial(count - half, True)], dim=1)  # [B, n]
        padded = functional.pad(pixels, (side // 2,) * 4)
        starts = [(row // width, row % width) for row in middles.flatten().tolist()]
        windows = [
            padded[number // count, :, top : top + side, left : left + side]
            for number, (top, left) in enumerate(starts)
        ]
        return torch.stack(windows), flat.gather(1, middles).flatten()


def _silent(channels: int, answers: int) -> nn.Conv2d:
    """What a finer level adds; nothing at first."""
    layer = nn.Conv2d(channels, answers, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _bilinear(answers: int) -> nn.ConvTranspose2d:
    """Twice as large; begins as bilinear interpolation of each answer by itself."""
    layer = nn.ConvTranspose2d(answers, answers, 4, stride=2, padding=1, bias=False)
    share = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.zero_()
        for answer in range(answers):
            layer.weight[answer, answer] = share[:, None] * share[None, :]
    return layer
