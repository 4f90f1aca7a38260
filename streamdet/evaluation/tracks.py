"""How well tracks follow the truth: HOTA, MOTA and IDF1 of MOTChallenge files, counted by the TrackEval package."""

from __future__ import annotations

import configparser
import contextlib
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from streamdet.errors import ConfigError, MissingExtra

Rows = npt.NDArray[np.float64]  # [N, ≥ 6]: frame, id, left, top, width, height, …
Benchmark = Literal["MOT15", "MOT16", "MOT17", "MOT20"]
BENCHMARKS: Mapping[str, Benchmark] = {name: name for name in get_args(Benchmark)}

PEDESTRIAN = 1  # the class that MOT16, MOT17 and MOT20 score
ALL = "all"  # the row of all sequences together


@dataclass(frozen=True, slots=True)
class Sequence:
    """What was there and what was tracked in one sequence; frames count from 1."""

    truth: Rows  # [N, 9]: … , considered, class, visibility
    tracked: Rows  # [N, ≥ 6]
    frames: int


@dataclass(frozen=True, slots=True)
class TrackScores:
    """The figures of one sequence, or of all together; shares in percent."""

    sequence: str
    hota: float
    det_a: float
    ass_a: float
    mota: float
    idf1: float
    switches: int


def evaluate_tracks(tracked: Path, truth: Path, *, benchmark: Benchmark = "MOT17") -> list[TrackScores]:
    """Scores a folder of `<sequence>.txt` against a folder of `<sequence>/gt/gt.txt`; the last row is all together.

    `truth` may also be a folder that holds one such folder. Tracked rows that name a class count where it is the
    pedestrian, those with −1 always. MOT16 and MOT17 rules leave out what stands, rides or is
    hidden; MOT15 rules count every row of the truth as one kind of object.
    """
    found = _truth_files(truth)
    sequences = {}
    for name, file in found.items():
        true_rows = read_mot(file, columns=7 if benchmark == "MOT15" else 9)
        tracked_rows = read_mot(_tracked_file(tracked, name, found), columns=6)
        if benchmark != "MOT15" and tracked_rows.shape[1] >= 8:
            tracked_rows = tracked_rows[np.isin(tracked_rows[:, 7], (-1, PEDESTRIAN))]
        frames = _frames(file.parents[1] / "seqinfo.ini", true_rows)
        sequences[name] = Sequence(true_rows, tracked_rows, frames)
    return score_tracks(sequences, benchmark=benchmark)


def score_tracks(sequences: Mapping[str, Sequence], *, benchmark: Benchmark = "MOT17") -> list[TrackScores]:
    """Scores sequences that are already in memory; the last row is all together."""
    try:
        import trackeval
        from trackeval.metrics import CLEAR, HOTA, Identity
        from trackeval.utils import TrackEvalException
    except ModuleNotFoundError as error:
        raise MissingExtra("trackeval", "eval", "scoring tracks") from error
    for name, sequence in sequences.items():
        _check_sequence(name, sequence)
    quiet = {"PRINT_CONFIG": False}
    # TrackEval reads files only, tells its progress on standard output, and prints a traceback before it raises.
    with _laid_out(sequences) as folder, _silence():
        try:
            dataset = trackeval.datasets.MotChallenge2DBox(
                {
                    "GT_FOLDER": str(folder / "truth"),
                    "TRACKERS_FOLDER": str(folder / "tracked"),
                    "TRACKERS_TO_EVAL": ["ours"],
                    "BENCHMARK": benchmark,
                    "SEQ_INFO": {name: sequence.frames for name, sequence in sequences.items()},
                    "SKIP_SPLIT_FOL": True,
                    **quiet,
                }
            )
            answer, _ = trackeval.Evaluator(_EVALUATOR).evaluate([dataset], [HOTA(), CLEAR(quiet), Identity(quiet)])
        except TrackEvalException as error:
            raise ConfigError("TrackEval refuses these files", got=str(error)) from error
    scores: dict[str, Any] = answer["MotChallenge2DBox"]["ours"]
    names = {**{name: name for name in sequences}, "COMBINED_SEQ": ALL}
    return [_scores(label, scores[name]["pedestrian"]) for name, label in names.items()]


_EVALUATOR = {
    "USE_PARALLEL": False,
    "BREAK_ON_ERROR": True,
    "LOG_ON_ERROR": None,
    "PRINT_RESULTS": False,
    "PRINT_CONFIG": False,
    "TIME_PROGRESS": False,
    "OUTPUT_SUMMARY": False,
    "OUTPUT_DETAILED": False,
    "OUTPUT_EMPTY_CLASSES": False,
    "PLOT_CURVES": False,
}


