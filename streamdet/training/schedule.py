"""What is done at which step: the model's phases, the small pictures at the beginning, the plain ones at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamdet.models.contract import Phase
from streamdet.training.optimiser import OptimiserOptions


@dataclass(frozen=True)
class Stretch:
    """Steps from `first` to before `last` that are all alike."""

    phase: Phase
    phase_first: int
    phase_last: int
    first: int
    last: int
    small: bool  # at low resolution
    plain: bool  # without mosaic and the like


def stretches(
    steps: int, phases: Sequence[Phase], *, small_share: float = 0.0, plain_share: float = 0.0
) -> list[Stretch]:
    """The whole training in order. Shares are of every phase of the model: each begins small and ends plain."""
    found = []
    told = 0.0
    begin = 0
    for phase in phases:
        told += phase.share
        end = steps if phase is phases[-1] else round(steps * told)
        small_end = begin + round((end - begin) * small_share)
        plain_from = end - round((end - begin) * plain_share)
        marks = sorted({begin, min(small_end, end), max(plain_from, begin), end})
        for first, last in itertools.pairwise(marks):
            small, plain = first < small_end, first >= plain_from
            found.append(Stretch(phase, begin, end, first, last, small, plain))
        begin = end
    return found


def rate_at(step: int, stretch: Stretch, options: OptimiserOptions) -> float:
    """The learning rate of a step: up to its height, then down to its end, once in every phase."""
    steps = stretch.phase_last - stretch.phase_first
    done = step - stretch.phase_first
    warm = min(round(steps * options.warm_up_share), options.warm_up_steps)
    if done < warm:
        return options.rate * (done + 1) / (warm + 1)
    progress = (done - warm) / max(steps - warm, 1)
    fallen = progress if options.schedule == "linear" else (1 - math.cos(math.pi * progress)) / 2
    return options.rate * (1 - (1 - options.final_ratio) * fallen)
