"""What training from scratch gives on small data, beside Ultralytics on the same pictures; the tables of must-show.

    python benchmarks/training.py table [--runs runs/benchmark]
    python benchmarks/training.py ours CONFIG [--pictures 6000] [--seeds 0 1 2] [--runs runs/benchmark]
    python benchmarks/training.py peer CONFIG --peer-python PYTHON [--pictures 6000] [--seeds 0 1 2]

`table` reads what lies in the folder and trains nothing. `ours` trains what is missing there, and goes on with what was
broken off: the command may be given again at any time. `peer` does the same with yolov8n of Ultralytics, in a Python
that has it (pip install ultralytics, some gigabytes, in a virtual environment of its own).

Both sides see the same pictures of CONFIG's splits, whatever the doctor leaves out left out for both, at the same size,
as many times, and each has its own full schedule for that budget; both choose their best weights by the same validation
pictures, and both are scored on the test pictures by streamdet's evaluation: one class per box, at most 300 boxes.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from streamdet.boxes import clip
from streamdet.datasets.samples import DataSet
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.frames import Detections
from streamdet.training.labelled import DataSets, examined, open_all
from streamdet.training.options import TrainOptions
from streamdet.training.reporting import Reporter

RUNS = Path("runs/benchmark")
NETWORK = "yolov8n.yaml"  # without weights: from scratch
PEER = "Ultralytics yolov8n"
BATCH = 16  # Ultralytics' own default
# family → (mAP50, mAP50-95) to be reached on BCCD's test pictures
TARGETS = {"yolo": (0.88, 0.58), "retinanet": (0.80, 0.0), "faster_rcnn": (0.80, 0.0)}
COMPARED = (2000, 6000, 20000)  # pictures seen


@dataclass(frozen=True)
class Row:
    """One finished training."""

    side: str
    family: str
    pictures: int
    seed: int
    seconds: float  # all of it
    rate: float  # pictures per second of learning alone
    map50: float
    map50_95: float
    data: str


# ---- our side


def train_ours(config: Path, pictures: int | None, seeds: list[int], runs: Path) -> None:
    """Every run that is not finished yet, one after the other."""
    for seed in seeds:
        folder = runs / f"ours-{config.stem}-{pictures or 'full'}-s{seed}"
        if (folder / "scores.json").exists():
            print(f"{folder}: finished already")
            continue
        command = [sys.executable, "-m", "streamdet", "train"]
        if (folder / "config.yaml").exists():
            command += ["--resume", str(folder)]
        else:
            command += [str(config), "--out", str(folder), "--seed", str(seed)]
            command += ["--max-pictures", str(pictures)] if pictures else []
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)


def our_row(folder: Path) -> Row:
    """From what a run leaves behind."""
    scores = json.loads((folder / "scores.json").read_text())
    options = yaml.safe_load((folder / "config.yaml").read_text())
    seconds, learning = _seconds(folder / "metrics.csv")
    pictures = int(scores["provenance"]["pictures_seen"])
    family = options["model"]["family"]
    label = f"{family} {options['model'].get('size', '')}".strip()
    return Row(
        f"streamdet {label}", family, pictures, int(options.get("seed", 0)), seconds, pictures / learning,
        _number(scores["map50"]), _number(scores["map50_95"]), scores["data"],
    )  # fmt: skip


def _seconds(metrics: Path) -> tuple[float, float]:
    """All seconds, and those between reports of learning: scoring writes a row of its own, without a loss."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    whole = float(rows[-1]["seconds"])
    scoring, before = 0.0, 0.0
    for row in rows:
        if not row["pictures"]:
            scoring += float(row["seconds"]) - before
        before = float(row["seconds"])
    return whole, max(whole - scoring, 1e-9)


# ---- the other side


def train_peer(config: Path, pictures: int, seeds: list[int], runs: Path, python: str) -> None:
    """The same for Ultralytics; its answers are scored here."""
    options = TrainOptions.model_validate(yaml.safe_load(config.read_text()))
    folder = runs / f"peer-data-{config.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    with Reporter(quiet=True) as reporter:
        data = examined(open_all(options.data), options.size, True, folder / "skipped.txt", reporter)
    assert data.test is not None, "CONFIG must name test pictures"
    described = write_yolo(data, folder)
    shown = {entry.key: str(entry.path.resolve()) for entry in data.test.entries}
    for seed in seeds:
        run = runs / f"peer-{config.stem}-{pictures}-s{seed}"
        if (run / "scores.json").exists():
            print(f"{run}: finished already")
            continue
        run.mkdir(parents=True, exist_ok=True)
        epochs = max(1, round(pictures / len(data.train.entries)))
        job = {
            "network": NETWORK, "data": str(described), "epochs": epochs, "size": options.size[0], "batch": BATCH,
            "seed": seed, "folder": str(run.resolve()), "iou": options.evaluation.nms_iou, "pictures": shown,
        }  # fmt: skip
        (run / "job.json").write_text(json.dumps(job, indent=1))
        script = str(Path(__file__).with_name("training_peer.py"))
        subprocess.run([python, script, str(run / "job.json"), str(run / "answer.json")], check=True)
        answer = json.loads((run / "answer.json").read_text())
        scores = score_found(answer["found"], data.test)
        seen = epochs * len(data.train.entries)
        told = {key: answer[key] for key in ("version", "parameters", "learning_s", "whole_s")}
        told |= {"pictures_seen": seen, "asked": pictures, "seed": seed}
        (run / "scores.json").write_text(json.dumps(scores.as_json() | {"peer": told}, indent=1) + "\n")
        print(f"{run}: mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f}", flush=True)


