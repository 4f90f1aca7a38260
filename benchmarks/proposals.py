"""Proposals against OpenCV's: recall with 2,000 per picture, and the time of one picture on one thread.

    python benchmarks/proposals.py DATASET [--peer-python PEER/bin/python] [--method selective-search]… [--pictures 40]

PEER is an environment of its own with opencv-contrib-python-headless: its selective search sees the same pictures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.samples import Listed
from streamdet.evaluation.proposals import score_proposals
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.contract import Proposals

PEER = """
import json, sys, time
import cv2, numpy as np
cv2.setNumThreads(1); cv2.setRNGSeed(0)
paths, out = json.loads(sys.stdin.read()), sys.argv[1]
seconds = []
for number, path in enumerate(paths):
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    picture = cv2.imread(path)
    begun = time.process_time()
    search.setBaseImage(picture)
    search.switchToSelectiveSearchFast()
    boxes = search.process()
    seconds.append(time.process_time() - begun)
    np.save(f"{out}/{number}.npy", boxes)
print(json.dumps(seconds))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--peer-python")
    parser.add_argument("--method", action="append")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--limit", type=int, default=2000)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    whole = open_data_set(asked.data)
    chosen = np.unique(np.linspace(0, len(whole.entries) - 1, asked.pictures).astype(int))
    data_set = Listed(whole.name, whole.classes, [whole.entries[i] for i in chosen])
    print(f"{data_set.name}: {len(data_set.entries)} pictures, at most {asked.limit} proposals of each")
    print(f"{'method':44} {'boxes':>6} {'recall':>7} {'overlap':>8} {'CPU ms':>7}")
    for method in asked.method or ["selective-search"]:
        proposer = open_proposer(method)
        proposer(data_set.read(0).rgb)  # compiled by now
        found, seconds = [], []
        for index in range(len(data_set.entries)):
            rgb = data_set.read(index).rgb
            begun = time.process_time()
            found.append(proposer(rgb))
            seconds.append(time.process_time() - begun)
        tell(data_set, method, found, seconds, asked.limit)
    if asked.peer_python:
        tell(data_set, "OpenCV selective search, fast", *of_peer(data_set, asked.peer_python), asked.limit)


def tell(data_set: Listed, method: str, found: list[Proposals], seconds: list[float], limit: int) -> None:
    scores = score_proposals(data_set, method, found, limit=limit)
    figures = f"{scores.recall50:7.4f} {scores.average_best_overlap:8.4f} {1000 * float(np.median(seconds)):7.0f}"
    print(f"{method:44} {scores.mean_number:6.0f} {figures}", flush=True)


def of_peer(data_set: Listed, python: str) -> tuple[list[Proposals], list[float]]:
    paths = json.dumps([str(Path(entry.path).resolve()) for entry in data_set.entries])
    with TemporaryDirectory() as folder:
        ended = subprocess.run([python, "-c", PEER, folder], input=paths, capture_output=True, text=True, check=True)
        boxes = [np.load(f"{folder}/{i}.npy").astype(np.float32) for i in range(len(data_set.entries))]
    corners = [np.concatenate([each[:, :2], each[:, :2] + each[:, 2:]], axis=1) for each in boxes]
    found = [Proposals(each, np.linspace(1, 0, len(each), dtype=np.float32)) for each in corners]
    return found, json.loads(ended.stdout)


if __name__ == "__main__":
    main()
