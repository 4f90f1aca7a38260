"""A network that reads one straightened plate: what each pixel is, where characters are, and the text as a sequence.

    pixels [B, 1, H, W] → encoder (strides 4, 8, 16) → up again, with a fine branch at stride 2
        glyph [B, 1 + A, H/2, W/2]   class of each pixel's ink      core, line [B, H/2, W/2]   middles; the lower line
        sequence [B, T, 1 + A]       upper line, then lower line, each column by column

The maps tell where each character stands and what it is. The sequence is a second opinion that needs no gaps between
characters: every column gathers, for either line, the rows in which that line runs, so that two lines become one text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models.backbones import Backbone, Pyramid
from streamdet.models.blocks import ConvNormAct
from streamdet.models.contract import Learnable
from streamdet.models.resnet import ResNet

_LEAST_LEVEL = 2  # of the encoder: its finest features have stride 4
_LINES = 2


class PlateReaderOptions(BaseModel):
    """How the network is built and what it minimises."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: Literal["small", "tiny", "resnet18"] = Field("small", description="What sees; tiny is for tests.")
    glyph_weight: float = Field(1.0, ge=0, description="Weight of the cross-entropy of what each pixel is.")
    ink_weight: float = Field(2.0, gt=0, description="What a pixel of a character counts beside one of nothing.")
    dice_weight: float = Field(0.5, ge=0, description="Weight of the overlap of ink with ink.")
    core_weight: float = Field(1.0, ge=0, description="Weight of the characters' middles.")
    line_weight: float = Field(0.2, ge=0, description="Weight of which line a character stands in.")
    sequence_weight: float = Field(1.0, ge=0, description="Weight of the sequence's CTC.")


@dataclass(frozen=True)
class ReaderTargets:
    """The truth about a batch of crops."""

    labels: Tensor  # u8 [B, h, w]: 0 nothing, i the alphabet's character i - 1
    core: Tensor  # u8 [B, h, w]: 1 in the middles of characters
    lines: Tensor  # u8 [B, h, w]: 1 and 2 in the lines' characters, 0 beside them
    text: Tensor  # i64 [B, M]: classes as in `labels`, in reading order; 0 beyond its end


class Maps(NamedTuple):
    """What the network says, as logits."""

    glyph: Tensor  # [B, 1 + A, h, w]
    core: Tensor  # [B, h, w]
    line: Tensor  # [B, h, w]
    sequence: Tensor  # [B, T, 1 + A]


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNormAct(width, width)
        self.second = ConvNormAct(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, c, h, w] → the same shape."""
        return x + self.second(self.first(x))  # type: ignore[no-any-return]


class GlyphEncoder(Backbone):
    """A stem of stride 4, then a stage per level: small, for characters of a few pixels' width."""

    def __init__(self, widths: tuple[int, int, int, int], depths: tuple[int, int, int]) -> None:
        super().__init__()
        stem, *stages = widths
        self.channels: Mapping[int, int] = dict(enumerate(stages, start=_LEAST_LEVEL))
        self.stem = ConvNormAct(1, stem, stride=2)
        before = [stem, *stages[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNormAct(old, new, stride=2), *(Residual(new) for _ in range(depth)))
            for old, new, depth in zip(before, stages, depths, strict=True)
        )

    def forward(self, pixels: Tensor) -> Pyramid:
        x = self.stem(pixels)
        levels = {}
        for level, stage in enumerate(self.stages, start=_LEAST_LEVEL):
            x = levels[level] = stage(x)
        return levels


class GreyResNet(Backbone):
    """ResNet-18 that sees grey."""

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNet("resnet18")
        self.channels = self.network.channels

    def forward(self, pixels: Tensor) -> Pyramid:
        return self.network(pixels.expand(-1, 3, -1, -1))  # type: ignore[no-any-return]


class Rise(nn.Module):
    """Coarse features at twice the size, joined with finer ones."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.coarse = ConvNormAct(coarse, width, 1)
        self.fine = ConvNormAct(fine, width, 1)
        self.blend = ConvNormAct(width, width)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, c, h, w], [B, f, 2h, 2w] → [B, width, 2h, 2w]."""
        grown = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest")
        return self.blend(grown + self.fine(fine))  # type: ignore[no-any-return]


class SequenceHead(nn.Module):
    """Columns of the upper line, then of the lower: each line looks for its own rows in every column."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.rows = nn.Conv2d(width, _LINES, 1)
        self.along = nn.Sequential(
            nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False),
            nn.BatchNorm2d(width, eps=1e-3, momentum=0.03),
            nn.ReLU(inplace=True),
        )
        self.answer = nn.Conv2d(width, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, c, h, w] → [B, 2w, classes]."""
        share = self.rows(features).softmax(dim=2)  # [B, 2, h, w]
        gathered = [(features * share[:, line : line + 1]).sum(dim=2, keepdim=True) for line in range(_LINES)]
        answers = self.answer(self.along(torch.cat(gathered, dim=2)))  # [B, classes, 2, w]
        return answers.flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


