"""What is seen of a training while it goes on: a live bar in a terminal, plain lines elsewhere, all in log.txt."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from streamdet.errors import redact
from streamdet.training.checkpoint import Progress
from streamdet.training.schedule import Stretch

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_EVERY_S = 30.0  # without a terminal
_TOLD = ("map50_95", "map50", "exact", "exact_unseen_styles", "exact_real", "exact_real_alike")  # of the figures
_RATE_OVER_S = 60.0  # pictures per second are those of the last minute


class Reporter:
    """Tells how it goes; one that is not `first` of several processes, or quiet, says nothing but warnings."""

    def __init__(self, log: Path | None = None, *, quiet: bool = False, live: bool | None = None) -> None:
        self._log = None if log is None else log.open("a", encoding="utf-8")
        self._quiet = quiet
        self._live = (sys.stderr.isatty() if live is None else live) and not quiet
        self._bar: Bar | None = None
        self._task: Any = None
        self._steps = self._per_step = 0
        self._step = 0
        self._best = ""
        self._loss = ""
        self._line_s = 0.0
        self._seen: list[tuple[float, int]] = []  # moment, step

    def begin(self, steps: int, step: int, per_step: int) -> None:
        """From which step to which."""
        self._steps, self._step, self._per_step = steps, step, per_step
        self._seen = [(time.monotonic(), step)]
        if not self._live:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            BarColumn(None),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), expand=True, refresh_per_second=4)
        self._bar.start()
        self._task = self._bar.add_task("", total=steps, completed=step)

    def stepped(self, step: int) -> None:
        """One more."""
        self._step = step
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def reported(self, row: Mapping[str, float], stretch: Stretch) -> None:
        """The figures of the last steps."""
        now = time.monotonic()
        self._seen = [(then, step) for then, step in self._seen if now - then < _RATE_OVER_S or step == self._step]
        self._seen = [*self._seen, (now, self._step)]
        terms = " ".join(f"{name[5:]} {row[name]:.3g}" for name in row if name.startswith("loss_"))
        skipped = f" · {row['skipped']:.0f} skipped" if row["skipped"] else ""
        small = " · small" if stretch.small else ""
        self._loss = f"loss {row['loss']:.3f} ({terms}){skipped}{small}"
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._loss} · {self.rate:.1f} pictures/s{self._best}")
        self._write_log(self._line())
        if self._bar is None and (now - self._line_s > _LINE_EVERY_S or self._step == self._steps):
            self._line_s = now
            self._print(self._line())

    @property
    def rate(self) -> float:
        """Pictures per second over the last minute."""
        (then, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) * self._per_step / (now - then) if now > then else 0.0

    def _line(self) -> str:
        left = (self._steps - self._step) * self._per_step / self.rate if self.rate else 0
        eta = timedelta(seconds=round(left))
        return f"step {self._step}/{self._steps} · {self._loss} · {self.rate:.1f} pictures/s{self._best} · {eta} to go"

    def judging(self) -> None:
        """Scoring has begun; learning pauses."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"scoring …{self._best}")

    def judged(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """Scoring is done; time spent on it does not count into pictures per second."""
        self._best = f" · best {progress.best:.3f}"
        told = " ".join(f"{name} {figures[name]:.3f}" for name in _TOLD if name in figures)
        mark = " · the best so far" if progress.best_step == progress.step else ""
        self.say(f"step {progress.step}: {told}{mark}")
        self._seen = [(time.monotonic(), self._step)]

    def say(self, text: str) -> None:
        """A line for whoever looks on."""
        self._write_log(text)
        self._print(text)

    def warn(self, text: str) -> None:
        """A line that is never left out."""
        self._write_log(f"warning: {text}")
        self._print(f"warning: {text}", always=True)

    def _print(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
            return
        if self._bar is not None:
            self._bar.console.print(redact(text), highlight=False, markup=False)
        else:
            print(redact(text), file=sys.stderr, flush=True)

    def _write_log(self, text: str) -> None:
        if self._log is not None:
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {redact(text)}\n")
            self._log.flush()

    def pause(self) -> None:
        """Take the bar away: the training has ended, or something else is shown."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        """The end."""
        self.pause()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
