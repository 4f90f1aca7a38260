"""Puts a trained plate-spotter on the shelf and measures it there, on streets that it was never trained on.

    .venv/bin/python engines/plate-spotter/shelve.py --raw runs/plate-spotter/raw.onnx

Grafts the suppression behind the raw network, measures the engine as a pipeline would run it, and writes manifest.json,
model.onnx and CARD.md into this folder. `--measure` only measures what is there and prints.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from streamdet.boxes import iou
from streamdet.frames import Detections, Frame, Picture
from streamdet.graft.importer import import_model
from streamdet.infer.detector import load_detector
from streamdet.manifest import EngineManifest, Provenance, dump_manifest
from streamdet.scenes.planes import yuv420p
from streamdet.scenes.street import Street
from streamdet.scenes.truth import Truth

HERE = Path(__file__).parent
ASKED_PX = 24.0  # plates wider than this are to be found
HELD_OUT = range(300, 340)  # seeds; training used those from 1000 on, looking and choosing those below 300
FRAMES = 15  # of each street, 1.3 s apart


@dataclass
class Tally:
    """Detections of many frames against their truth; truth that is not asked for neither counts nor punishes."""

    threshold: float
    frames: int = 0
    asked: int = 0
    false: int = 0
    found: list[float] = field(default_factory=list)  # overlap of each asked plate found above the threshold
    widths: list[tuple[float, bool]] = field(default_factory=list)  # of each asked plate, and whether it was found
    scored: list[tuple[float, bool]] = field(default_factory=list)  # of each judged detection, and whether it is right

    def add(self, detections: Detections, truth: tuple[Truth, ...]) -> None:
        """One frame: best first, each detection takes the asked plate that it overlaps most, at least by half."""
        self.frames += 1
        shown = np.array([entry.xyxy for entry in truth], np.float32).reshape(-1, 4)
        asked = np.array([entry.visible and entry.width_px > ASKED_PX for entry in truth], bool)
        overlap = iou(detections.xyxy, shown)
        free = asked.copy()
        matched = np.zeros(len(truth), bool)
        for row, score in enumerate(detections.score.tolist()):
            candidates = np.where(free, overlap[row], 0)
            best = int(candidates.argmax()) if len(truth) else -1
            right = best >= 0 and candidates[best] >= 0.5
            if right:
                free[best] = False
                if score > self.threshold:
                    matched[best] = True
                    self.found.append(float(candidates[best]))
            elif len(truth) and overlap[row][~asked].max(initial=0) > 0.1:
                continue
            else:
                self.false += score > self.threshold
            self.scored.append((score, right))
        self.asked += int(asked.sum())
        self.widths += [(e.width_px, bool(m)) for e, a, m in zip(truth, asked, matched, strict=True) if a]

    def average_precision(self) -> float:
        """Area under the precision envelope, every point."""
        ordered = sorted(self.scored, key=lambda pair: -pair[0])
        right = np.cumsum([hit for _, hit in ordered])
        precision = right / np.arange(1, len(ordered) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        gained = np.diff(np.concatenate([[0], right])) / max(self.asked, 1)
        return float((envelope * gained).sum())

    def recall(self, low: float = 0.0, high: float = np.inf) -> float:
        """Share of the asked plates of these widths that were found."""
        chosen = [hit for width, hit in self.widths if low < width <= high]
        return float(np.mean(chosen)) if chosen else float("nan")

    def scores(self) -> dict[str, float]:
        """The figures for manifest and card."""
        figures = {
            "frames": float(self.frames),
            "plates": float(self.asked),
            "ap50": self.average_precision(),
            "recall": self.recall(),
            "recall_24_32_px": self.recall(24, 32),
            "recall_32_64_px": self.recall(32, 64),
            "recall_over_64_px": self.recall(64),
            "false_per_frame": self.false / self.frames,
            "mean_overlap": float(np.mean(self.found)),
        }
        return {name: round(value, 4) for name, value in figures.items()}


def measure(engine: Path, seeds: range = HELD_OUT, size: tuple[int, int] = (1280, 720)) -> dict[str, float]:
    """Run the engine over the held-out streets, and for its time on one core."""
    detector = load_detector(engine, backend="onnx-cpu")
    worker = detector.worker(threads=1)
    tally, spent = Tally(detector.score), []
    for seed in seeds:
        street = Street(seed, size)
        for number in range(FRAMES):
            scene = street.frame(5 + 1.3 * number)
            frame = Frame("held-out", number, float(number), Picture(yuv420p(scene.bgr), "yuv420p"))
            started = time.perf_counter()
            (found,) = worker.detect([frame])
            spent.append(time.perf_counter() - started)
            tally.add(found, scene.truth)
    worker.close()
    detector.close()
    return tally.scores() | {"ms_per_frame_one_core": round(1000 * float(np.median(spent)), 1)}


def shelve(raw: Path, recipe: dict[str, Any]) -> None:
    """Graft, prove and measure; then replace manifest, model and card of this folder."""
    nms = recipe["nms"]
    with tempfile.TemporaryDirectory() as aside:
        made = import_model(
            raw,
            recipe["name"],
            shelf=Path(aside),
            family="generic",
            classes=("plate",),
            size=tuple(recipe["size"]),
            pixels="0..255",  # the network divides by itself
            confidence=recipe["score"],
            iou=nms["iou"],
            max_detections=nms["max_detections"],
            candidates=nms["candidates"],
            licence="Apache-2.0",
        )
        scores = measure(made.folder)
        provenance = Provenance(
            source="trained from scratch by this project, no pretrained weights",
            licence="Apache-2.0",
            recipe="recipe.yaml, train.py",
            data="scenes rendered by streamdet.scenes; no real picture",
            commit=subprocess.run(
                ["git", "rev-parse", "--short=12", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
            ).stdout.strip(),
            scores=scores,
        )
        manifest = made.manifest.model_copy(update={"provenance": provenance})
        shutil.copy(made.folder / manifest.files[0].path, HERE)
        (HERE / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
        (HERE / "CARD.md").write_text(card(manifest, (HERE / "model.onnx").stat().st_size), encoding="utf-8")


def card(manifest: EngineManifest, size_bytes: int) -> str:
    """CARD.md from what was measured."""
    scores = manifest.provenance.scores
    width, height = manifest.input.size
    return f"""# plate-spotter

