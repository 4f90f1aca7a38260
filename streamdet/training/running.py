"""A whole training: labelled pictures and options in, a run's folder out."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.manifest import Nms
from streamdet.models.catalogue import build_model
from streamdet.models.contract import DetectionModel
from streamdet.models.weights import Trained, load_trained, save_trained
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.augment.options import AugmentOptions
from streamdet.training.batches import Samples
from streamdet.training.card import write_card
from streamdet.training.checkpoint import Progress, hash_of_labels
from streamdet.training.distributed import Ranks, joined
from streamdet.training.hardware import hardware_for
from streamdet.training.labelled import DataSets, examined, open_all
from streamdet.training.options import TrainOptions
from streamdet.training.plots import draw_plots
from streamdet.training.rendered_plates import Grounds, samples_with, with_corners
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.schedule import Stretch
from streamdet.training.trainer import STOPPED, Task, train


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    folder: Path
    progress: Progress
    scores: DetectionScores | None = None  # of the best weights, on the test pictures if there are any

    @property
    def stopped(self) -> bool:
        """It was asked to stop and can be resumed."""
        return self.progress.ended == STOPPED


def run_training(
    options: TrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""
    hardware = hardware_for(options)
    torch.set_num_threads(hardware.threads)
    with joined(hardware.device) as ranks:
        _check_share(options, ranks)
        data = examined(open_all(options.data), options.size, options.data.skip_bad, folder.skipped, reporter)
        task = _task(options, data, folder, ranks)
        reporter.say(
            f"{_name(options)}, {task.model.parameter_count():,} parameters · "
            f"{len(data.train.entries)} pictures to learn from, {len(data.valid.entries)} to choose by · "
            f"{hardware.said}"
        )
        progress = train(task, options, folder, hardware, ranks, reporter, stop)
        if progress.ended == STOPPED or not ranks.first:
            return Outcome(folder.path, progress)
        reporter.pause()
        return Outcome(folder.path, progress, _finish(options, data, folder, progress, hardware.said, command))


def _check_share(options: TrainOptions, ranks: Ranks) -> None:
    if options.batch % ranks.world:
        raise ConfigError(
            "a batch cannot be shared evenly among the processes",
            expected=f"a multiple of {ranks.world}",
            got=f"batch: {options.batch}",
        )


def _task(options: TrainOptions, data: DataSets, folder: RunFolder, ranks: Ranks) -> Task[DetectionModel]:
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    model = build_model(options.model, len(data.train.classes))
    rendered = options.rendered
    learnt = data.train if rendered is None else with_corners(data.train, rendered)
    large = Augmenter(learnt, options.augment, options.size)
    grounds = None if rendered is None else Grounds(learnt, rendered.streets, rendered.street_share)

    def samples(stretch: Stretch) -> Samples:
        fitting = large.variant(size=options.small_size()) if stretch.small else large
        fitting = fitting.variant(calmed(options)) if stretch.plain else fitting
        return (
            fitting if rendered is None or grounds is None else samples_with(fitting, grounds, rendered, options.size)
        )

    def judge(averaged: DetectionModel) -> Mapping[str, float]:
        return scored(averaged, options, data.valid).figures()

    def keep(averaged: DetectionModel, progress: Progress) -> None:
        provenance = provenance_of(options, data, progress)
        save_trained(
            folder.best,
            Trained(
                averaged,
                options.model,
                data.train.classes,
                options.size,
                options.evaluation.nms_iou,
                progress.scores,
                provenance,
            ),
        )

    pictures, judged = len(data.train.entries), len(data.valid.entries)
    return Task(model, pictures, judged, samples, judge, keep, hash_of_labels(data.train))


def calmed(options: TrainOptions) -> AugmentOptions:
    """Pictures nearly as they will be met, for the end of the training."""
    calm, strength = options.augment.calm(), options.plain_strength
    low, high = (1 + (bound - 1) * strength for bound in calm.scale)
    return calm.model_copy(update={"scale": (low, high), "translate": calm.translate * strength})


def scored(model: DetectionModel, options: TrainOptions, data_set: DataSet) -> DetectionScores:
    """As its engine will be scored: same preprocessing, same suppression."""
    nms = Nms(iou=options.evaluation.nms_iou, end_to_end=bool(getattr(model, "end_to_end", False)))
    return score_detections(TorchPredictor(model, options.size, data_set.classes, nms=nms), data_set)


def provenance_of(options: TrainOptions, data: DataSets, progress: Progress) -> dict[str, str]:
    """Where weights come from."""
    return {
        "data": data.train.name + (" and rendered plates" if options.rendered else ""),
        "pictures_seen": str(progress.step * options.per_step),
        "steps": str(progress.step),
        "seed": str(options.seed),
        "streamdet": metadata.version("streamdet"),
        "torch": str(torch.__version__),  # a class of its own otherwise, that no checkpoint may hold
        "commit": commit(),
    }


def commit() -> str:
    """The checked-out commit of the directory that the training is started in; empty outside of one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _name(options: TrainOptions) -> str:
    return " ".join(str(value) for value in (options.model.family, getattr(options.model, "size", "")) if value)


def _finish(
    options: TrainOptions, data: DataSets, folder: RunFolder, progress: Progress, machine: str, command: str
) -> DetectionScores:
    """Score the best weights once, draw the plots and write the card."""
    best = load_trained(folder.best)
    judged = data.test or data.valid
    scores = scored(best.model, options, judged)
    draw_plots(folder, scores, judged)
    write_card(
        folder,
        options,
        data,
        progress,
        scores,
        provenance=best.provenance,
        parameters=best.model.parameter_count(),
        machine=machine,
        command=command,
    )
    return scores
