"""Recorded detections played to a tracker, with frames lost on the way if wanted, for scoring."""

from __future__ import annotations

import configparser
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.boxes import xywh_to_xyxy, xyxy_to_xywh
from streamdet.errors import ConfigError
from streamdet.evaluation.tracks import Rows, Sequence, read_mot
from streamdet.frames import Detections, Tracks, TrackState

Clock = Literal["stream", "counted"]  # the recording's own time, or one nominal frame for every frame that arrives
Kept = npt.NDArray[np.intp]  # the frames that arrive, counted from 0

COUNTED_FPS = 30.0


class Follows(Protocol):
    """As much of a tracker as is needed here."""

    def update(self, detections: Detections, pts_s: float, motion: npt.NDArray[np.float32] | None = None) -> Tracks: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """One sequence of a MOTChallenge folder: what a detector found, and the truth."""

    name: str
    fps: float
    size: tuple[int, int]
    frames: tuple[Detections, ...]
    truth: Rows


@dataclass(frozen=True, slots=True)
class Replay:
    """What a tracker made of a recording; `seconds` is the time spent in `update`, frame by frame."""

    sequence: Sequence
    seconds: tuple[float, ...]


def load_recordings(folder: Path) -> list[Recording]:
    """Every `<sequence>/{det/det.txt, gt/gt.txt, seqinfo.ini}` of a folder, by name."""
    found = [_load(info.parent) for info in sorted(folder.glob("*/seqinfo.ini"))]
    if not found:
        raise ConfigError(
            "no sequences found", where=folder, expected="<sequence>/seqinfo.ini, the MOTChallenge layout"
        )
    return found


def _load(folder: Path) -> Recording:
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        told = parser["Sequence"]
        length, fps = told.getint("seqLength", 0), told.getfloat("frameRate", 0.0)
        size = told.getint("imWidth", 0), told.getint("imHeight", 0)
    except (configparser.Error, KeyError, ValueError) as error:
        raise ConfigError("seqinfo.ini is malformed", where=folder / "seqinfo.ini", got=str(error)) from error
    if length < 1 or fps <= 0:
        raise ConfigError(
            "seqinfo.ini does not tell length and rate", where=folder / "seqinfo.ini", expected="seqLength, frameRate"
        )
    rows = read_mot(folder / "det" / "det.txt", columns=7)
    frames = tuple(_detections(rows[rows[:, 0] == number]) for number in range(1, length + 1))
    return Recording(folder.name, fps, size, frames, read_mot(folder / "gt" / "gt.txt", columns=9))


def _detections(rows: Rows) -> Detections:
    best_first = rows[np.argsort(-rows[:, 6], kind="stable")]
    xyxy = xywh_to_xyxy(best_first[:, 2:6].astype(np.float64))  # added up before it is rounded to float32
    return Detections(xyxy, best_first[:, 6].astype(np.float32), np.zeros(len(rows), np.int32), ("person",))


def replay(recording: Recording, tracker: Follows, *, kept: Kept | None = None, clock: Clock = "stream") -> Replay:
    """Plays the frames `kept` (all of them) to a tracker; the truth is renumbered to the frames that arrived.

    Counted as tracked are rows of confirmed tracks, with the detector's own boxes.
    """
    arrived = np.arange(len(recording.frames)) if kept is None else kept
    rows: list[Rows] = []
    seconds: list[float] = []
    for number, frame in enumerate(arrived.tolist()):
        found = recording.frames[frame]
        pts_s = frame / recording.fps if clock == "stream" else number / COUNTED_FPS
        begun = time.perf_counter()
        tracks = tracker.update(found, pts_s)
        seconds.append(time.perf_counter() - begun)
        rows.append(tracked_rows(number + 1, found, tracks))
    return Replay(
        Sequence(renumbered(recording.truth, arrived), np.vstack([np.zeros((0, 6)), *rows]), len(arrived)),
        tuple(seconds),
    )


def tracked_rows(number: int, found: Detections, tracks: Tracks) -> Rows:
    """[N, 6]: the confirmed rows of one frame as MOTChallenge has them."""
    sure = np.flatnonzero(tracks.state == TrackState.CONFIRMED)
    return np.column_stack([np.full(len(sure), number), tracks.track_id[sure], xyxy_to_xywh(found.xyxy[sure])])


def renumbered(truth: Rows, kept: Kept) -> Rows:
    """The truth of the frames kept, which now count from 1 without gaps."""
    numbers = np.full(int(max(truth[:, 0].max(initial=0), kept.max(initial=0) + 1)) + 1, -1)
    numbers[kept + 1] = np.arange(1, len(kept) + 1)
    chosen: Rows = truth[numbers[truth[:, 0].astype(int)] > 0].copy()
    chosen[:, 0] = numbers[chosen[:, 0].astype(int)]
    return chosen


Loss = Callable[[int, np.random.Generator], Iterator[int]]  # frames of a sequence → those that arrive


def half_at_random(frames: int, rng: np.random.Generator) -> Iterator[int]:
    """Every frame is lost with a chance of one half."""
    return iter(np.flatnonzero(rng.random(frames) < 0.5).tolist())


def bursts(frames: int, rng: np.random.Generator) -> Iterator[int]:
    """5 to 30 frames arrive, then 3 to 12 are lost."""
    at = 0
    while at < frames:
        arriving = int(rng.integers(5, 31))
        yield from range(at, min(at + arriving, frames))
        at += arriving + int(rng.integers(3, 13))


def every_sixth(frames: int, rng: np.random.Generator) -> Iterator[int]:
    """Five of six frames are lost; which, is up to the seed."""
    return iter(range(int(rng.integers(0, 6)), frames, 6))


LOSSES: dict[str, Loss] = {"half at random": half_at_random, "bursts": bursts, "every sixth only": every_sixth}


def kept_frames(loss: Loss, frames: int, seed: int) -> Kept:
    """The frames that arrive under a pattern of loss; the same for the same seed."""
    return np.array(list(loss(frames, np.random.default_rng(seed))), np.intp)
