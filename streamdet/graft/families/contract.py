"""What a family of detectors knows: its heads, its pixels, and the way from its outputs to the cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Anchor, FitMode, Rounding
from streamdet.errors import ModelRefused
from streamdet.graft.nms_graph import CutShape
from streamdet.graft.normalisation import PixelRange
from streamdet.graft.writer import GraphWriter
from streamdet.manifest import Fit

Colour = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Head:
    """One output of the raw network, as it came out of a real run with one picture (or the file's fixed batch)."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        """Scores and boxes are; labels are not."""
        return self.dtype.kind == "f"


@dataclass(frozen=True)
class Network:
    """The facts about a raw network that families are recognised and decoded by."""

    size: tuple[int, int]  # width, height of the input
    batch: int  # of the probing run
    heads: tuple[Head, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    extra_inputs: tuple[str, ...] = ()
    makers: dict[str, frozenset[str]] = field(default_factory=dict)  # output → operators its numbers come out of
    operators: frozenset[str] = frozenset()
    samples: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)  # outputs of the probing run
    classes: tuple[str, ...] = ()  # the names, where known

    def head(self, *names: str) -> Head | None:
        """The first output with one of these names."""
        return next((head for head in self.heads if head.name.lower() in names), None)

    def is_bare(self, head: Head) -> bool:
        """Whether the output comes straight from convolutions, through sigmoids at most: nothing is decoded."""
        makers = self.makers.get(head.name, frozenset())
        return "Conv" in makers and makers <= {"Conv", "Sigmoid"}

    def grid_cells(self, *strides: int) -> int:
        """Cells of the grids of these strides together."""
        width, height = self.size
        return sum(-(-width // stride) * -(-height // stride) for stride in strides)


@dataclass(frozen=True)
class Preparation:
    """How a family was taught to see pictures; None where the family alone does not say."""

    pixels: PixelRange | None
    colour: Colour = "rgb"
    mode: FitMode = "letterbox"
    anchor: Anchor = "centre"
    pad: int = 114
    rounding: Rounding = "round"

    @property
    def fit(self) -> Fit:
        """The same as the manifest says it."""
        return Fit(mode=self.mode, anchor=self.anchor, pad=self.pad, rounding=self.rounding)


class Family(Protocol):
    """One output form.

    `fits` says whether the heads could be of this form at all; `certain` whether they can be nothing else. A family
    is taken without being named only where exactly one is certain. `write_cut` is called once, after `class_count`,
    and appends the nodes that make `sd_boxes` and `sd_scores` (and extras) out of the raw outputs.
    """

    name: str
    title: str
    end_to_end: bool  # the network itself gives no duplicates: nothing is suppressed

    def preparation(self, network: Network) -> Preparation: ...

    def fits(self, network: Network) -> bool: ...

    def certain(self, network: Network) -> bool: ...

    def class_count(self, network: Network) -> int | None:
        """Classes in the head; None where the form does not tell (labels are numbers)."""
        ...

    def write_cut(self, writer: GraphWriter, network: Network, classes: int) -> CutShape: ...


STRIDES: tuple[tuple[int, ...], ...] = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))


def strides_of(network: Network, cells: int) -> tuple[int, ...] | None:
    """The strides whose grids have that many cells together."""
    return next((strides for strides in STRIDES if network.grid_cells(*strides) == cells), None)


def only_head(network: Network, rank: int) -> Head | None:
    """The float output of that rank, where there is exactly one."""
    found = [head for head in network.heads if head.is_float and len(head.shape) == rank]
    return found[0] if len(found) == 1 else None


def keypoint_shape(network: Network) -> tuple[int, int] | None:
    """(points, numbers per point) as Ultralytics' exporter writes them into the file."""
    text = network.metadata.get("kpt_shape", "")
    digits = [int(part) for part in text.strip("[]() ").split(",") if part.strip().isdigit()]
    return (digits[0], digits[1]) if len(digits) == 2 and digits[1] in (2, 3) else None


def pair_of_heads(network: Network) -> tuple[Head, Head] | None:
    """(boxes [B, N, 4], scores [B, N, C]) where the network has exactly such a pair; names decide where C is 4."""
    floats = [head for head in network.heads if head.is_float and len(head.shape) == 3]
    if len(floats) != 2 or floats[0].shape[:2] != floats[1].shape[:2]:
        return None
    boxes = [head for head in floats if head.shape[2] == 4]
    if len(boxes) == 2:
        boxes = [head for head in boxes if "box" in head.name.lower() or head.name.lower() == "dets"]
    if len(boxes) != 1:
        return None
    scores = floats[0] if boxes[0] is floats[1] else floats[1]
    return boxes[0], scores


def wrong_form(family: str, network: Network, expected: str) -> ModelRefused:
    """The refusal of a family that was named and does not fit."""
    got = ", ".join(f"{head.name} {head.dtype} {list(head.shape)}" for head in network.heads)
    return ModelRefused(f"the outputs are not those of the family {family}", expected=expected, got=got)