# encoder → (channels of its stem and levels, depths); decoder widths by level; width of the fine branch. The small one
# spends its weights at stride 4, where a character is still some pixels wide: at stride 16 it is hardly one.
_SIZES: Mapping[str, tuple[tuple[int, int, int, int], tuple[int, int, int]]] = {
    "small": ((32, 64, 72, 64), (4, 2, 1)),
    "tiny": ((8, 16, 16, 16), (1, 0, 0)),
}
_FINE = {"small": 24, "tiny": 8, "resnet18": 24}
_RISEN = {"small": 48, "tiny": 16, "resnet18": 64}


class PlateReader(Learnable):
    """See the module."""

    stride = 16

    def __init__(self, letters: int, options: PlateReaderOptions | None = None) -> None:
        super().__init__()
        self.letters = letters
        self.options = options = options or PlateReaderOptions()
        self.stride = 32 if options.encoder == "resnet18" else 16
        self.encoder = GreyResNet() if options.encoder == "resnet18" else GlyphEncoder(*_SIZES[options.encoder])
        channels = self.encoder.channels
        width, fine = _RISEN[options.encoder], _FINE[options.encoder]
        self.levels = sorted(channels, reverse=True)  # coarsest first
        coarse = [channels[self.levels[0]], *(width for _ in self.levels[2:])]
        self.rises = nn.ModuleList(
            Rise(c_in, channels[level], width) for c_in, level in zip(coarse, self.levels[1:], strict=True)
        )
        self.detail = ConvNormAct(1, fine, stride=2)
        self.last = Rise(width, fine, fine)
        self.blend = ConvNormAct(fine, fine)
        self.maps = nn.Conv2d(fine, 1 + letters + 2, 1)
        self.sequence = SequenceHead(width, 1 + letters)

    @classmethod
    def tiny(cls, letters: int = 36) -> PlateReader:
        """Small enough to learn a few crops within seconds."""
        return cls(letters, PlateReaderOptions(encoder="tiny"))

    def forward(self, pixels: Tensor) -> Maps:
        """float [B, 1, H, W] in 0..1 → logits; nothing depends on the data's values."""
        pyramid = self.encoder(pixels)
        x = pyramid[self.levels[0]]
        for rise, level in zip(self.rises, self.levels[1:], strict=True):
            x = rise(x, pyramid[level])
        maps = self.maps(self.blend(self.last(x, self.detail(pixels)))).float()  # [B, 1 + A + 2, h, w]
        ink = 1 + self.letters
        return Maps(maps[:, :ink], maps[:, ink], maps[:, ink + 1], self.sequence(x).float())

    def losses(self, pixels: Tensor, targets: ReaderTargets) -> dict[str, Tensor]:
        """Named, weighted terms: means over pictures."""
        said, how = self(pixels), self.options
        labels = targets.labels.long()
        ink = 1 - said.glyph.softmax(dim=1)[:, 0]
        return {
            "glyph": how.glyph_weight * glyph_error(said.glyph, labels, how.ink_weight).mean(),
            "dice": how.dice_weight * dice_error(ink, (labels > 0).float()).mean(),
            "core": how.core_weight * middle_error(said.core, targets.core.float(), targets.lines).mean(),
            "line": how.line_weight * line_error(said.line, targets.lines).mean(),
            "sequence": how.sequence_weight * sequence_error(said.sequence, targets.text).mean(),
        }


def glyph_error(logits: Tensor, labels: Tensor, ink_weight: float) -> Tensor:
    """Cross-entropy of every pixel, ink counting more, [B, C, h, w] and [B, h, w] → [B]."""
    each = functional.cross_entropy(logits, labels, reduction="none")
    weight = torch.where(labels > 0, ink_weight, 1.0)
    return (each * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def middle_error(logits: Tensor, wanted: Tensor, lines: Tensor) -> Tensor:
    """Cross-entropy and overlap of the characters' middles, [B, h, w] → [B].

    Where characters stand, what lies between two middles counts as much as they do: weighed up, middles would grow
    together where it is not sure how wide they are.
    """
    each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = 1 + 2 * (lines > 0).to(logits.dtype)
    return (each * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)) + 0.5 * dice_error(logits.sigmoid(), wanted)


def line_error(logits: Tensor, lines: Tensor) -> Tensor:
    """Cross-entropy of which line, where there is a character, [B, h, w] → [B]."""
    there = (lines > 0).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(logits, (lines == 2).to(logits.dtype), reduction="none")
    return (each * there).sum(dim=(1, 2)) / there.sum(dim=(1, 2)).clamp(min=1.0)


def dice_error(share: Tensor, wanted: Tensor) -> Tensor:
    """1 − the overlap of two soft masks, [B, h, w] → [B]; a handful of pixels softens it where nothing is wanted."""
    both = (share * wanted).sum(dim=(1, 2))
    return 1 - (2 * both + 8) / (share.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2)) + 8)


def sequence_error(logits: Tensor, text: Tensor) -> Tensor:
    """CTC by character, [B, T, C] and [B, M] → [B]; an empty text wants nothing but blanks."""
    steps = logits.shape[1]
    length = (text > 0).sum(dim=1)
    time = torch.full_like(length, steps)
    given = functional.ctc_loss(
        logits.log_softmax(dim=2).transpose(0, 1), text, time, length, reduction="none", zero_infinity=True
    )
    return given / length.clamp(min=4)
