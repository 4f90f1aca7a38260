"""The loop: from a model that knows nothing to one that does.

    for every step
        the step's pictures           batches.py     prepared ahead; they follow from seed and step
        forward, backward, move       learning.py    average.py follows the weights
        now and then                  a row of figures; a look at how broken the numbers are
        some twenty times             score the averaged weights, keep the best
        every few minutes             a checkpoint, and one when asked to stop

It knows neither files of labels nor families of models: a Task brings what is learnt and how it is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch

from streamdet.errors import TrainingFailed
from streamdet.models.contract import Learnable
from streamdet.training.batches import Batch, Joined, Order, Samples, Share, collate, prepared, seed_of
from streamdet.training.checkpoint import Checkpoint, Progress, hash_of, read_checkpoint, write_checkpoint
from streamdet.training.diagnosis import Pulse
from streamdet.training.distributed import Ranks
from streamdet.training.hardware import Hardware
from streamdet.training.learning import Learner, StepReport
from streamdet.training.options import LearningOptions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import Metrics, RunFolder
from streamdet.training.schedule import Stretch

_REPORT_EVERY = 10  # steps: one row of figures
_LEARNT_PER_JUDGED = 3  # pictures: more often, scoring would take a good part of the time
STOPPED = "stopped"  # Progress.ended of a training that was asked to; it can be resumed
FIGURE = "map50_95"  # what the best weights are chosen by, where a task names nothing else


Model = TypeVar("Model", bound=Learnable)


@dataclass(frozen=True)
class Task(Generic[Model]):
    """What is learnt, and how it is judged."""

    model: Model
    pictures: int  # that there are to learn from
    judged: int  # pictures that it is judged by
    samples: Callable[[Stretch], Samples]
    judge: Callable[[Model], Mapping[str, float]]  # figures, the one that chooses among them
    keep: Callable[[Model, Progress], None]  # put the best weights away
    data_hash: str
    joined: Joined = collate
    figure: str = FIGURE


def train(
    task: Task[Any],
    options: LearningOptions,
    folder: RunFolder,
    hardware: Hardware,
    ranks: Ranks,
    reporter: Reporter,
    stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Learn to the end of the budget, or until `stop` says so; what is in the folder already is gone on from."""
    torch.set_num_threads(hardware.threads)
    return _Training(task, options, folder, hardware, ranks, reporter, stop).run()


