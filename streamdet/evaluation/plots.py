"""Scores as pictures: curves, the confusion matrix, and what a detector does worst and best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamdet.datasets.samples import DataSet
from streamdet.errors import MissingExtra
from streamdet.evaluation.answers import Answer
from streamdet.evaluation.average_precision import hundred_point_ap
from streamdet.evaluation.detections import DetectionScores, PictureScores
from streamdet.evaluation.matching import FALSE, match

_NAMED = 12  # classes that a legend can bear
_SHOWN = 12  # pictures on one sheet
_JPEG_QUALITY = 80  # lines and letters stay clean; a fifth of a PNG
_MISSED, _HIT, _INVENTED, _FREE = "#ffb000", "#22bb55", "#ff3355", "#8899aa"


def draw_all(scores: DetectionScores, data_set: DataSet, folder: Path) -> list[Path]:
    """Every plot as a PNG, sheets of pictures as JPEG, in a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.png" for name in ("precision_recall", "thresholds", "confusion")}
    files |= {name: folder / f"{name}.jpg" for name in ("worst", "best")}
    draw_precision_recall(scores, files["precision_recall"])
    draw_thresholds(scores, files["thresholds"])
    draw_confusion(scores, files["confusion"])
    draw_pictures(scores, data_set, scores.worst(_SHOWN), files["worst"])
    draw_pictures(scores, data_set, scores.finest(_SHOWN), files["best"])
    return list(files.values())


def draw_precision_recall(scores: DetectionScores, path: Path) -> None:
    """One line per class at an overlap of one half, and the threshold of the best F1 upon the line of all."""
    figure = _figure(7, 5.5)
    axes = figure.add_subplot()
    *classes, every = scores.curves
    for one in classes:
        if one.positives:
            label = f"{one.name}  {hundred_point_ap(one):.3f}" if len(classes) <= _NAMED else None
            axes.plot(one.recall, one.precision, linewidth=1.2, alpha=0.8, label=label)
    axes.plot(every.recall, every.precision, color="black", linewidth=2, label="all detections together")
    label = f"score > {scores.best.score:.2f}: F1 {scores.best.f1:.3f}"
    axes.plot([scores.best.recall], [scores.best.precision], "o", color="black", label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set_title(f"{scores.data}: mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f}")
    _finish(figure, axes, path)


def draw_thresholds(scores: DetectionScores, path: Path) -> None:
    """Precision, recall and F1 of all detections over the score threshold."""
    figure = _figure(7, 4.5)
    axes = figure.add_subplot()
    every = scores.curves[-1]
    for name in ("precision", "recall", "f1"):
        axes.plot(every.score, getattr(every, name), label=name)
    axes.axvline(scores.best.score, color="black", linewidth=1, linestyle="--", label=f"best F1 {scores.best.f1:.3f}")
    axes.set(xlabel="score threshold", xlim=(0, 1), ylim=(0, 1.02), title=f"{scores.data}: what a threshold costs")
    _finish(figure, axes, path)


def draw_confusion(scores: DetectionScores, path: Path) -> None:
    """Rows are what it is, each in parts of its whole; the counts stand in the fields."""
    counts = scores.confusion
    labels = [*scores.classes, "background"]
    side = min(max(4.5, 0.7 * len(labels) + 2.5), 24)
    figure = _figure(side, side * 0.9)
    axes = figure.add_subplot()
    whole = counts.sum(axis=1, keepdims=True)
    part = np.divide(counts, whole, out=np.zeros(counts.shape), where=whole > 0)
    axes.imshow(part, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 3 * _NAMED:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                colour = "white" if part[i, j] > 0.5 else "black"
                axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="found as", ylabel="is", title=f"{scores.data}, score > {scores.score:.2f}")
    figure.savefig(path)


def draw_pictures(scores: DetectionScores, data_set: DataSet, shown: Sequence[PictureScores], path: Path) -> None:
    """A sheet of pictures with what was found, missed and invented at the common threshold."""
    columns = min(4, max(len(shown), 1))
    rows = -(-len(shown) // columns) or 1
    figure = _figure(4 * columns, 3.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, one in zip(grid, shown, strict=False):
        axes.imshow(data_set.read(one.index).rgb)
        _draw_boxes(axes, scores.answers[one.index], scores.score, scores.classes)
        errors = f"{one.hits} found, {one.missed} missed, {one.false} invented"
        axes.set_title(f"{one.key[-40:]}\n{errors}", fontsize=8)
    legend = "green: found   yellow: missed   red: invented   grey: ignored"
    figure.suptitle(f"{scores.data}, score > {scores.score:.2f}    {legend}", fontsize=10)
    figure.savefig(path, pil_kwargs={"quality": _JPEG_QUALITY, "optimize": True})


def _draw_boxes(axes: Any, answer: Answer, score: float, classes: Sequence[str]) -> None:
    found = answer.found.rows(answer.found.score > score)
    seen = match(found, answer.truth)
    order = np.argsort(-found.score, kind="stable")
    for row, box in enumerate(answer.truth.xyxy):
        if answer.truth.ignored[row]:
            _draw_box(axes, box, _FREE, "")
        elif row not in seen.row:
            _draw_box(axes, box, _MISSED, classes[int(answer.truth.class_id[row])])
    for became, box, its_score, number in zip(seen.row, found.xyxy[order], seen.score, seen.class_id, strict=True):
        if became >= 0:
            _draw_box(axes, box, _HIT, "")
        elif became == FALSE:
            _draw_box(axes, box, _INVENTED, f"{classes[int(number)]} {its_score:.2f}")


def _draw_box(axes: Any, box: Any, colour: str, label: str) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (float(edge) for edge in box)
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.3))
    if label:
        axes.text(left, top, label, color="black", fontsize=6, va="bottom", bbox={"color": colour, "pad": 0.5})


def _figure(width: float, height: float) -> Any:
    """A figure of its own, outside of pyplot's global state."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra("matplotlib", "eval", "drawing scores") from error
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _finish(figure: Any, axes: Any, path: Path) -> None:
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path)
