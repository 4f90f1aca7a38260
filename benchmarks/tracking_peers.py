"""Trackers of the `trackers` package over the same detections; run by benchmarks/tracking.py, in a Python that has it.

    PYTHON benchmarks/tracking_peers.py JOB.npz ANSWER.npz

Needs `pip install trackers supervision numpy` and nothing of streamdet. Every job names a tracker, and holds the rows
of its frames and their times; the answer holds frame, id and box of what was tracked, and the seconds of each update.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version

import numpy as np
import supervision
import trackers

MAKE = {
    "ByteTrack": lambda fps: trackers.ByteTrackTracker(frame_rate=fps),
    "OC-SORT": lambda fps: trackers.OCSORTTracker(frame_rate=fps),
    "SORT": lambda fps: trackers.SORTTracker(frame_rate=fps),
    "BoT-SORT": lambda fps: trackers.BoTSORTTracker(frame_rate=fps, enable_cmc=False),
}


def play(name: str, fps: float, rows: np.ndarray, counts: np.ndarray, times: np.ndarray, timed: bool):
    """Rows [N, 5] (xyxy, score) of all frames in turn → tracked [M, 6] (frame, id, xyxy) and seconds [F]."""
    tracker = MAKE[name](fps)
    tracked, seconds = [], np.zeros(len(counts))
    starts = np.concatenate([[0], np.cumsum(counts)])
    for frame, count in enumerate(counts):
        part = rows[starts[frame] : starts[frame] + count]
        found = supervision.Detections(
            xyxy=part[:, :4], confidence=part[:, 4], class_id=np.zeros(count, int), tracker_id=None
        )
        began = time.perf_counter()
        answer = tracker.update(found, timestamp=float(times[frame])) if timed else tracker.update(found)
        seconds[frame] = time.perf_counter() - began
        if len(answer) and answer.tracker_id is not None:
            sure = answer.tracker_id >= 0
            ids = answer.tracker_id[sure]
            tracked.append(np.column_stack([np.full(len(ids), frame + 1), ids, answer.xyxy[sure]]))
    return np.vstack([np.zeros((0, 6)), *tracked]), seconds


def main() -> None:
    jobs = np.load(sys.argv[1])
    answers = {"version": np.array(version("trackers"))}
    for job in range(int(jobs["jobs"])):
        name, fps, timed = str(jobs[f"{job}.name"]), float(jobs[f"{job}.fps"]), bool(jobs[f"{job}.timed"])
        tracked, seconds = play(name, fps, jobs[f"{job}.rows"], jobs[f"{job}.counts"], jobs[f"{job}.times"], timed)
        answers[f"{job}.tracked"], answers[f"{job}.seconds"] = tracked, seconds
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    main()
