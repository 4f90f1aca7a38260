"""What a training leaves behind, and goes on from: one folder.

run/
├── config.yaml     the options, all of them
├── commands.txt    what was typed: how it was begun, and how it was resumed
├── last.pt         the checkpoint
├── best.pt         the weights that scored best (model.npz: of a detector from before networks, which has no more)
├── metrics.csv     losses, rates and scores by step
├── log.txt         what was said
├── tensorboard/    the same for TensorBoard
├── plots/          curves, confusion, best and worst pictures
├── scores.json     every figure of the best weights
└── CARD.md         all of it on one page, and left-out.txt beside it with --skip-bad
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import yaml

from streamdet.errors import ConfigError
from streamdet.models.classic.saved import MODEL
from streamdet.models.weights import WEIGHTS, write_whole
from streamdet.training.checkpoint import CHECKPOINT
from streamdet.training.tensorboard import Board

Row = Mapping[str, float | str]

_FIXED = ("step", "pictures", "seconds")


class RunFolder:
    """The places of a run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self._commands = path / "commands.txt"
        self.checkpoint = path / CHECKPOINT
        self.best = path / WEIGHTS
        self.model = path / MODEL  # of a detector from before networks
        self.metrics = path / "metrics.csv"
        self.log = path / "log.txt"
        self.tensorboard = path / "tensorboard"
        self.plots = path / "plots"
        self.scores = path / "scores.json"
        self.skipped = path / "left-out.txt"
        self.card = path / "CARD.md"

    def begin(self, options: Mapping[str, Any]) -> None:
        """Make the folder; ConfigError where it already holds a training."""
        if self.checkpoint.exists() or self.model.exists():
            raise ConfigError(
                "there is already a training in this folder",
                where=self.path,
                hint=f"streamdet train --resume {self.path}, or another --out",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = yaml.dump(_quoted(options), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
            write_whole(self.config, lambda file: file.write(text.encode()))
        except OSError as error:
            raise ConfigError("the run's folder cannot be written", where=self.path, got=error.strerror) from error

    def note(self, command: str) -> None:
        """Keep what was typed, below what was typed before."""
        with self._commands.open("a", encoding="utf-8") as file:
            file.write(f"{command}\n")

    def commands(self) -> list[str]:
        """What was typed, in order; the first one began the training."""
        return self._commands.read_text(encoding="utf-8").splitlines() if self._commands.exists() else []

    def leave(self) -> None:
        """Take back what `begin` made, where nothing was learnt: the next try finds the place as it was."""
        if self.metrics.exists() or self.checkpoint.exists():
            return
        for path in (self.config, self._commands, self.log):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files are there: they stay, and so does the folder
            self.path.rmdir()


class _Text(str):
    """Text as a value: always in quotes, so that no reader takes `n` or `1:30` for anything else."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _quoted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _quoted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_quoted(each) for each in value]
    return _Text(value) if isinstance(value, str) else value


class Metrics:
    """metrics.csv and TensorBoard: one row per report, a column per name, in the order in which names appeared."""

    def __init__(self, folder: RunFolder, step: int, *, writes: bool = True) -> None:
        """`step` is where it goes on: rows beyond it were written by an attempt that did not save them.

        Of several processes only the first one `writes`.
        """
        self._path = folder.metrics
        self._file: TextIO | None = None
        self._board: Board | None = None
        if not writes:
            return
        rows = [row for row in read_metrics(folder) if float(row["step"]) <= step]
        self._columns = list(rows[0]) if rows else list(_FIXED)
        self._rewrite(rows)
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._board = Board(folder.tensorboard, step)

    def write(self, row: Row) -> None:
        """Append one; a column that was not there before is added to the file."""
        if self._file is None or self._board is None:
            return
        if any(name not in self._columns for name in row):
            self._file.close()
            self._columns += [name for name in row if name not in self._columns]
            self._rewrite(_rows(self._path))
            self._file = self._path.open("a", newline="", encoding="utf-8")
        csv.writer(self._file).writerow([_text(row.get(name, "")) for name in self._columns])
        self._file.flush()
        self._board.write(row)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self._path, lambda file: file.write(text.getvalue().encode()))

    def close(self) -> None:
        """Write what is still held back."""
        if self._file is not None and self._board is not None:
            self._file.close()
            self._board.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_metrics(folder: RunFolder) -> list[dict[str, str]]:
    """The rows so far, as text; none where there is no file."""
    return _rows(folder.metrics) if folder.metrics.exists() else []


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _text(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
