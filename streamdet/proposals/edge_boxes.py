"""Edge boxes: a box that holds whole contours probably holds an object; one that cuts through them does not.

Edge pixels are gathered into short curves, and neighbouring curves that continue each other smoothly are tied. A box
scores by the contours within it, less all that is tied to what crosses its rim, less what lies in its middle; over its
girth, so that large boxes have no advantage. A grid of windows is scored, the promising ones are moved until their
score is best, and of those that overlap much the better one stays (Zitnick and Dollár, 2014).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.proposals.contract import Proposals, Rgb
from streamdet.proposals.edge_map import EdgeMap, edge_map

_TURNS = 6  # of refinement, at most
_TIED_PX = 2  # curves with pixels this near are neighbours
_FAINT = 0.05  # affinities below do not count
_GIRTH_POWER = 1.5  # more than 1: a box twice as large holds more than twice the contours by chance


class EdgeBoxOptions(BaseModel):
    """Options of edge boxes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step_overlap: Annotated[
        float, Field(gt=0, lt=1, description="Overlap of neighbouring windows of the grid: more is finer and slower.")
    ] = 0.65
    suppress: Annotated[float, Field(gt=0, le=1, description="Of two that overlap by more, the better stays.")] = 0.75
    smallest_px: Annotated[int, Field(ge=16, description="Area of the smallest window.")] = 1000
    greatest_aspect: Annotated[float, Field(ge=1, description="Longer side / shorter side, at most.")] = 4.0
    edge_floor: Annotated[float, Field(ge=0, lt=1, description="Edges fainter than this are none.")] = 0.2
    scored: Annotated[
        int, Field(ge=1, description="How many windows are scored: those with the most contours over their girth.")
    ] = 30_000
    refined: Annotated[int, Field(ge=1, description="How many of the best windows are moved into place.")] = 1000
    most: Annotated[int, Field(ge=1, description="Keep this many.")] = 4000


class EdgeBoxes:
    """A Proposer."""

    name = "edge-boxes"

    def __init__(self, options: EdgeBoxOptions | None = None) -> None:
        self.options = options or EdgeBoxOptions()

    def __call__(self, rgb: Rgb) -> Proposals:
        return self.of_edges(edge_map(rgb))

    def of_edges(self, edges: EdgeMap) -> Proposals:
        """The same of contours that were found elsewhere."""
        from streamdet.proposals.edge_scoring_kernels import keep_apart, score_boxes

        options = self.options
        height, width = edges.strength.shape
        windows = window_grid(width, height, options)
        judge = _judge(edges, options.edge_floor)
        bound, _ = score_boxes(windows, *judge, _GIRTH_POWER, -1)
        windows = windows[_best(bound, options.scored)]
        score, _ = score_boxes(windows, *judge, _GIRTH_POWER, 0)
        ranked = _best(score, len(score))
        windows, score = windows[ranked], score[ranked]
        refined, moved = score_boxes(windows[: options.refined], *judge, _GIRTH_POWER, _TURNS)
        score = np.concatenate([refined, score[options.refined :]])
        moved = np.concatenate([moved, windows[options.refined :]])
        order = np.argsort(-score, kind="stable")
        kept = order[keep_apart(moved[order], options.suppress, options.most)]
        return Proposals(moved[kept].astype(np.float32), score[kept].astype(np.float32))


def _best(score: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """The rows of the best scores above nothing, best first."""
    order = np.argsort(-score, kind="stable")[:count]
    return order[score[order] > 0]


def window_grid(width: int, height: int, options: EdgeBoxOptions) -> npt.NDArray[np.int32]:
    """Windows of all sizes, shapes and places, i32 [N, 4], neighbours overlapping by `step_overlap`."""
    alpha = options.step_overlap
    aspect_step, size_step, shift = (1 + alpha) / (2 * alpha), (1 / alpha) ** 0.5, (1 - alpha) / (1 + alpha)
    turns = int(np.log(options.greatest_aspect) / np.log(aspect_step**2) + 1e-9)
    found = []
    side = options.smallest_px**0.5
    while side <= max(width, height):
        for turn in range(-turns, turns + 1):
            across, down = round(side * aspect_step**turn), round(side / aspect_step**turn)
            if across > width or down > height:
                continue
            x, y = (
                grid.ravel()
                for grid in np.meshgrid(_starts(width, across, shift), _starts(height, down, shift), indexing="xy")
            )
            found.append(np.stack([x, y, x + across, y + down], axis=1))
        side *= size_step
    whole = np.array([[0, 0, width, height]])
    return np.concatenate([*found, whole]).astype(np.int32)


def _starts(length: int, window: int, shift: float) -> npt.NDArray[np.int64]:
    steps = int(np.ceil((length - window) / max(window * shift, 1)))
    return np.round(np.linspace(0, length - window, steps + 1)).astype(np.int64)


def _judge(edges: EdgeMap, floor: float) -> tuple[Any, ...]:
    """All that scoring asks of one picture, in the order of score_boxes."""
    from streamdet.proposals.edge_kernels import edge_groups, middle_pixels, near_groups, summed_groups
    from streamdet.proposals.edge_scoring_kernels import jumps

    number, groups = edge_groups(edges.strength, edges.direction, floor)
    mass, x, y, along = summed_groups(edges.strength, edges.direction, number, groups)
    column, row = middle_pixels(number, x, y)
    start, other, affinity = _ties(np.unique(near_groups(number, _TIED_PX)), x, y, along)
    in_the_middle = np.zeros(number.shape)
    np.add.at(in_the_middle, (row, column), mass)
    on_lines = np.where(number >= 0, edges.strength, 0)
    sums = (_integral(in_the_middle), _integral(on_lines))
    return number, *jumps(number), mass, column, row, start, other, affinity, *sums


def _ties(
    keys: npt.NDArray[np.int64], x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], along: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Neighbours of each curve, row by row: where its rows start, who they are, and how smoothly they continue it.

    Two curves continue each other where both run along the line between their centres.
    """
    low, high = keys >> 32, keys & 0xFFFFFFFF
    between = np.arctan2(y[high] - y[low], x[high] - x[low])
    affinity = (np.cos(along[low] - between) * np.cos(along[high] - between)) ** 2
    kept = affinity > _FAINT
    one, two = np.concatenate([low[kept], high[kept]]), np.concatenate([high[kept], low[kept]])
    order = np.argsort(one, kind="stable")
    start = np.zeros(len(x) + 1, np.int32)
    np.cumsum(np.bincount(one, minlength=len(x)), out=start[1:])
    return start, two[order].astype(np.int32), np.tile(affinity[kept], 2)[order].astype(np.float32)


def _integral(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.astype(np.float64).cumsum(0).cumsum(1)
    return sums
