"""What the numbers of the last steps say, and the message when they are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from streamdet.errors import TrainingFailed
from streamdet.training.learning import StepReport
from streamdet.training.schedule import Stretch


@dataclass(frozen=True)
class Window:
    """The means over some steps, broken ones left out."""

    rate: float
    terms: dict[str, float]
    norm: float
    broken: int


class Pulse:
    """Reads the steps' numbers and gives up when too many in a row are broken."""

    def __init__(self, broken_at_most: int) -> None:
        self._at_most = broken_at_most
        self._in_a_row = 0

    def read(self, reports: Sequence[StepReport], stretch: Stretch) -> Window:
        """The window's means; TrainingFailed with a diagnosis where broken steps persist."""
        rows = torch.stack([report.numbers for report in reports]).tolist()  # the only wait for the device
        whole = []
        for report, row in zip(reports, rows, strict=True):
            if not row[-1]:
                self._in_a_row = 0
                whole.append(row)
                continue
            self._in_a_row += 1
            if self._in_a_row >= self._at_most:
                raise _failure(report, row, self._in_a_row, stretch)
        means = [math.fsum(column) / len(whole) for column in zip(*whole, strict=True)] if whole else rows[-1]
        names = reports[-1].names
        return Window(
            reports[-1].rate, dict(zip(names, means, strict=False)), means[len(names)], len(rows) - len(whole)
        )


def _failure(report: StepReport, row: Sequence[float], in_a_row: int, stretch: Stretch) -> TrainingFailed:
    terms = dict(zip(report.names, row, strict=False))
    broken = [f"{name} {value:.3g}" for name, value in terms.items() if not math.isfinite(value)]
    told = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
    pictures = ", ".join(report.keys[:4]) + (f" and {len(report.keys) - 4} more" if len(report.keys) > 4 else "")
    hint = (
        "the losses themselves break: look at these pictures with `streamdet data doctor`, and try fp32"
        if broken
        else "the losses are sound and the gradients are not: a rate ten times smaller, a longer warm-up, or fp32"
    )
    return TrainingFailed(
        f"{in_a_row} steps in a row gave no finite numbers; the weights are as they were before",
        where=f"step {report.step + 1}, phase {stretch.phase.name!r}, learning rate {report.rate:.3g}; {pictures}",
        expected="finite losses and gradients",
        got=f"{'losses ' + ', '.join(broken) if broken else 'gradients'} (of {told})",
        hint=hint,
    )
