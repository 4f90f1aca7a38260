"""A detector's training: labelled pictures and options in, a run's folder out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import numpy as np
import torch

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.manifest import Nms
from streamdet.models.catalogue import build_model
from streamdet.models.contract import AnyDetector, RegionModel
from streamdet.models.mask_rcnn import MaskRcnn
from streamdet.models.rcnn import Rcnn
from streamdet.models.weights import Trained, load_trained, save_trained
from streamdet.proposals.catalogue import open_proposer
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.augment.options import AugmentOptions
from streamdet.training.batches import Samples, collate, collate_masks
from streamdet.training.card import Report, provenance_of
from streamdet.training.checkpoint import Progress, hash_of_labels
from streamdet.training.course import Course, Outcome, run_course
from streamdet.training.detection_tables import counted, tables_of
from streamdet.training.distributed import Ranks
from streamdet.training.labelled import DataSets, examined, open_all, refuse_without_outlines
from streamdet.training.options import LearningOptions, PictureTrainOptions, TrainOptions
from streamdet.training.plots import draw_plots
from streamdet.training.rcnn import fit_last_steps
from streamdet.training.regions import WithRegions, collate_regions
from streamdet.training.rendered_plates import Grounds, samples_with, with_corners
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.schedule import Stretch
from streamdet.training.trainer import FIGURE, Task

MASK_FIGURE = "mask_map50_95"  # what the best weights are chosen by where masks are learnt


def run_training(
    options: TrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome[DetectionScores]:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""

    def prepare(ranks: Ranks) -> Course[DetectionScores]:
        refuse_uneven(options, ranks)
        data = examined(open_all(options.data), options.size, options.data.skip_bad, folder.skipped, reporter)
        task = _task(options, data, folder)
        said = (
            f"{_name(options)}, {task.model.parameter_count():,} parameters · "
            f"{len(data.train.entries)} pictures to learn from, {len(data.valid.entries)} to choose by"
        )

        def report(progress: Progress) -> Report[DetectionScores]:
            if isinstance(task.model, Rcnn):
                fit_last_steps(folder, data.train, reporter, stop)
            return _report(options, data, folder)

        return Course(task, said, report)

    return run_course(options, prepare, folder, reporter, command=command, stop=stop)


def refuse_uneven(options: LearningOptions, ranks: Ranks) -> None:
    """Every process takes as many pictures of a batch as any other."""
    if options.batch % ranks.world:
        raise ConfigError(
            "a batch cannot be shared evenly among the processes",
            expected=f"a multiple of {ranks.world}",
            got=f"batch: {options.batch}",
        )


def _task(options: TrainOptions, data: DataSets, folder: RunFolder) -> Task[AnyDetector]:
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    model = build_model(options.model, len(data.train.classes))
    rendered = options.rendered
    learnt = data.train if rendered is None else with_corners(data.train, rendered)
    large = Augmenter(learnt, options.augment, options.size)
    grounds = None if rendered is None else Grounds(learnt, rendered.streets, rendered.street_share)
    proposer = (open_proposer(model.proposals), model.regions) if isinstance(model, RegionModel) else None

    def samples(stretch: Stretch) -> Samples:
        augmented = large.variant(size=options.small_size()) if stretch.small else large
        augmented = augmented.variant(calmed(options)) if stretch.plain else augmented
        found: Samples = augmented
        if rendered is not None and grounds is not None:
            found = samples_with(augmented, grounds, rendered, options.size)
        return found if proposer is None else WithRegions(found, *proposer)

    def judge(averaged: AnyDetector) -> Mapping[str, float]:
        return scored(averaged, options, data.valid).figures()

    def keep(averaged: AnyDetector, progress: Progress) -> None:
        learnt_from = data.train.name + (" and rendered plates" if options.rendered else "")
        save_trained(
            folder.best,
            Trained(
                averaged,
                options.model,
                data.train.classes,
                options.size,
                options.evaluation.nms_iou,
                progress.scores,
                provenance_of(options, progress, data=learnt_from),
            ),
        )

    pictures, judged = len(data.train.entries), len(data.valid.entries)
    joined = collate if proposer is None else collate_regions
    figure = FIGURE
    if isinstance(model, MaskRcnn):
        refuse_without_outlines(data)
        joined, figure = collate_masks, MASK_FIGURE
    return Task(model, pictures, judged, samples, judge, keep, hash_of_labels(data.train), joined, figure)


def calmed(options: PictureTrainOptions) -> AugmentOptions:
    """Pictures nearly as they will be met, for the end of the training."""
    calm, strength = options.augment.calm(), options.plain_strength
    low, high = (1 + (bound - 1) * strength for bound in calm.scale)
    return calm.model_copy(update={"scale": (low, high), "translate": calm.translate * strength})


def scored(model: AnyDetector, options: TrainOptions, data_set: DataSet) -> DetectionScores:
    """As its engine will be scored: same preprocessing, same suppression."""
    nms = Nms(iou=options.evaluation.nms_iou, end_to_end=bool(getattr(model, "end_to_end", False)))
    return score_detections(TorchPredictor(model, options.size, data_set.classes, nms=nms), data_set)


def _of_masks(scores: DetectionScores) -> str:
    masks = scores.masks
    return "" if masks is None else f", of masks {masks.map50:.3f} and {masks.map50_95:.3f}"


def _name(options: TrainOptions) -> str:
    return " ".join(str(value) for value in (options.model.family, getattr(options.model, "size", "")) if value)


def _report(options: TrainOptions, data: DataSets, folder: RunFolder) -> Report[DetectionScores]:
    """Score the best weights once and draw the plots."""
    best = load_trained(folder.best)
    judged = data.test or data.valid
    scores = scored(best.model, options, judged)
    draw_plots(folder, scores, judged)
    width, height = options.size
    return Report(
        scores=scores,
        headline=f"{scores.data}: mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f}{_of_masks(scores)}",
        summary=f"{options.model.family}, {best.model.parameter_count():,} parameters, {width} by {height}, "
        "from scratch.",
        facts={
            **{f"{name} data": f"{each.name}: {counted(each)}" for name, each in data.named().items()},
            "classes": ", ".join(data.train.classes),
        },
        provenance=best.provenance,
        scored_on=scores.data,
        tables=tables_of(scores),
        figures=scores.as_json(),
    )
