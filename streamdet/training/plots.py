"""Pictures of a training: losses and scores over time, precision over recall, confusion, the best and the worst."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamdet.boxes import Boxes
from streamdet.datasets.samples import DataSet, Rgb
from streamdet.errors import MissingExtra
from streamdet.evaluation.detections import DetectionScores, PictureScores
from streamdet.models.weights import write_whole
from streamdet.training.run_folder import RunFolder, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 9  # pictures on a sheet
_THUMB_PX = 480
_CAPTION_PX = 24
_TRUTH, _FOUND = (40, 200, 60), (230, 60, 40)


def draw_plots(folder: RunFolder, scores: DetectionScores, data_set: DataSet) -> list[Path]:
    """Everything that can be drawn of a finished training, into plots/."""
    return [*draw_curves(folder, "mAP", ["map50_95", "map50"]), *draw_answers(folder, scores, data_set)]


def draw_answers(folder: RunFolder, scores: DetectionScores, data_set: DataSet) -> list[Path]:
    """What it answers in the end: precision over recall, confusion, the best and the worst pictures."""
    folder.plots.mkdir(exist_ok=True)
    drawn = [
        _figure(folder.plots / "precision_recall.png", lambda axes: _precision_recall(axes, scores)),
        _figure(folder.plots / "confusion.png", lambda axes: _confusion(axes, scores)),
    ]
    for name, chosen in (("worst", scores.worst(_SHOWN)), ("best", scores.finest(_SHOWN))):
        path = folder.plots / f"{name}.jpg"
        _sheet(path, chosen, scores, data_set)
        drawn.append(path)
    return drawn


def draw_curves(folder: RunFolder, what: str, scores: Sequence[str]) -> list[Path]:
    """Losses, rate and these scores over the steps."""
    folder.plots.mkdir(exist_ok=True)
    rows = read_metrics(folder)
    losses = [name for name in (rows[0] if rows else {}) if name.startswith("loss")]
    figures = {"losses": ("loss", losses), "learning_rate": ("rate", ["learning_rate"]), "scores": (what, scores)}
    return [
        _figure(folder.plots / f"{file}.png", partial(_curves, rows=rows, names=names, what=unit))
        for file, (unit, names) in figures.items()
    ]


def _figure(path: Path, draw: Callable[[Any], None]) -> Path:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra("matplotlib", "train", "the plots of a training") from error
    figure = Figure(figsize=(7, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(path, lambda file: file.write(content.getvalue()))
    return path


def _curves(axes: Axes, rows: Sequence[dict[str, str]], names: Sequence[str], what: str) -> None:
    for name in names:
        points = [(float(row["step"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else None)
    axes.set_xlabel("step")
    axes.set_ylabel(what)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def _precision_recall(axes: Axes, scores: DetectionScores) -> None:
    for curve in scores.curves:
        if curve.positives:
            wide = 2.5 if curve.name == "all" else 1.2
            axes.plot(curve.recall, curve.precision, label=f"{curve.name} ({curve.positives})", linewidth=wide)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"{scores.data}, overlap 0.5")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def _confusion(axes: Axes, scores: DetectionScores) -> None:
    counts = scores.confusion
    labels = [*scores.classes, "background"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="taken for", ylabel="is", title=f"{scores.data}, score above {scores.score:.2f}")
    if len(labels) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)


def _sheet(path: Path, chosen: Sequence[PictureScores], scores: DetectionScores, data_set: DataSet) -> None:
    """Some pictures on one, objects green, detections red."""
    import cv2

    tiles = [_tile(one, scores, data_set) for one in chosen]
    columns = max(1, math.ceil(math.sqrt(len(tiles))))
    rows = max(1, math.ceil(len(tiles) / columns))
    height = max((tile.shape[0] for tile in tiles), default=1)  # wide pictures leave no gaps between rows
    canvas = np.full((rows * height, columns * _THUMB_PX, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * _THUMB_PX
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    content = cv2.imencode(".jpg", canvas[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    write_whole(path, lambda file: file.write(content))


def _tile(one: PictureScores, scores: DetectionScores, data_set: DataSet) -> Rgb:
    import cv2

    answer = scores.answers[one.index]
    rgb = data_set.read(one.index).rgb
    ratio = (_THUMB_PX - 4) / max(rgb.shape[:2])
    tile = cv2.resize(rgb, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    _boxes(tile, answer.truth.xyxy * ratio, _TRUTH)
    _boxes(tile, answer.found.xyxy[answer.found.score > scores.score] * ratio, _FOUND)
    said = f"{one.hits} right, {one.missed} missed, {one.false} false"
    caption = np.full((_CAPTION_PX, tile.shape[1], 3), 255, np.uint8)  # above the picture: nothing of it is hidden
    cv2.putText(caption, said, (4, _CAPTION_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([caption, tile])


def _boxes(rgb: Rgb, xyxy: Boxes, colour: tuple[int, int, int]) -> None:
    import cv2

    for left, top, right, bottom in np.rint(xyxy).astype(int).tolist():
        cv2.rectangle(rgb, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