def write_yolo(data: DataSets, folder: Path) -> Path:
    """The splits as Ultralytics reads them: links to the pictures, a text file each; its data.yaml.

    Ignored objects cannot be said in that format: they are left out, where they would be taken for background.
    """
    for name, data_set in data.named().items():
        pictures, labels = folder / "images" / name, folder / "labels" / name
        pictures.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for number, entry in enumerate(data_set.entries):
            stem = f"{number:05}-{entry.path.stem}"
            link = pictures / f"{stem}{entry.path.suffix}"
            if not link.exists():
                link.symlink_to(entry.path.resolve())
            height, width = cv2.imread(str(entry.path)).shape[:2]
            lines = []
            for row, (left, top, right, bottom) in enumerate(clip(entry.objects.xyxy, width, height)):
                if entry.objects.ignored[row] or right <= left or bottom <= top:
                    continue
                middle = (left + right) / 2 / width, (top + bottom) / 2 / height
                side = (right - left) / width, (bottom - top) / height
                lines.append(" ".join(str(value) for value in (entry.objects.class_id[row], *middle, *side)))
            (labels / f"{stem}.txt").write_text("\n".join(lines) + "\n")
    names = dict(enumerate(data.train.classes))
    described = {"path": str(folder.resolve()), "train": "images/train", "val": "images/valid", "names": names}
    (folder / "data.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return (folder / "data.yaml").resolve()


def score_found(found: dict[str, Any], test: DataSet) -> DetectionScores:
    """Another detector's boxes, by our evaluation: its answers come in the order of the pictures."""
    answers: Iterator[Detections] = (
        Detections(
            np.array(found[entry.key]["xyxy"], np.float32).reshape(-1, 4),
            np.array(found[entry.key]["score"], np.float32),
            np.array(found[entry.key]["class_id"], np.int32),
        )
        for entry in test.entries
    )
    return score_detections(lambda _: next(answers), test)


def peer_row(folder: Path) -> Row:
    """From what `train_peer` wrote."""
    scores = json.loads((folder / "scores.json").read_text())
    told = scores["peer"]
    return Row(
        f"{PEER} ({told['version']})", "peer", told["pictures_seen"], told["seed"], told["whole_s"],
        told["pictures_seen"] / told["learning_s"], _number(scores["map50"]), _number(scores["map50_95"]),
        scores["data"],
    )  # fmt: skip


# ---- tables


def finished(runs: Path) -> list[Row]:
    """Every finished training in a folder."""
    folders = [path.parent for path in sorted(runs.glob("*/scores.json"))]
    return [peer_row(folder) if folder.name.startswith("peer-") else our_row(folder) for folder in folders]


def print_each(rows: list[Row]) -> None:
    """Must-show 1: each training against its target."""
    print("\n| training | seed | pictures seen | time | pictures/s | mAP50 | mAP50-95 | target | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda one: (one.side, one.pictures, one.seed)):
        wanted = TARGETS.get(row.family)
        target = "-" if wanted is None else " / ".join(f"{value:.2f}" for value in wanted if value)
        met = wanted is not None and row.map50 >= wanted[0] and row.map50_95 >= wanted[1]
        verdict = "" if wanted is None else "**met**" if met else "not met"
        time = f"{row.seconds / 3600:.2f} h" if row.seconds > 3600 else f"{row.seconds / 60:.1f} min"
        print(
            f"| {row.side} on {row.data} | {row.seed} | {row.pictures} | {time} | {row.rate:.1f} "
            f"| {row.map50:.3f} | {row.map50_95:.3f} | {target} | {verdict} |"
        )


def print_compared(rows: list[Row]) -> None:
    """Must-show 2: means over seeds at the same number of pictures seen."""
    print("\n| pictures seen | ours mAP50-95 | seeds | theirs | seeds | difference | pictures/s, ours to theirs |")
    print("|---|---|---|---|---|---|---|")
    sides: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row.side == "streamdet yolo n" or row.family == "peer":
            sides["peer" if row.family == "peer" else "ours", _budget(row.pictures)].append(row)
    for budget in COMPARED:
        ours, theirs = sides["ours", budget], sides["peer", budget]
        both = [_mean([row.map50_95 for row in side]) for side in (ours, theirs)]
        rates = [_mean([row.rate for row in side]) for side in (ours, theirs)]
        faster = "-" if math.isnan(sum(rates)) else f"{rates[0]:.1f} / {rates[1]:.1f} = {rates[0] / rates[1]:.2f}"
        print(
            f"| {budget} | {_share(both[0])} | {len(ours)} | {_share(both[1])} | {len(theirs)} "
            f"| {_share(both[0] - both[1])} | {faster} |"
        )


def _budget(pictures: int) -> int:
    """Epochs are whole: what was seen is near the budget, not equal."""
    return min(COMPARED, key=lambda budget: abs(math.log(pictures / budget)))


def _mean(values: list[float]) -> float:
    return statistics.mean(values) if values else math.nan


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("table", "ours", "peer"):
        sub = verbs.add_parser(verb)
        sub.add_argument("--runs", type=Path, default=RUNS)
        if verb != "table":
            sub.add_argument("config", type=Path)
            sub.add_argument("--pictures", type=int)
            sub.add_argument("--seeds", type=int, nargs="+", default=[0])
        if verb == "peer":
            sub.add_argument("--peer-python", required=True)
    told = parser.parse_args()
    if told.verb == "ours":
        train_ours(told.config, told.pictures, told.seeds, told.runs)
    if told.verb == "peer":
        if told.pictures is None:
            parser.error("peer needs --pictures")
        train_peer(told.config, told.pictures, told.seeds, told.runs, told.peer_python)
    rows = finished(told.runs)
    print_each(rows)
    print_compared(rows)


if __name__ == "__main__":
    main()
