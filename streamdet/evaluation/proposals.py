"""How good proposals are: what no box lies upon, no classifier behind can find."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import iou
from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError, MissingExtra
from streamdet.proposals.contract import Proposals

NUMBERS = (1, 3, 10, 30, 100, 300, 1000, 2000, 5000, 10000)  # of proposals per picture that curves show
OVERLAPS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())


@dataclass(frozen=True)
class ProposalScores:
    """Recall: the share of objects that some proposal overlaps by enough."""

    data: str
    method: str
    pictures: int
    objects: int  # that count: neither ignored nor without area
    mean_number: float  # proposals per picture, all of them
    limit: int  # as many of each picture's best are counted in what follows
    recall50: float
    recall70: float
    average_recall: float  # mean over overlaps from 0.5 to 0.95
    average_best_overlap: float  # mean over objects
    mean_average_best_overlap: float  # mean over classes of the mean over their objects
    per_class: dict[str, tuple[int, float, float]]  # objects, recall at 0.5, average best overlap
    recall_by_number: dict[int, float]  # at an overlap of one half
    average_recall_by_number: dict[int, float]
    best_overlap: npt.NDArray[np.float32] = field(repr=False)  # [objects], with `limit` proposals

    def as_json(self) -> dict[str, Any]:
        """All figures, without the single objects."""
        names = [name for name in self.__dataclass_fields__ if name not in ("best_overlap", "per_class")]
        per_class = {
            name: {"objects": objects, "recall50": recall, "average_best_overlap": overlap}
            for name, (objects, recall, overlap) in self.per_class.items()
        }
        return {**{name: getattr(self, name) for name in names}, "per_class": per_class}


def score_proposals(data_set: DataSet, method: str, found: Iterable[Proposals], *, limit: int = 2000) -> ProposalScores:
    """Compare each picture's proposals, in the order of the data set, with what is there."""
    numbers = sorted({*(number for number in NUMBERS if number <= limit), limit})
    overlaps, classes, counts = [], [], []
    for entry, proposals in zip(data_set.entries, found, strict=True):
        counts.append(len(proposals))
        truth = entry.objects
        wide = (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all(axis=1)
        counted = wide & ~truth.ignored & (truth.class_id >= 0)
        overlaps.append(best_overlaps(truth.xyxy[counted], proposals, numbers))
        classes.append(truth.class_id[counted])
    best = np.concatenate(overlaps) if overlaps else np.zeros((0, len(numbers)), np.float32)
    class_id = np.concatenate(classes) if classes else np.zeros(0, np.int64)
    if not len(best):
        raise ConfigError("there is nothing to find in the data set", where=data_set.name)
    at_limit = best[:, -1]
    per_class = {}
    for number, name in enumerate(data_set.classes):
        mine = at_limit[class_id == number]
        if len(mine):
            per_class[name] = (len(mine), float((mine >= 0.5).mean()), float(mine.mean()))
    return ProposalScores(
        data=data_set.name,
        method=method,
        pictures=len(counts),
        objects=len(best),
        mean_number=float(np.mean(counts)),
        limit=limit,
        recall50=float((at_limit >= 0.5).mean()),
        recall70=float((at_limit >= 0.7).mean()),
        average_recall=_average_recall(at_limit),
        average_best_overlap=float(at_limit.mean()),
        mean_average_best_overlap=float(np.mean([overlap for _, _, overlap in per_class.values()])),
        per_class=per_class,
        recall_by_number={number: float((best[:, i] >= 0.5).mean()) for i, number in enumerate(numbers)},
        average_recall_by_number={number: _average_recall(best[:, i]) for i, number in enumerate(numbers)},
        best_overlap=at_limit,
    )


def best_overlaps(
    truth: npt.NDArray[np.float32], proposals: Proposals, numbers: Iterable[int]
) -> npt.NDArray[np.float32]:
    """Per object the overlap with the best of the first so many proposals, f32 [objects, numbers]."""
    wanted = np.array(list(numbers))
    if not len(proposals):
        return np.zeros((len(truth), len(wanted)), np.float32)
    running = np.maximum.accumulate(iou(truth, proposals.xyxy), axis=1)
    return running[:, np.minimum(wanted, len(proposals)) - 1]


def _average_recall(best: npt.NDArray[np.float32]) -> float:
    return float(np.mean([(best >= overlap).mean() for overlap in OVERLAPS]))


def draw_recall(scores: Iterable[ProposalScores], path: Path) -> None:
    """Recall over the number of proposals, and over the overlap asked for; one line per method."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "eval", "drawing curves") from error
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    by_number, by_overlap = figure.subplots(1, 2)
    overlaps = np.linspace(0.5, 1, 101)
    for one in scores:
        by_number.plot(
            list(one.recall_by_number), list(one.recall_by_number.values()), "o-", markersize=3, label=one.method
        )
        by_overlap.plot(overlaps, [(one.best_overlap >= overlap).mean() for overlap in overlaps], label=one.method)
        by_overlap.set_title(f"{one.data}: at most {one.limit} proposals")
    by_number.set(xscale="log", xlabel="proposals per picture", ylabel="recall at an overlap of 0.5", ylim=(0, 1.01))
    by_overlap.set(xlabel="overlap", ylabel="recall", xlim=(0.5, 1), ylim=(0, 1.01))
    for axes in (by_number, by_overlap):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
