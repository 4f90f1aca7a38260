"""How well small, fast objects are followed: number plates of rendered streets, against their exact truth.

    python benchmarks/tracking_plates.py [--seeds 11 12 13] [--engine plate-detector] [--reach 0.7]

For the detector's rows and for perfect ones, with all frames and with half or three quarters lost at random: ids given,
switches, and the share of visible plates (half of their area or more) on a confirmed track. `--reach 0` turns the last
stage of matching off.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from streamdet import boxes
from streamdet.errors import EndOfStream
from streamdet.frames import Detections, TrackState
from streamdet.infer.detector import load_detector
from streamdet.sources.synthetic import SyntheticSource
from streamdet.tracking.bytetrack import ByteTrackOptions
from streamdet.tracking.catalogue import make_tracker

VISIBLE_RATIO, OVERLAP = 0.5, 0.4


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame: what the detector found, and which plates are there."""

    pts_s: float
    found: Detections
    plates: dict[int, np.ndarray]  # truth id → xyxy


@dataclass(slots=True)
class Score:
    """Sums over clips."""

    ids: int = 0
    switches: int = 0
    visible: int = 0
    tracked: int = 0
    last: dict[int, int] = field(default_factory=dict)

    def see(self, moment: Moment, rows: np.ndarray, ids: np.ndarray) -> None:
        """The confirmed rows of a frame and their ids: each plate takes the row that overlaps it most."""
        overlap = boxes.iou(np.array(list(moment.plates.values()), np.float32).reshape(-1, 4), rows)
        self.visible += len(moment.plates)
        for plate, row in zip(moment.plates, overlap, strict=True):
            if not len(row) or row.max() < OVERLAP:
                continue
            track = int(ids[row.argmax()])
            self.tracked += 1
            self.switches += self.last.get(plate, track) != track
            self.last[plate] = track


def clip(seed: int, engine: str) -> Iterator[Moment]:
    """Twelve seconds of one street."""
    source = SyntheticSource("street", f"synthetic:plates?seed={seed}&duration=12")
    worker = load_detector(engine).worker()
    source.open()
    try:
        while True:
            frame = source.read()
            found = worker.detect([frame])[0]
            there = {
                each.truth_id: np.asarray(each.xyxy, np.float32)
                for each in source.truth(frame.index)
                if each.name == "plate" and each.visible_ratio >= VISIBLE_RATIO
            }
            yield Moment(frame.pts_s, found, there)
            frame.picture.release()
    except EndOfStream:
        source.close()


def perfect(moment: Moment) -> Detections:
    """The truth as a detector would tell it."""
    xyxy = np.array(list(moment.plates.values()), np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(len(xyxy), 0.9, np.float32), np.zeros(len(xyxy), np.int32), ("plate",))


def follow(moments: list[Moment], options: ByteTrackOptions, ideal: bool, lost: float, seed: int, score: Score) -> None:
    """One clip through a fresh tracker, without the frames that are lost."""
    tracker = make_tracker(options)
    score.last = {}
    ids: set[int] = set()
    kept = np.random.default_rng(seed).random(len(moments)) >= lost
    for moment in (moment for moment, keep in zip(moments, kept, strict=True) if keep):
        found = perfect(moment) if ideal else moment.found
        tracks = tracker.update(found, moment.pts_s)
        confirmed = np.flatnonzero(tracks.state == TrackState.CONFIRMED)
        ids |= set(tracks.track_id[confirmed].tolist())
        score.see(moment, found.xyxy[confirmed], tracks.track_id[confirmed])
    score.ids += len(ids)


def main() -> None:
    """Print the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    words.add_argument("--engine", default="plate-detector")
    words.add_argument("--reach", type=float, nargs="+", default=[0.0, ByteTrackOptions().reach])
    chosen = words.parse_args()
    clips = {seed: list(clip(seed, chosen.engine)) for seed in chosen.seeds}
    plates = sum(len({plate for moment in moments for plate in moment.plates}) for moments in clips.values())
    print(f"{plates} plates in {len(clips)} clips of 12 s")
    print(f"{'rows':>9} {'lost':>5} {'reach':>6} {'ids':>5} {'switches':>9} {'tracked':>8}")
    for ideal in (False, True):
        for lost in (0.0, 0.5, 0.75):
            for reach in chosen.reach:
                score = Score()
                for seed, moments in clips.items():
                    follow(moments, ByteTrackOptions(reach=reach), ideal, lost, seed, score)
                rows = "perfect" if ideal else "detector"
                share = score.tracked / score.visible
                print(f"{rows:>9} {lost:>5} {reach:>6} {score.ids:>5} {score.switches:>9} {share:>8.1%}")


if __name__ == "__main__":
    main()
