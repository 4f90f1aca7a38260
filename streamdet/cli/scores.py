"""Scores of a detector in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamdet.cli.console import say

if TYPE_CHECKING:
    from streamdet.evaluation.detections import DetectionScores
    from streamdet.evaluation.proposals import ProposalScores
    from streamdet.evaluation.segmentation import SegmentScores


def print_scores(label: str, scores: DetectionScores) -> None:
    """The whole, then class by class, then what a threshold gives."""
    from rich.markup import escape
    from rich.table import Table

    ignored = f", {scores.ignored} ignored" if scores.ignored else ""
    say(f"{escape(label)}, {escape(scores.data)}: {scores.pictures} pictures, {scores.objects} objects{ignored}")
    columns = ("mAP50-95", "mAP50", "mAP75", *scores.by_size, "VOC 11-point", "VOC area")
    whole = Table(*columns, box=None, padding=(0, 2, 0, 0))
    figures = (scores.map50_95, scores.map50, scores.map75, *scores.by_size.values())
    whole.add_row(*(_share(value) for value in (*figures, scores.voc_11_point, scores.voc_area)))
    say(whole)
    if scores.masks is not None:
        masks = scores.masks
        table = Table(*(f"mask {column}" for column in ("mAP50-95", "mAP50", "mAP75", *masks.by_size)), box=None)
        table.add_row(*(_share(value) for value in masks.figures().values()))
        say(table)
    table = Table("class", box=None, padding=(0, 2, 0, 0))
    for column in ("objects", "AP50-95", "AP50", "11-point", "area", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for one in scores.per_class:
        averages = (one.ap50_95, one.ap50, one.voc_11_point, one.voc_area, one.precision, one.recall, one.f1)
        table.add_row(escape(one.name), str(one.objects), *(_share(value) for value in averages))
    say(table)
    best = scores.best
    say(
        f"F1 is best, {_share(best.f1)}, for score > {best.score:.3f}: "
        f"precision {_share(best.precision)}, recall {_share(best.recall)}"
    )
    if scores.score != best.score:
        say(f"counted here: score > {scores.score:.3f}")


def print_segment_scores(label: str, scores: SegmentScores) -> None:
    """Class by class, then the whole."""
    from rich.markup import escape
    from rich.table import Table

    say(f"{escape(label)}, {escape(scores.data)}: {scores.pictures} pictures")
    table = Table("class", box=None, padding=(0, 2, 0, 0))
    for column in ("pixels", "IoU"):
        table.add_column(column, justify="right")
    pixels = scores.confusion.sum(axis=1).tolist()
    for name, count, iou in zip(("nothing", *scores.classes), pixels, scores.overlap.tolist(), strict=True):
        table.add_row(escape(name), f"{count:,}", _share(iou))
    say(table)
    say(f"mean IoU {_share(scores.mean_overlap)}, pixels right {_share(scores.pixel_accuracy)}")


def print_proposal_scores(scores: ProposalScores) -> None:
    """The whole, class by class, then recall by the number of proposals."""
    from rich.markup import escape
    from rich.table import Table

    say(f"{escape(scores.method)}, {escape(scores.data)}: {scores.pictures} pictures, {scores.objects} objects")
    say(f"{scores.mean_number:.0f} proposals per picture; the best {scores.limit} are counted")
    table = Table("class", box=None, padding=(0, 2, 0, 0))
    for column in ("objects", "recall at 0.5", "best overlap"):
        table.add_column(column, justify="right")
    for name, (objects, recall, overlap) in scores.per_class.items():
        table.add_row(escape(name), str(objects), _share(recall), _share(overlap))
    table.add_row("all", str(scores.objects), _share(scores.recall50), _share(scores.average_best_overlap))
    say(table)
    numbers = Table("proposals", *map(str, scores.recall_by_number), box=None, padding=(0, 2, 0, 0))
    numbers.add_row("recall at 0.5", *map(_share, scores.recall_by_number.values()))
    numbers.add_row("average recall", *map(_share, scores.average_recall_by_number.values()))
    say(numbers)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal's error stream, gone when it is full."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
