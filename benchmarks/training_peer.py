"""One training of Ultralytics from scratch; run by benchmarks/training.py, in a Python that has it.

    PYTHON benchmarks/training_peer.py JOB.json ANSWER.json

Needs `pip install ultralytics` and nothing of streamdet. The job names data.yaml, the test pictures and the budget; the
answer holds what the best weights find in each test picture, and the seconds spent on learning alone.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ultralytics


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    model = ultralytics.YOLO(job["network"])
    clock = {"began": 0.0, "learning": 0.0}

    def begin(_: object) -> None:
        clock["began"] = time.perf_counter()

    def end(_: object) -> None:
        clock["learning"] += time.perf_counter() - clock["began"]

    model.add_callback("on_train_epoch_start", begin)
    model.add_callback("on_train_epoch_end", end)
    began = time.perf_counter()
    # Everything that is not named is its default: its own optimiser, rates, augmentation and schedule for this budget.
    model.train(
        data=job["data"], epochs=job["epochs"], imgsz=job["size"], batch=job["batch"], seed=job["seed"], device="cpu",
        workers=2, pretrained=False, project=job["folder"], name="run", exist_ok=True, plots=False, verbose=False,
    )  # fmt: skip
    whole = time.perf_counter() - began
    best = ultralytics.YOLO(str(Path(job["folder"]) / "run" / "weights" / "best.pt"))
    found = {}
    for key, path in job["pictures"].items():
        seen = best.predict(
            path, imgsz=job["size"], conf=0.001, iou=job["iou"], max_det=300, device="cpu", verbose=False
        )
        boxes = seen[0].boxes
        found[key] = {"xyxy": boxes.xyxy.tolist(), "score": boxes.conf.tolist(), "class_id": boxes.cls.tolist()}
    answer = {
        "version": ultralytics.__version__,
        "parameters": sum(parameter.numel() for parameter in model.model.parameters()),
        "learning_s": clock["learning"],
        "whole_s": whole,
        "found": found,
    }
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