def _scores(name: str, counted: Mapping[str, Any]) -> TrackScores:
    hota = counted["HOTA"]
    return TrackScores(
        sequence=name,
        hota=100 * float(np.mean(hota["HOTA"])),
        det_a=100 * float(np.mean(hota["DetA"])),
        ass_a=100 * float(np.mean(hota["AssA"])),
        mota=100 * float(counted["CLEAR"]["MOTA"]),
        idf1=100 * float(counted["Identity"]["IDF1"]),
        switches=int(counted["CLEAR"]["IDSW"]),
    )


def read_mot(path: Path, *, columns: int) -> Rows:
    """The rows of a MOTChallenge file; an empty file has none."""
    rows: list[list[float]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("a MOTChallenge file cannot be read", where=path, got=str(error)) from error
    width = columns
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(field) for field in line.split(",")]
        except ValueError:
            row = []
        if len(row) < columns or not np.isfinite(row).all():
            raise ConfigError(
                "a line of a MOTChallenge file is malformed",
                where=f"{path}, line {number}",
                expected=f"at least {columns} numbers with commas: frame,id,left,top,width,height,…",
                got=line[:80],
            )
        width = len(row) if not rows else min(width, len(row))
        rows.append(row)
    return np.array([row[:width] for row in rows], np.float64).reshape(len(rows), -1 if rows else columns)


def _truth_files(truth: Path) -> dict[str, Path]:
    for pattern in ("*/gt/gt.txt", "*/*/gt/gt.txt"):
        files = {file.parents[1].name: file for file in sorted(truth.glob(pattern))}
        if files:
            return files
    raise ConfigError("no ground truth found", where=truth, expected="<sequence>/gt/gt.txt, the MOTChallenge layout")


def _tracked_file(tracked: Path, name: str, wanted: Mapping[str, Path]) -> Path:
    for candidate in (tracked / f"{name}.txt", tracked / f"{name}.csv", tracked / "data" / f"{name}.txt"):
        if candidate.is_file():
            return candidate
    there = sorted(file.name for file in tracked.iterdir()) if tracked.is_dir() else []
    raise ConfigError(
        f"no tracks of sequence {name}",
        where=tracked,
        expected=", ".join(f"{one}.txt" for one in wanted),
        got=", ".join(there) or ("an empty folder" if tracked.is_dir() else "no such folder"),
    )


def _frames(info: Path, truth: Rows) -> int:
    """The length of a sequence: from its seqinfo.ini, else the last frame of the truth."""
    last = int(truth[:, 0].max(initial=0))
    if not info.is_file():
        return last
    parser = configparser.ConfigParser()
    try:
        parser.read(info, encoding="utf-8")
        return parser.getint("Sequence", "seqLength")
    except (configparser.Error, ValueError) as error:
        raise ConfigError("seqinfo.ini does not tell the length", where=info, expected="seqLength = N") from error


def _check_sequence(name: str, sequence: Sequence) -> None:
    """What TrackEval would refuse with less to go on, or count in silence."""
    for what, rows in (("truth", sequence.truth), ("tracks", sequence.tracked)):
        frames = rows[:, 0]
        if len(rows) and (frames.min() < 1 or frames.max() > sequence.frames):
            raise ConfigError(
                f"the {what} of {name} have a frame outside the sequence",
                expected=f"1 to {sequence.frames}",
                got=f"{int(frames.min())} to {int(frames.max())}",
                hint="frames count from 1",
            )
        pairs, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
        if len(counts) and counts.max() > 1:
            frame, track = pairs[counts.argmax()]
            raise ConfigError(f"the {what} of {name} have id {int(track)} twice in frame {int(frame)}")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What TrackEval says on the way goes nowhere; what it raises still rises."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _laid_out(sequences: Mapping[str, Sequence]) -> Iterator[Path]:
    """A folder as TrackEval wants it, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="streamdet-eval-") as name:
        folder = Path(name)
        (folder / "tracked" / "ours" / "data").mkdir(parents=True)
        for sequence, rows in sequences.items():
            (folder / "truth" / sequence / "gt").mkdir(parents=True)
            _write(folder / "truth" / sequence / "gt" / "gt.txt", rows.truth)
            tracked = np.hstack([rows.tracked[:, :6], np.ones((len(rows.tracked), 4))])
            _write(folder / "tracked" / "ours" / "data" / f"{sequence}.txt", tracked)
        yield folder


def _write(path: Path, rows: Rows) -> None:
    np.savetxt(path, rows, delimiter=",", fmt=["%d", "%d"] + ["%.10g"] * (rows.shape[1] - 2))
