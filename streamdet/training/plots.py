"""Pictures of a training: losses and scores over time, precision over recall, confusion, the best and the worst."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamdet.datasets.samples import DataSet
from streamdet.errors import MissingExtra
from streamdet.evaluation.detections import DetectionScores
from streamdet.evaluation.plots import draw_all
from streamdet.models.weights import write_whole
from streamdet.training.run_folder import RunFolder, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_plots(folder: RunFolder, scores: DetectionScores, data_set: DataSet) -> list[Path]:
    """Everything that can be drawn of a finished training, into plots/."""
    return [*draw_curves(folder, "mAP", ["map50_95", "map50"]), *draw_all(scores, data_set, folder.plots)]


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
