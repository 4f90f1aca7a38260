"""Trackers on the second halves of MOT17, with all frames and with many lost, and what an update costs.

    python benchmarks/tracking.py [--peer-python PYTHON] [--seeds 5] [--only accuracy lost speed camera] [--data FOLDER]

Detections and truth are read from ../shared/data/mot17_half beside the checkout (MOTChallenge layout). One setting for
all sequences: every tracker's defaults. `stream` time is (frame − 1) / rate of each sequence; `counted` time is a
thirtieth of a second for every frame that arrives, as a tracker that counts frames believes. Scores are TrackEval's.

With `--peer-python`, a Python that has the `trackers` package (pip install trackers supervision), its trackers run on
the same detections in the same run; without it they are left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.boxes import xyxy_to_xywh
from streamdet.evaluation.replay import (
    LOSSES,
    Kept,
    Recording,
    kept_frames,
    load_recordings,
    renumbered,
    replay,
    tracked_rows,
)
from streamdet.evaluation.tracks import Sequence, TrackScores, score_tracks
from streamdet.frames import Detections
from streamdet.picture import Picture
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker
from streamdet.tracking.motion import CameraMotion
from streamdet.tracking.options import LifeOptions

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "mot17_half" / "MOT17-val"
OURS: dict[str, LifeOptions] = {"bytetrack": ByteTrackOptions(), "ocsort": OcSortOptions(), "sort": SortOptions()}
PEERS = ("ByteTrack", "BoT-SORT", "OC-SORT", "SORT")
HEADER = f"{'':34} {'HOTA':>6} {'DetA':>6} {'AssA':>6} {'MOTA':>6} {'IDF1':>6} {'switches':>8} {'µs/frame':>9}"


@dataclass
class Peers:
    """Jobs for the other package, played in one go by the Python that has it."""

    python: str
    jobs: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    count: int = 0
    version: str = ""

    def add(self, name: str, fps: float, frames: Several[Detections], times: npt.NDArray[np.float64] | None) -> int:
        """One more; times None counts frames."""
        rows = [np.column_stack([found.xyxy, found.score]) for found in frames]
        job = {
            "name": np.array(name),
            "fps": np.array(fps),
            "timed": np.array(times is not None),
            "rows": np.vstack([np.zeros((0, 5), np.float32), *rows]),
            "counts": np.array([len(found) for found in frames]),
            "times": np.zeros(len(frames)) if times is None else times,
        }
        self.jobs |= {f"{self.count}.{key}": value for key, value in job.items()}
        self.count += 1
        return self.count - 1

    def play(self) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Tracked rows (frame, id, left, top, width, height) and seconds of every job."""
        with tempfile.TemporaryDirectory(prefix="streamdet-peers-") as folder:
            job, answer = Path(folder) / "job.npz", Path(folder) / "answer.npz"
            np.savez(job, jobs=np.array(self.count), **self.jobs)
            script = Path(__file__).with_name("tracking_peers.py")
            subprocess.run([self.python, "-W", "ignore", str(script), str(job), str(answer)], check=True)
            found = np.load(answer)
            self.version = str(found["version"])
            played = [(found[f"{n}.tracked"], found[f"{n}.seconds"]) for n in range(self.count)]
        self.jobs, self.count = {}, 0
        return [(np.hstack([rows[:, :2], xyxy_to_xywh(rows[:, 2:])]), seconds) for rows, seconds in played]


def line(name: str, scores: TrackScores | Several[TrackScores], seconds: Several[float] = ()) -> None:
    """One row of a table; the mean, where there are several seeds."""
    many = [scores] if isinstance(scores, TrackScores) else scores
    shares = [
        statistics.fmean(getattr(one, what) for one in many) for what in ("hota", "det_a", "ass_a", "mota", "idf1")
    ]
    switches = statistics.fmean(one.switches for one in many)
    cost = f"{1e6 * statistics.fmean(seconds):9.0f}" if len(seconds) else f"{'':>9}"
    print(f"{name:34} " + " ".join(f"{share:6.2f}" for share in shares) + f" {switches:8.1f} {cost}", flush=True)


