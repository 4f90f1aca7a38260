"""A segmenter's training: labelled pictures and options in, a run's folder out; the loop is that of the detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
from pydantic import Field

from streamdet.datasets.pictured import contact_sheet
from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet
from streamdet.drawing.colours import colour_of
from streamdet.evaluation.answers import Predictor
from streamdet.evaluation.segmentation import SegmentScores, TorchSegmenter, score_segments
from streamdet.masks import ClassMap
from streamdet.models.segmentation.catalogue import (
    SegmenterOptions,
    TrainedSegmenter,
    build_segmenter,
    load_segmenter,
    save_segmenter,
)
from streamdet.models.segmentation.contract import SegmentationModel
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.batches import Samples, collate_labels
from streamdet.training.card import Report, provenance_of
from streamdet.training.checkpoint import Progress, hash_of_labels
from streamdet.training.course import Course, Outcome, run_course
from streamdet.training.detection_tables import counted
from streamdet.training.distributed import Ranks
from streamdet.training.labelled import DataSets, examined, open_all, refuse_without_outlines
from streamdet.training.options import PictureTrainOptions
from streamdet.training.plots import draw_curves
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.running import calmed, refuse_uneven
from streamdet.training.schedule import Stretch
from streamdet.training.trainer import Task

FIGURE = "mean_iou"
_SHOWN = 12  # pictures on the sheet
_TINT = 0.5


class SegmenterTrainOptions(PictureTrainOptions):
    """One training of a segmenter."""

    model: Annotated[SegmenterOptions, Field(description="The network; `family` says which.")]


def run_segmenter_training(
    options: SegmenterTrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome[SegmentScores]:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""

    def prepare(ranks: Ranks) -> Course[SegmentScores]:
        refuse_uneven(options, ranks)
        data = examined(open_all(options.data), options.size, options.data.skip_bad, folder.skipped, reporter)
        refuse_without_outlines(data)
        task = _task(options, data, folder)
        said = (
            f"{options.model.family}, {task.model.parameter_count():,} parameters · "
            f"{len(data.train.entries)} pictures to learn from, {len(data.valid.entries)} to choose by"
        )
        return Course(task, said, lambda progress: _report(options, data, folder))

    return run_course(options, prepare, folder, reporter, command=command, stop=stop)


def _task(options: SegmenterTrainOptions, data: DataSets, folder: RunFolder) -> Task[SegmentationModel]:
    torch.manual_seed(options.seed)
    model = build_segmenter(options.model, len(data.train.classes))
    large = Augmenter(data.train, options.augment, options.size)

    def samples(stretch: Stretch) -> Samples:
        fitting = large.variant(size=options.small_size()) if stretch.small else large
        return fitting.variant(calmed(options)) if stretch.plain else fitting

    def judge(averaged: SegmentationModel) -> Mapping[str, float]:
        return _scored(averaged, options, data.valid).figures()

    def keep(averaged: SegmentationModel, progress: Progress) -> None:
        provenance = provenance_of(options, progress, data=data.train.name)
        save_segmenter(
            folder.best,
            TrainedSegmenter(averaged, options.model, data.train.classes, options.size, progress.scores, provenance),
        )

    pictures, judged = len(data.train.entries), len(data.valid.entries)
    identity = hash_of_labels(data.train)
    return Task(model, pictures, judged, samples, judge, keep, identity, collate_labels, FIGURE)


def _scored(model: SegmentationModel, options: SegmenterTrainOptions, data_set: DataSet) -> SegmentScores:
    return score_segments(TorchSegmenter(model, options.size, data_set.classes), data_set)


def _report(options: SegmenterTrainOptions, data: DataSets, folder: RunFolder) -> Report[SegmentScores]:
    """Score the best weights once, and draw some answers."""
    best = load_segmenter(folder.best)
    judged = data.test or data.valid
    scores = _scored(best.model, options, judged)
    draw_curves(folder, "IoU", [FIGURE, *(f"iou_{name}" for name in scores.classes)])
    draw_answers(TorchSegmenter(best.model, best.size, best.classes), judged, folder.plots / "answers.jpg")
    width, height = options.size
    return Report(
        scores=scores,
        headline=f"{scores.data}: mean IoU {scores.mean_overlap:.3f}, pixels right {scores.pixel_accuracy:.3f}",
        summary=f"{options.model.family}, {best.model.parameter_count():,} parameters, {width} by {height}, "
        "from scratch.",
        facts={
            **{f"{name} data": f"{each.name}: {counted(each)}" for name, each in data.named().items()},
            "classes": ", ".join(data.train.classes),
        },
        provenance=best.provenance,
        scored_on=scores.data,
        tables=[
            "| | |",
            "|---|---:|",
            *(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in scores.figures().items()),
            "",
            "![losses](plots/losses.png) ![scores](plots/scores.png)",
            "",
            "![answers](plots/answers.jpg)",
        ],
        figures=scores.as_json(),
    )


def draw_answers(predictor: Predictor, data_set: DataSet, path: Path) -> None:
    """A sheet of pictures with what is said of their places."""
    path.parent.mkdir(exist_ok=True)
    total = len(data_set.entries)
    shown = []
    for index in np.unique(np.linspace(0, total - 1, min(_SHOWN, total)).astype(int)).tolist():
        rgb = data_set.read(index).rgb
        found = predictor(rgb).class_map
        shown.append(rgb if found is None else _tinted(rgb, found))
    cell = (480, round(480 * shown[0].shape[0] / shown[0].shape[1]))
    cv2.imwrite(str(path), contact_sheet(shown, cell=cell)[..., ::-1])


def _tinted(rgb: Rgb, found: ClassMap) -> Rgb:
    labels = found.at((rgb.shape[1], rgb.shape[0]))
    colours = np.array([(0, 0, 0), *(colour_of(number) for number in range(len(found.names)))], np.float32)
    share = np.where(labels > 0, _TINT, 0)[..., None]
    return np.asarray(rgb * (1 - share) + colours[labels] * share, np.uint8)
