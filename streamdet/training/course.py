"""A whole training, whatever is learnt: options in, a run's folder out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from streamdet.training.card import Report, Scores, write_card
from streamdet.training.checkpoint import Progress
from streamdet.training.distributed import Ranks, joined
from streamdet.training.hardware import hardware_for
from streamdet.training.options import LearningOptions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.trainer import STOPPED, Task, train


@dataclass(frozen=True)
class Course(Generic[Scores]):
    """What is particular to one kind of training."""

    task: Task[Any]
    said: str  # the network and what it learns from, in a line
    report: Callable[[Progress], Report[Scores]]  # scores the best weights, once, and draws the plots


@dataclass(frozen=True)
class Outcome(Generic[Scores]):
    """How a training ended."""

    folder: Path
    progress: Progress
    scores: Scores | None = None  # of the best weights
    headline: str = ""  # the scores in a line

    @property
    def stopped(self) -> bool:
        """It was asked to stop and can be resumed."""
        return self.progress.ended == STOPPED


def run_course(
    options: LearningOptions,
    prepare: Callable[[Ranks], Course[Scores]],
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome[Scores]:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""
    hardware = hardware_for(options)
    torch.set_num_threads(hardware.threads)
    with joined(hardware.device) as ranks:
        course = prepare(ranks)
        reporter.say(f"{course.said} · {hardware.said}")
        if command and ranks.first:
            folder.note(command)
        progress = train(course.task, options, folder, hardware, ranks, reporter, stop)
        if progress.ended == STOPPED or not ranks.first:
            return Outcome(folder.path, progress)
        reporter.pause()
        report = course.report(progress)
        write_card(folder, options, progress, report, machine=hardware.said)
        return Outcome(folder.path, progress, report.scores, report.headline)