def accuracy(recordings: list[Recording], peers: Peers | None) -> None:
    """Every frame arrives."""
    print(f"\nMOT17, second halves, all frames\n{HEADER}")
    for name, options in OURS.items():
        for clock in ("stream", "counted") if name == "bytetrack" else ("stream",):
            played = {one.name: replay(one, make_tracker(options), clock=clock) for one in recordings}
            scores = score_tracks({name: one.sequence for name, one in played.items()})
            line(f"streamdet {name}, {clock} time", scores[-1], [s for one in played.values() for s in one.seconds])
            if name == "bytetrack" and clock == "stream":
                each = scores[:-1]
    if peers is not None:
        for name in PEERS:
            play_peers(f"trackers {name}", name, recordings, [None] * len(recordings), False, peers)
    print("\nHOTA of bytetrack by sequence: " + ", ".join(f"{one.sequence[6:8]} {one.hota:.2f}" for one in each))


def play_peers(
    label: str, name: str, recordings: list[Recording], kept: Several[Kept | None], timed: bool, peers: Peers
) -> None:
    """One setting of a peer over all sequences; `kept` may hold several seeds in turn."""
    arrived = []
    for index, keep in enumerate(kept):
        one = recordings[index % len(recordings)]
        frames = np.arange(len(one.frames)) if keep is None else keep
        arrived.append(frames)
        peers.add(name, one.fps, [one.frames[frame] for frame in frames], frames / one.fps if timed else None)
    answers = peers.play()
    scores, seconds = [], []
    for seed in range(len(kept) // len(recordings)):
        sequences = {}
        for index, one in enumerate(recordings):
            at = seed * len(recordings) + index
            sequences[one.name] = Sequence(renumbered(one.truth, arrived[at]), answers[at][0], len(arrived[at]))
            seconds += answers[at][1].tolist()
        scores.append(score_tracks(sequences)[-1])
    line(label, scores, seconds)


def lost_frames(recordings: list[Recording], seeds: int, peers: Peers | None) -> None:
    """Frames are lost; the truth keeps those that arrived."""
    for pattern, loss in LOSSES.items():
        print(f"\nFrames lost: {pattern}; mean of {seeds} seeds\n{HEADER}")
        kept = [
            kept_frames(loss, len(one.frames), 100 * seed + index)
            for seed in range(seeds)
            for index, one in enumerate(recordings)
        ]
        for name, clock in (("bytetrack", "stream"), ("bytetrack", "counted"), ("ocsort", "stream")):
            scores, seconds = [], []
            for seed in range(seeds):
                sequences = {}
                for index, one in enumerate(recordings):
                    arrived = kept[seed * len(recordings) + index]
                    played = replay(one, make_tracker(OURS[name]), kept=arrived, clock=clock)
                    sequences[one.name] = played.sequence
                    seconds += played.seconds
                scores.append(score_tracks(sequences)[-1])
            line(f"streamdet {name}, {clock} time", scores, seconds)
        if peers is not None:
            for name in ("ByteTrack", "BoT-SORT"):
                for timed in (True, False):
                    clock = "stream" if timed else "counted"
                    play_peers(f"trackers {name}, {clock} time", name, recordings, kept, timed, peers)


def walkers(count: int, width: float, height: float) -> Iterator[Detections]:
    """Boxes that walk on straight lines and turn round at the edges, jittered by a pixel."""
    rng = np.random.default_rng(0)
    size = rng.uniform(30, 80, (count, 1)) * np.array([1, 2])
    place, speed = rng.uniform(0, 1, (count, 2)) * [width, height], rng.normal(0, 3, (count, 2))
    score = rng.uniform(0.75, 0.95, count).astype(np.float32)
    while True:
        place = place + speed
        speed[(place < 0) | (place > [width, height])] *= -1
        centre = place + rng.normal(0, 1, place.shape)
        xyxy = np.hstack([centre - size / 2, centre + size / 2]).astype(np.float32)
        yield Detections(xyxy, score, np.zeros(count, np.int32))


def median_us(update: Callable[[Detections, float], object], frames: Several[Detections]) -> float:
    """Of the second half of the frames, when everything has its size."""
    spent = []
    for index, found in enumerate(frames):
        began = time.perf_counter()
        update(found, index / 30)
        spent.append(time.perf_counter() - began)
    return 1e6 * statistics.median(spent[len(spent) // 2 :])


def speed(peers: Peers | None) -> None:
    """A whole update, Python included, on one core."""
    print(f"\nOne update, median\n{'':34} {'50 x 50':>12} {'500 x 500':>12}")
    scenes = [
        [next(source) for source in [walkers(50, 1920, 1080)] for _ in range(600)],
        [next(source) for source in [walkers(500, 3840, 2160)] for _ in range(200)],
    ]
    ours: list[float] = []
    for name, options in OURS.items():
        costs = [median_us(make_tracker(options).update, scene) for scene in scenes]
        ours = ours or costs
        print(f"{'streamdet ' + name:34} {costs[0]:9.1f} µs {costs[1]:9.1f} µs", flush=True)
    if peers is not None:
        for name in PEERS:
            for scene in scenes:
                peers.add(name, 30, scene[: 200 if len(scene[0]) == 50 else 30], None)
            halves = [seconds[len(seconds) // 2 :] for _, seconds in peers.play()]
            costs = [1e6 * statistics.median(half) for half in halves]
            times = " and ".join(f"{theirs / mine:.0f}" for theirs, mine in zip(costs, ours, strict=True))
            told = f"our bytetrack is {times} times as fast"
            print(f"{'trackers ' + name:34} {costs[0]:9.1f} µs {costs[1]:9.1f} µs   {told}", flush=True)
    script = (
        "import time, numba\n"
        "from streamdet.tracking.catalogue import ByteTrackOptions, make_tracker\n"
        "from streamdet.frames import Detections\n"
        "began = time.perf_counter()\n"
        "numba.njit(cache=False)(lambda: 0)()\n"
        "woken = time.perf_counter()\n"
        "make_tracker(ByteTrackOptions()).update(Detections.empty(), 0.0)\n"
        "print(woken - began, time.perf_counter() - woken)"
    )
    told = [subprocess.check_output([sys.executable, "-c", script]).split() for _ in range(5)]
    waking, ready = (statistics.median(float(part) for part in column) for column in zip(*told, strict=True))
    print(f"a process's first tracker and update, kernels cached: {ready:.2f} s, once Numba is awake ({waking:.2f} s)")


def camera(recordings: list[Recording]) -> None:
    """Still sequences seen by a camera that sways: pictures made, motion measured, tracks scored."""
    still = [one for one in recordings if one.name[6:8] in ("02", "04", "09")]
    print(f"\nA swaying camera over MOT17-02, 04 and 09 (up to 12 px per frame)\n{HEADER}")
    swayed = [sway(one, seed) for seed, one in enumerate(still)]
    measured = [measure(recording, path) for recording, path in swayed]
    choices: dict[str, list[tuple[Recording, Several[npt.NDArray[np.float32] | None]]]] = {
        "camera stands still": [(one, [None] * len(one.frames)) for one in still],
        "sways, no compensation": [(one, [None] * len(one.frames)) for one, _ in swayed],
        "sways, measured": [(one, motions) for (one, _), (motions, _, _) in zip(swayed, measured, strict=True)],
        "sways, true motion": [(one, step_motions(path)) for one, path in swayed],
    }
    for name, played in choices.items():
        sequences = {}
        for one, motions in played:
            tracker = make_tracker(ByteTrackOptions())
            rows = [
                tracked_rows(number + 1, found, tracker.update(found, number / one.fps, motion))
                for number, (found, motion) in enumerate(zip(one.frames, motions, strict=True))
            ]
            sequences[one.name] = Sequence(one.truth, np.vstack(rows), len(one.frames))
        line(name, score_tracks(sequences)[-1])
    errors = np.concatenate([error for _, error, _ in measured])
    spent = np.concatenate([seconds for _, _, seconds in measured])
    print(
        f"motion measured from 1920x1080 luma: error at the corners median {np.median(errors):.2f} px, 95 % "
        f"{np.percentile(errors, 95):.2f} px; {1e3 * np.median(spent):.1f} ms per picture"
    )


def sway(one: Recording, seed: int) -> tuple[Recording, npt.NDArray[np.float64]]:
    """The recording as a camera sees it that drifts and shakes; its path [F, 2] in pixels."""
    rng = np.random.default_rng(seed)
    count = len(one.frames)
    beat = np.cumsum(rng.uniform(0.03, 0.12, (count, 2)), axis=0)
    path = np.sin(beat) * [90, 40] + rng.normal(0, 1.5, (count, 2))
    shift = np.hstack([path, path]).astype(np.float32)
    frames = tuple(
        Detections(found.xyxy + shift[number], found.score, found.class_id, found.names)
        for number, found in enumerate(one.frames)
    )
    truth = one.truth.copy()
    truth[:, 2:4] += path[truth[:, 0].astype(int) - 1]
    return Recording(one.name, one.fps, one.size, frames, truth), path


def step_motions(path: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float32] | None]:
    """The true motion from each picture to the next."""
    steps = np.diff(path, axis=0)
    return [None, *(np.array([[1, 0, across], [0, 1, down]], np.float32) for across, down in steps)]


def measure(
    one: Recording, path: npt.NDArray[np.float64]
) -> tuple[list[npt.NDArray[np.float32] | None], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Motions measured from made pictures, their errors at the corners in pixels, and the seconds each took."""
    width, height = one.size
    rng = np.random.default_rng(1)
    ground = sum(
        cv2.resize(rng.uniform(0, 85, (1400 // cell, 2400 // cell)).astype(np.float32), (2400, 1400))
        for cell in (6, 24, 96)
    )
    coat = rng.uniform(0, 255, (1400, 2400)).astype(np.float32)
    eye, motions, errors, seconds = CameraMotion(), [], [], []
    truths = step_motions(path)
    for number, found in enumerate(one.frames):
        where = np.array([[1, 0, path[number, 0] - 200], [0, 1, path[number, 1] - 150]])
        pixels = cv2.warpAffine(np.asarray(ground), where, (width, height))
        seen = found.xyxy[found.score > 0.3]
        for left, top, right, bottom in np.clip(seen, 0, [width, height, width, height]).astype(int):
            pixels[top:bottom, left:right] = coat[: bottom - top, : right - left]
        picture = Picture((pixels.astype(np.uint8),), "gray")
        began = time.perf_counter()
        motion = eye.measure(picture, seen)
        seconds.append(time.perf_counter() - began)
        motions.append(motion)
        truth = truths[number]
        if motion is not None and truth is not None:
            corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
            errors.append(np.abs(corners @ (motion - truth).T).max())
    return motions, np.array(errors), np.array(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="a Python that has the trackers package")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="*", choices=("accuracy", "lost", "speed", "camera"), default=None)
    chosen = parser.parse_args()
    wanted = chosen.only or ["accuracy", "lost", "speed", "camera"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    peers = Peers(chosen.peer_python) if chosen.peer_python else None
    command = " ".join(["python", "benchmarks/tracking.py", *sys.argv[1:]])
    print(f"{command}\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    recordings = load_recordings(chosen.data) if set(wanted) - {"speed"} else []
    if "accuracy" in wanted:
        accuracy(recordings, peers)
    if "lost" in wanted:
        lost_frames(recordings, chosen.seeds, peers)
    if "speed" in wanted:
        speed(peers)
    if "camera" in wanted:
        camera(recordings)
    if peers is not None and peers.version:
        print(f"\ntrackers {peers.version}; its defaults, frame_rate from the sequence, BoT-SORT without camera motion")


if __name__ == "__main__":
    main()
