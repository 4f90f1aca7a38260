"""Selective search: patches joined step by step into everything that may be an object, from a button to the coat.

A picture is over-segmented; then the two likest neighbours join, and again, until one is left. Every group that came
to be on the way is a proposal: objects have any size, so all levels of the hierarchy are of use. What makes an object
hang together differs (one colour, one texture, parts that enclose each other), so this is repeated in several colour
spaces, from several starting points, with several ideas of likeness, and all boxes are pooled (Uijlings and others,
2013). The proposals of R-CNN and Fast R-CNN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.proposals.appearance import Appearance, Codes, ColourSpace, in_colour_space
from streamdet.proposals.contract import Proposals, Rgb
from streamdet.proposals.segmentation import PixelGraph, Segments


@dataclass(frozen=True)
class Cues:
    """What counts when neighbours are compared."""

    colour: bool = True  # the same shades
    texture: bool = True  # the same slopes
    size: bool = True  # small ones join first, so that no group swallows the picture
    fill: bool = True  # one that lies in the other's hollow joins it

    def weights(self) -> npt.NDArray[np.float32]:
        """1 for each that counts."""
        return np.array([self.colour, self.texture, self.size, self.fill], np.float32)


@dataclass(frozen=True)
class Strategy:
    """Every combination of these is one hierarchy."""

    spaces: tuple[ColourSpace, ...]
    scales: tuple[float, ...]  # of the over-segmentation
    cues: tuple[Cues, ...]


_ALL, _COLOURLESS = Cues(), Cues(colour=False)

STRATEGIES: dict[str, Strategy] = {
    "single": Strategy(("hsv",), (200.0,), (_ALL,)),
    "fast": Strategy(("hsv", "lab"), (150.0, 300.0, 450.0), (_ALL, _COLOURLESS)),
    "quality": Strategy(
        ("hsv", "lab", "grey", "hue", "normalised"),
        (150.0, 300.0, 450.0, 600.0, 750.0),
        (
            _ALL,
            _COLOURLESS,
            Cues(colour=False, texture=False, size=False),
            Cues(colour=False, texture=False, fill=False),
        ),
    ),
}


class SelectiveSearchOptions(BaseModel):
    """Options of selective search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Annotated[
        Literal["single", "fast", "quality"], Field(description="One hierarchy, 12 or 100: more boxes, more time.")
    ] = "fast"
    sigma_px: Annotated[float, Field(ge=0, description="Blur before the over-segmentation.")] = 0.8
    smallest_px: Annotated[int, Field(ge=1, description="Fewest pixels of a patch that joining begins with.")] = 100
    most: Annotated[int | None, Field(ge=1, description="Keep this many boxes; None: all.")] = None
    seed: Annotated[int, Field(ge=0, description="Of the chance in the order of the boxes.")] = 0


class SelectiveSearch:
    """A Proposer."""

    name = "selective-search"

    def __init__(self, options: SelectiveSearchOptions | None = None) -> None:
        self.options = options or SelectiveSearchOptions()

    def __call__(self, rgb: Rgb) -> Proposals:
        strategy = STRATEGIES[self.options.strategy]
        hierarchies: list[npt.NDArray[np.int32]] = []
        for space in strategy.spaces:
            planes = in_colour_space(rgb, space)
            graph, codes = PixelGraph(planes, self.options.sigma_px), Codes(planes)
            for scale in strategy.scales:
                segments = graph.segments(scale, self.options.smallest_px)
                hierarchies += _hierarchies(segments, codes.of(segments), strategy.cues)
        found = _by_objectness(hierarchies, self.options.seed)
        return found.best(self.options.most or len(found))


def _hierarchies(segments: Segments, appearance: Appearance, cues: tuple[Cues, ...]) -> list[npt.NDArray[np.int32]]:
    """The boxes of one over-segmentation, joined by each idea of likeness."""
    from streamdet.proposals.grouping_kernels import group, touching

    low, high = np.sort(touching(segments.label), axis=1).astype(np.int64).T
    once = np.unique(low * segments.count + high)
    pairs = np.stack([once // segments.count, once % segments.count], axis=1).astype(np.int32)
    looks = (appearance.colour, appearance.texture, appearance.size, appearance.xyxy)
    return [group(*looks, pairs, each.weights(), float(segments.label.size)) for each in cues]


def _by_objectness(hierarchies: list[npt.NDArray[np.int32]], seed: int) -> Proposals:
    """All boxes once, likely objects first.

    The higher in its hierarchy, the likelier; yet strictly by height the large ones would all come first. So a box's
    rank counts from the top and is drawn down by chance; of equal boxes the best rank counts.
    """
    chance = np.random.default_rng(seed)
    ranks = [np.arange(len(boxes), 0, -1) * chance.random(len(boxes)) for boxes in hierarchies]
    boxes, rank = np.concatenate(hierarchies), np.concatenate(ranks)
    order = np.argsort(rank, kind="stable")
    _, first = np.unique(boxes[order], axis=0, return_index=True)
    kept = order[np.sort(first)]
    score = (1 / (1 + rank[kept])).astype(np.float32)
    return Proposals(boxes[kept].astype(np.float32), score)
