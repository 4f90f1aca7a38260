"""HOG and linear SVM on licence plates, trained and judged on different drives.

    python benchmarks/classic_plates.py PLATES_RO [--train 120] [--test 66]

The published split shows the same cars on both sides; here drives dayride_type1_002 and _003 are judged and others
learnt from.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import cv2
import numpy as np

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.samples import DataSet, Listed
from streamdet.evaluation.detections import score_detections
from streamdet.models.classic.hog import HogOptions
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.mining import learn_windows
from streamdet.models.classic.window_detector import WindowDetector

JUDGED = "dayride_type1_002,dayride_type1_003"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=66)
    parser.add_argument("--cell", type=int, default=6)
    parser.add_argument("--cells", type=int, nargs=2, default=(14, 5))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cost", type=float, default=0.01)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    learnt = some(open_data_set(f"{asked.data}:train+valid?exclude={JUDGED}"), asked.train)
    judged = some(open_data_set(f"{asked.data}:train+valid?include={JUDGED}"), asked.test)
    cells = (asked.cells[0], asked.cells[1])
    blank = WindowDetector("plate", cells, Plane(np.zeros(0, np.float32), 0.0), HogOptions(cell_px=asked.cell))
    begun = time.process_time()
    detector = learn_windows(
        blank, learnt, rounds=asked.rounds, cost=asked.cost, say=lambda line: print(line, flush=True)
    )
    print(f"learnt from {len(learnt.entries)} pictures in {time.process_time() - begun:.0f} s of one core")
    begun = time.process_time()
    scores = score_detections(replace(detector, shrink=2 ** (1 / 8)), judged)
    each = (time.process_time() - begun) / len(judged.entries)
    print(f"AP50 {scores.map50:.3f}, AP50-95 {scores.map50_95:.3f}, F1 {scores.best.f1:.3f}", end="; ")
    print(f"{len(judged.entries)} pictures, {scores.objects} plates, {1000 * each:.0f} CPU ms per picture")


def some(data_set: DataSet, count: int) -> Listed:
    rows = np.unique(np.linspace(0, len(data_set.entries) - 1, count).astype(int))
    return Listed(data_set.name, data_set.classes, [data_set.entries[i] for i in rows])


if __name__ == "__main__":
    main()
