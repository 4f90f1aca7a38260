"""CARD.md: a run on one page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import timedelta

from streamdet.datasets.samples import DataSet
from streamdet.evaluation.detections import DetectionScores
from streamdet.models.weights import write_whole
from streamdet.training.checkpoint import Progress
from streamdet.training.labelled import DataSets
from streamdet.training.options import TrainOptions
from streamdet.training.run_folder import RunFolder

_FIGURES = {
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "map_small": "mAP50-95, small objects",
    "map_medium": "mAP50-95, medium objects",
    "map_large": "mAP50-95, large objects",
}


def write_card(
    folder: RunFolder,
    options: TrainOptions,
    data: DataSets,
    progress: Progress,
    scores: DetectionScores,
    *,
    provenance: Mapping[str, str],
    parameters: int,
    machine: str,
    command: str,
) -> None:
    """Write CARD.md and scores.json."""
    width, height = options.size
    seen = progress.step * options.per_step
    text = [
        f"# {folder.path.resolve().name}",
        "",
        f"{options.model.family}, {parameters:,} parameters, {width} by {height}, from scratch.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} data | {each.name}: {_count(each)} |" for name, each in data.named().items()),
        f"| classes | {', '.join(data.train.classes)} |",
        f"| pictures seen | {seen:,} in {progress.step:,} steps of {options.per_step} |",
        f"| best weights | after step {progress.best_step:,} |",
        f"| skipped steps | {progress.skipped} |",
        f"| ended | {progress.ended} |",
        f"| time | {timedelta(seconds=round(progress.seconds))}, scoring included |",
        f"| machine | {machine} |",
        f"| seed | {options.seed} |",
        f"| streamdet, torch | {provenance['streamdet']}, {provenance['torch']} |",
        f"| commit | {provenance['commit'] or 'unknown'} |",
        "",
        f"    {command}" if command else "",
        "",
        f"## Scores on {scores.data}",
        "",
        "| | |",
        "|---|---:|",
        *(f"| {title} | {_share(scores.figures()[name])} |" for name, title in _FIGURES.items()),
        f"| best F1, at score {scores.best.score:.2f} | {_share(scores.best.f1)} |",
        "",
        "| class | objects | AP50-95 | AP50 | precision | recall |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {one.name} | {one.objects} | {_share(one.ap50_95)} | {_share(one.ap50)} "
            f"| {_share(one.precision)} | {_share(one.recall)} |"
            for one in scores.per_class
        ),
        "",
        "![losses](plots/losses.png) ![scores](plots/scores.png)",
        "![precision over recall](plots/precision_recall.png) ![confusion](plots/confusion.png)",
        "",
        "The pictures that it does worst on; objects green, detections red:",
        "",
        "![worst](plots/worst.jpg)",
        "",
    ]
    write_whole(folder.card, lambda file: file.write("\n".join(text).encode()))
    content = json.dumps(scores.as_json() | {"provenance": dict(provenance)}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder.scores, lambda file: file.write(content.encode()))


def _count(data_set: DataSet) -> str:
    entries = data_set.entries
    return f"{len(entries)} pictures, {sum(len(entry.objects) for entry in entries)} objects"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
