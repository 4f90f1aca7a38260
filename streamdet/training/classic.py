"""Training a detector from before networks: no steps and no batches, but rounds of mistakes; minutes on one core.

Who asks it to stop gets what was learnt in the rounds so far. A run that broke off begins anew: the same seed gives the
same detector.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.plots import draw_all
from streamdet.models.classic.dpm_learning import PartsShape, learn_parts
from streamdet.models.classic.hog import HogOptions
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.mining import Learning, MiningOptions, learn_windows
from streamdet.models.classic.saved import ClassicDetector, load_classic
from streamdet.models.classic.window import Window
from streamdet.models.classic.window_detector import WindowDetector
from streamdet.models.weights import write_whole
from streamdet.training.card import commit
from streamdet.training.checkpoint import Progress
from streamdet.training.course import Outcome
from streamdet.training.detection_tables import counted, numbers_of
from streamdet.training.labelled import DataSets, examined, open_all
from streamdet.training.options import DataOptions
from streamdet.training.rendered_plates import RenderedPlates, with_corners
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder

Cells = Annotated[int, Field(ge=1, le=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Search(_Section):
    margin_cells: Annotated[int, Field(ge=0, le=8, description="Of what is around an object, on each side.")] = 1
    per_octave: Annotated[int, Field(ge=1, le=16, description="Sizes of the picture from one to its half.")] = 8
    enlarge: Annotated[float, Field(gt=0, le=4, description="Of the picture at its largest: for small objects.")] = 1.0
    overlap: Annotated[float, Field(gt=0, le=1, description="Above which the weaker of two answers goes.")] = 0.3


class HogWindows(_Search):
    """Histograms of slopes in one stiff template, and a linear SVM."""

    family: Literal["hog_windows"] = "hog_windows"
    cells: Annotated[tuple[Cells, Cells], Field(description="The window across and down, its margin included.")]
    cell_px: Annotated[int, Field(ge=2, le=32, description="Side of a cell.")] = 6


class DeformableParts(_Search):
    """A template of the whole, finer ones of its parts, springs between them; a mixture by aspect."""

    family: Literal["deformable_parts"] = "deformable_parts"
    components: Annotated[int, Field(ge=1, le=8, description="Models of the mixture, one per aspect.")] = 2
    cells_down: Annotated[int, Field(ge=1, le=32, description="Height of the whole, without its margin.")] = 2
    cell_px: Annotated[int, Field(ge=2, le=32, description="Side of a cell.")] = 5
    parts: Annotated[int, Field(ge=1, le=16, description="Of each component.")] = 6
    part_blocks: Annotated[tuple[Cells, Cells], Field(description="Size of a part, at twice the resolution.")] = (5, 4)
    per_octave: Annotated[int, Field(ge=1, le=16, description="Sizes of the picture from one to its half.")] = 6
    enlarge: Annotated[float, Field(gt=0, le=4, description="Of the picture at its largest, for the parts.")] = 1.25


class ClassicTrainOptions(_Section):
    """One training of a detector from before networks."""

    data: DataOptions
    model: Annotated[HogWindows | DeformableParts, Field(discriminator="family")]
    object: Annotated[str | None, Field(description="The class to find; not needed where there is only one.")] = None
    ignored: Annotated[
        Path | None,
        Field(description="Objects without a label, as a CSV file: file, x1, y1, x2, y2 …: not background."),
    ] = None
    rounds: Annotated[int, Field(ge=1, description="Of mistakes that are added.")] = 2
    cost: Annotated[float, Field(gt=0, description="What an error weighs against a broad street.")] = 0.01
    per_picture: Annotated[int, Field(ge=1, description="Mistakes kept of one picture and round.")] = 30
    pictures: Annotated[int, Field(ge=1, description="Looked through in a round, other ones in the next.")] = 500
    most: Annotated[int, Field(ge=1, description="Pieces of background kept.")] = 30_000
    seed: Annotated[int, Field(ge=0, description="The same seed, the same result.")] = 0

    def mining(self) -> MiningOptions:
        """How long it is learnt, and from how much."""
        return MiningOptions(self.rounds, self.cost, self.per_picture, self.pictures, self.most, self.seed)


def run_classic_training(
    options: ClassicTrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome[DetectionScores]:
    """Learn, score, and leave everything in the folder; a detector that lies there already is only scored."""
    opened = _opened(options)
    data = examined(opened, _largest(opened.train), options.data.skip_bad, folder.skipped, reporter)
    name = _object(options, data.train)
    reporter.say(f"{options.model.family}: {len(data.train.entries)} pictures to learn from")
    if command:
        folder.note(command)
    learning = _Clock(reporter, stop)
    if not folder.model.exists():
        detector = _learnt(options, name, data.train, Learning(learning.say, stop))
        folder.path.mkdir(parents=True, exist_ok=True)
        detector.save(folder.model)
    seconds = learning.seconds()
    detector = load_classic(folder.model)
    judged = data.test or data.valid
    reporter.say(f"scoring on {judged.name}: {counted(judged)}")
    begun = time.process_time()
    scores = score_detections(detector, judged)
    each_s = (time.process_time() - begun) / len(judged.entries)
    draw_all(scores, judged, folder.plots)
    _write_card(options, folder, data, scores, seconds, each_s)
    headline = f"{scores.data}: mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f}"
    return Outcome(folder.path, Progress(ended="stopped early" if stop() else "all rounds done"), scores, headline)


class _Clock:
    """Says how it goes, with the time that it took so far."""

    def __init__(self, reporter: Reporter, stop: Callable[[], bool]) -> None:
        self._reporter = reporter
        self._begun = time.process_time()

    def seconds(self) -> float:
        """CPU time since the beginning."""
        return time.process_time() - self._begun

    def say(self, line: str) -> None:
        """A line with its time."""
        self._reporter.say(f"{timedelta(seconds=round(self.seconds()))} CPU · {line}")


def _opened(options: ClassicTrainOptions) -> DataSets:
    """The pictures; those to test with also stand in for the others to judge by, where there are none."""
    told = options.data
    if told.valid is None and told.test is not None:
        told = told.model_copy(update={"valid": told.test, "test": None})
    data = open_all(told)
    if options.ignored is None:
        return data
    return replace(data, train=with_corners(data.train, RenderedPlates(ignored=options.ignored)))


def _largest(data_set: DataSet) -> tuple[int, int]:
    """Pictures are looked at as large as they are: for the doctor, a size that leaves them so."""
    sizes = np.array([entry.size for entry in data_set.entries])
    width, height = (int(side) for side in sizes.max(axis=0))
    return width, height


def _object(options: ClassicTrainOptions, data_set: DataSet) -> str:
    """The class that is learnt."""
    classes = data_set.classes
    if options.object is None and len(classes) == 1:
        return classes[0]
    if options.object not in classes:
        raise ConfigError(
            "one class must be named that is to be found",
            where="object",
            expected=" or ".join(classes),
            got=options.object,
        )
    return options.object


def _learnt(options: ClassicTrainOptions, name: str, data_set: DataSet, learning: Learning) -> ClassicDetector:
    shape = options.model
    if isinstance(shape, HogWindows):
        window = Window(shape.cells, HogOptions(shape.cell_px), shape.margin_cells)
        blank = WindowDetector(
            name, window, Plane(np.zeros(0, np.float32), 0.0), 2 ** (1 / shape.per_octave), shape.enlarge, shape.overlap
        )
        return learn_windows(blank, data_set, options.mining(), learning)
    told = PartsShape(**shape.model_dump(exclude={"family"}))
    return learn_parts(name, data_set, told, options.mining(), learning)


def _write_card(
    options: ClassicTrainOptions,
    folder: RunFolder,
    data: DataSets,
    scores: DetectionScores,
    seconds: float,
    each_s: float,
) -> None:
    """CARD.md and scores.json."""
    provenance = {
        "data": data.train.name,
        "seed": str(options.seed),
        "streamdet": metadata.version("streamdet"),
        "commit": commit(),
    }
    facts = {
        **{f"{name} data": f"{each.name}: {counted(each)}" for name, each in data.named().items()},
        "CPU time of learning": f"{timedelta(seconds=round(seconds))}",
        "CPU time per picture": f"{1000 * each_s:.0f} ms",
        "seed": options.seed,
        "streamdet": provenance["streamdet"],
        "commit": provenance["commit"] or "unknown",
    }
    text = [
        f"# {folder.path.resolve().name}",
        "",
        f"{type(options.model).__doc__}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {title} | {value} |" for title, value in facts.items()),
        "",
        *(f"    {command}" for command in folder.commands()[:1]),
        "",
        f"## Scores on {scores.data}",
        "",
        *numbers_of(scores),
        "",
        "![precision over recall](plots/precision_recall.png) ![confusion](plots/confusion.png)",
        "",
        "The pictures that it does worst on; objects green, detections red:",
        "",
        "![worst](plots/worst.jpg)",
        "",
    ]
    write_whole(folder.card, lambda file: file.write("\n".join(text).encode()))
    content = json.dumps({**scores.as_json(), "provenance": provenance}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder.scores, lambda file: file.write(content.encode()))
