"""A whole training: labelled pictures and options in, a run's folder out."""

from __future__ import annotations

import hashlib
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.samples import DataSet, Entry, Listed
from streamdet.errors import ConfigError, DataError
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.manifest import Nms
from streamdet.models.catalogue import build_model
from streamdet.models.contract import DetectionModel
from streamdet.models.weights import Trained, load_trained, save_trained
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.batches import Samples
from streamdet.training.checkpoint import Progress, hash_of_data
from streamdet.training.distributed import Ranks, joined
from streamdet.training.hardware import hardware_for
from streamdet.training.options import TrainOptions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.schedule import Stretch
from streamdet.training.trainer import STOPPED, Task, train


@dataclass(frozen=True)
class DataSets:
    """The pictures of a training, fit to be used."""

    train: DataSet
    valid: DataSet
    test: DataSet | None


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
    skip_bad: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""
    hardware = hardware_for(options)
    torch.set_num_threads(hardware.threads)
    with joined(hardware.device) as ranks:
        _check_share(options, ranks)
        data = open_all(options)
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
        return Outcome(folder.path, progress, _finish(options, data, folder, progress, command))


def open_all(options: TrainOptions) -> DataSets:
    """Read the labels of all parts; their classes must be the same."""
    train_set = open_data_set(options.data.train)
    if options.data.valid is None:
        train_set, valid_set = held_out(train_set, options.data.hold_out)
    else:
        valid_set = open_data_set(options.data.valid)
    test_set = None if options.data.test is None else open_data_set(options.data.test)
    for other in (valid_set, test_set):
        if other is not None and other.classes != train_set.classes:
            raise DataError(
                "the pictures to judge by have other classes than those to learn from",
                where=other.name,
                expected=", ".join(train_set.classes),
                got=", ".join(other.classes),
                hint="name them in the same order with `classes:` under data.train and data.valid",
            )
    if not train_set.entries or not valid_set.entries:
        raise DataError("there is nothing to learn from, or nothing to judge by", where=options.data.train.path)
    return DataSets(train_set, valid_set, test_set)


def held_out(data_set: DataSet, share: float) -> tuple[DataSet, DataSet]:
    """A data set without splits → one to learn from and one to judge by; the same ones every time.

    Pictures of one group show the same things and stay together.
    """
    entries = data_set.entries
    names = sorted({_group(entry) for entry in entries}, key=lambda name: hashlib.sha256(name.encode()).digest())
    members: dict[str, int] = Counter(_group(entry) for entry in entries)
    chosen: set[str] = set()
    count = 0
    for name in names:
        if count >= share * len(entries) or len(chosen) == len(names) - 1:
            break
        chosen.add(name)
        count += members[name]
    parts = [
        Listed(f"{data_set.name}/{part}", data_set.classes, tuple(e for e in entries if (_group(e) in chosen) == held))
        for part, held in (("learnt", False), ("held out", True))
    ]
    return parts[0], parts[1]


def _group(entry: Entry) -> str:
    return entry.group or entry.key


def _check_share(options: TrainOptions, ranks: Ranks) -> None:
    if options.batch % ranks.world:
        raise ConfigError(
            "a batch cannot be shared evenly among the processes",
            expected=f"a multiple of {ranks.world}",
            got=f"batch: {options.batch}",
        )


def _task(options: TrainOptions, data: DataSets, folder: RunFolder, ranks: Ranks) -> Task:
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    model = build_model(options.model, len(data.train.classes))
    large = Augmenter(data.train, options.augment, options.size)

    def samples(stretch: Stretch) -> Samples:
        fitting = large.variant(size=options.small_size()) if stretch.small else large
        return fitting.calm() if stretch.plain else fitting

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
    return Task(model, pictures, judged, samples, judge, keep, hash_of_data(data.train))


def scored(model: DetectionModel, options: TrainOptions, data_set: DataSet) -> DetectionScores:
    """As its engine will be scored: same preprocessing, same suppression."""
    nms = Nms(iou=options.evaluation.nms_iou, end_to_end=bool(getattr(model, "end_to_end", False)))
    return score_detections(TorchPredictor(model, options.size, data_set.classes, nms=nms), data_set)


def provenance_of(options: TrainOptions, data: DataSets, progress: Progress) -> dict[str, str]:
    """Where weights come from."""
    return {
        "data": data.train.name,
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
    options: TrainOptions, data: DataSets, folder: RunFolder, progress: Progress, command: str
) -> DetectionScores:
    best = load_trained(folder.best).model
    return scored(best, options, data.test or data.valid)