class _Training:
    def __init__(
        self,
        task: Task[Any],
        options: LearningOptions,
        folder: RunFolder,
        hardware: Hardware,
        ranks: Ranks,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        self.task, self.options, self.folder = task, options, folder
        self.hardware, self.ranks, self.reporter, self.stop = hardware, ranks, reporter, stop
        self.steps = options.steps(task.pictures)
        self.plan = options.plan(self.steps, task.model.phases())
        most = self.steps * options.per_step // (_LEARNT_PER_JUDGED * max(task.judged, 1))
        times = max(1, min(options.evaluation.times, most))
        self.judged_at = _evenly(self.steps, times, options.evaluation.from_share)
        self.options_hash = hash_of(options.learnt_from())
        self.learner = Learner(task.model, options, hardware, ranks, self.steps)
        self.pulse = Pulse(options.broken_at_most)
        self.progress = Progress()
        self.began_s = self.saved_s = time.monotonic()
        self.window: list[StepReport] = []

    def run(self) -> Progress:
        phase_first = self._resume()
        self.began_s = self.saved_s = time.monotonic()
        with Metrics(self.folder, self.progress.step, writes=self.ranks.first) as self.metrics:
            self.reporter.begin(self.steps, self.progress.step, self.options.per_step)
            for stretch in self.plan:
                if stretch.last <= self.progress.step or self.progress.ended:
                    continue
                if stretch.phase_first != phase_first:
                    torch.manual_seed(seed_of(self.options.seed, 4, stretch.phase_first))
                    self.learner.enter(stretch)
                    phase_first = stretch.phase_first
                self._go_through(stretch)
            if self.progress.step == self.steps:
                self.progress.ended = self.progress.ended or "the budget is used up"
            self._save(last=True)
        return self.progress

    def _go_through(self, stretch: Stretch) -> None:
        """The steps of one stretch; less where the training ends within it."""
        steps = range(max(stretch.first, self.progress.step), stretch.last)
        with closing(self._batches(stretch, steps)) as prepared_ahead:
            for step, batches in zip(steps, prepared_ahead, strict=True):
                self.window.append(self.learner.step(step, stretch, batches))
                self.progress.step = step + 1
                self.reporter.stepped(self.progress.step)
                self._look_up(stretch)
                if self.progress.ended:
                    return
                self._save()
        if stretch.last == stretch.phase_last:
            self._report(stretch)  # the next phase has other terms

    def _batches(self, stretch: Stretch, steps: range) -> Generator[tuple[Batch, ...], None, None]:
        options, ranks = self.options, self.ranks
        return prepared(
            self.task.samples(stretch),
            Order(self.task.pictures, options.seed),
            Share(options.batch, options.accumulate, ranks.rank, ranks.world),
            steps,
            joined=self.task.joined,
            workers=self.hardware.workers,
            pin=ranks.device.type == "cuda",
        )

    def _look_up(self, stretch: Stretch) -> None:
        """After a step: report, score, or end, where it is time to."""
        done = self.progress.step
        judged, stopped = done in self.judged_at, self._stopped()
        if judged or stopped or done % _REPORT_EVERY == 0 or done == self.steps:
            self._report(stretch)
        if judged:
            self._judge()
        if stopped and not self.progress.ended and done < self.steps:
            self.progress.ended = STOPPED

    def _stopped(self) -> bool:
        """Asked to stop; several processes agree on it now and then, for they must stop at the same step."""
        if self.ranks.world == 1:
            return self.stop()
        return self.progress.step % _REPORT_EVERY == 0 and self.ranks.any(self.stop())

    def _report(self, stretch: Stretch) -> None:
        """Fetch the window's numbers from the device, once for all its steps."""
        if not self.window:
            return
        found = self.pulse.read(self.window, stretch)
        self.window = []
        self.progress.skipped += found.broken
        row = {
            "step": self.progress.step,
            "pictures": self.progress.step * self.options.per_step,
            "seconds": self._seconds(),
            "learning_rate": found.rate,
            "loss": sum(found.terms.values()),
            **{f"loss_{name}": value for name, value in found.terms.items()},
            "gradient_norm": found.norm,
            "skipped": self.progress.skipped,
        }
        self.metrics.write(row)
        self.reporter.reported(row, stretch)

    def _judge(self) -> None:
        """Score the averaged weights; better ones are put away. The first process decides for all."""
        progress = self.progress
        patience = self.options.evaluation.patience
        if self.ranks.first:
            self.reporter.judging()
            model = self.learner.average.finish()
            figures = {name: float(value) for name, value in self.task.judge(model).items()}
            self.metrics.write({"step": progress.step, "seconds": self._seconds(), **figures})
            if figures[self.task.figure] > progress.best:
                self._keep(model, figures)
            else:
                progress.since_best += 1
            self.reporter.judged(self.progress, figures)
        if self.ranks.any(patience is not None and self.progress.since_best >= patience):
            self.progress.ended = f"{patience} scorings without a better one"

    def _keep(self, model: Learnable, figures: dict[str, float]) -> None:
        """Put the best weights away; where the disk refuses, they were not the best."""
        better = replace(
            self.progress, best=figures[self.task.figure], best_step=self.progress.step, scores=figures, since_best=0
        )
        try:
            self.task.keep(model, better)
        except OSError as error:
            self.reporter.warn(f"the best weights so far cannot be written: {error.strerror or error}")
        else:
            self.progress = better

    def _resume(self) -> int | None:
        """Take up what the folder holds → the first step of the phase that it is in; None at a phase's beginning."""
        if not self.folder.checkpoint.exists():
            return None
        saved = read_checkpoint(self.folder.checkpoint, self.options_hash, self.task.data_hash)
        self.progress = saved.progress
        if self.progress.ended == STOPPED:
            self.progress.ended = ""
        for stretch in self.plan:
            if stretch.phase_first < self.progress.step < stretch.phase_last:
                self.learner.enter(stretch)
                self.learner.restore(saved, within_phase=True)
                return stretch.phase_first
        self.learner.restore(saved, within_phase=False)
        return None

    def _save(self, *, last: bool = False) -> None:
        """A checkpoint, if it is time. A full disk costs this one, not the training; at the end it is an error."""
        if not self.ranks.first or (not last and time.monotonic() - self.saved_s < self.options.checkpoint_s):
            return
        self.progress.seconds = self._seconds()
        self.began_s = self.saved_s = time.monotonic()
        state = self.learner.state()
        checkpoint = Checkpoint(
            progress=self.progress, options_hash=self.options_hash, data_hash=self.task.data_hash, **state
        )
        try:
            write_checkpoint(self.folder.checkpoint, checkpoint)
        except OSError as error:
            if last:
                raise TrainingFailed(
                    "the last checkpoint cannot be written",
                    where=self.folder.checkpoint,
                    got=error.strerror or error,
                    hint="make room and resume: the checkpoint before it is whole, if there was one",
                ) from error
            self.reporter.warn(f"no checkpoint at step {self.progress.step}: {error.strerror or error}")

    def _seconds(self) -> float:
        return self.progress.seconds + time.monotonic() - self.began_s


def _evenly(steps: int, times: int, from_share: float) -> frozenset[int]:
    """The steps after which the model is scored; the last one always."""
    first = max(1, round(steps * from_share))
    if times == 1:
        return frozenset({steps})
    return frozenset(first + round((steps - first) * number / (times - 1)) for number in range(times))
