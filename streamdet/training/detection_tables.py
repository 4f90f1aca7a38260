"""A detector's scores as the tables of its card."""

from __future__ import annotations

import math

from streamdet.datasets.samples import DataSet
from streamdet.evaluation.detections import DetectionScores

_FIGURES = {
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "map_small": "mAP50-95, small objects",
    "map_medium": "mAP50-95, medium objects",
    "map_large": "mAP50-95, large objects",
}


def tables_of(scores: DetectionScores) -> list[str]:
    """Lines of Markdown: all classes, each class, and the pictures that were drawn beside the card."""
    return [
        *numbers_of(scores),
        "",
        "![losses](plots/losses.png) ![scores](plots/scores.png)",
        "![precision over recall](plots/precision_recall.png) ![confusion](plots/confusion.png)",
        "",
        "The pictures that it does worst on; objects green, detections red:",
        "",
        "![worst](plots/worst.jpg)",
    ]


def numbers_of(scores: DetectionScores) -> list[str]:
    """Lines of Markdown: the figures of all classes together, and of each."""
    return [
        "| | |",
        "|---|---:|",
        *(f"| {title} | {_share(scores.figures()[name])} |" for name, title in _FIGURES.items()),
        *(
            f"| {title}, masks | {_share(scores.figures()[f'mask_{name}'])} |"
            for name, title in _FIGURES.items()
            if scores.masks is not None
        ),
        f"| best F1, at score {scores.best.score:.2f} | {_share(scores.best.f1)} |",
        "",
        "| class | objects | AP50-95 | AP50 | precision | recall |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {one.name} | {one.objects} | {_share(one.ap50_95)} | {_share(one.ap50)} "
            f"| {_share(one.precision)} | {_share(one.recall)} |"
            for one in scores.per_class
        ),
    ]


def counted(data_set: DataSet) -> str:
    """How much there is of it."""
    entries = data_set.entries
    return f"{len(entries)} pictures, {sum(len(entry.objects) for entry in entries)} objects"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