Finds number plates in the streets that streamdet renders itself (`synthetic:plates`).

**A stand-in.** It was trained on rendered scenes only and has never seen a photograph. It exists so that the demo and
the tests have an engine that really detects, at once and offline. It is not for real streets: expect it to miss plates
there and to take other things for plates.

| | |
|---|---|
| input | {width}x{height} RGB, letterbox, uint8; a 1280x720 frame is scaled by 0.49 |
| output | class `plate`, boxes around the four corners |
| network | conv-BN-ReLU down to stride 32 and up to 16 and 8, anchor-free; suppression in the graph |
| file | `model.onnx`, FP32, {size_bytes / 1000:.0f} kB |
| score threshold | {manifest.score} |
| licence | Apache-2.0; weights trained from scratch |

## Measured

On streets of {len(HELD_OUT)} seeds that neither training nor any choice used, {FRAMES} frames each at 1280x720,
through the same preprocessing and ONNX Runtime backend as in a pipeline. Asked for are plates wider than
{ASKED_PX:.0f} px in the frame of which at least three quarters can be seen; smaller or hidden ones neither
count nor punish. Right means IoU of at least 0.5; found and false are counted at the score threshold. A street
stands still, so one thing mistaken for a plate (a lamp's head, lettering at the picture's edge) is mistaken in all
its frames: the false ones come from few streets.

| | |
|---|---|
| frames, plates asked for | {scores["frames"]:.0f}, {scores["plates"]:.0f} |
| AP50 | {scores["ap50"]:.4f} |
| found | {scores["recall"]:.2%} |
| … 24 to 32 px wide | {scores["recall_24_32_px"]:.2%} |
| … 32 to 64 px wide | {scores["recall_32_64_px"]:.2%} |
| … over 64 px wide | {scores["recall_over_64_px"]:.2%} |
| false plates per frame | {scores["false_per_frame"]:.4f} |
| mean IoU of those found | {scores["mean_overlap"]:.3f} |
| milliseconds per frame on one core, pixels to boxes | {scores["ms_per_frame_one_core"]:.1f} (shared x86 server) |

Again: `python engines/plate-spotter/shelve.py --measure`. How it was made: `recipe.yaml`, `train.py`, `pictures.py`.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--raw", type=Path, help="the raw network that train.py left")
    choice.add_argument("--measure", action="store_true", help="only measure the engine in this folder")
    arguments = parser.parse_args()
    if arguments.measure:
        for name, value in measure(HERE).items():
            print(f"{name:24} {value}")
    else:
        shelve(arguments.raw, yaml.safe_load((HERE / "recipe.yaml").read_text()))
