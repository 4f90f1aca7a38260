"""CARD.md and scores.json: a run on one page, whatever was learnt."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from typing import Any, Generic, TypeVar

import torch

from streamdet.models.weights import write_whole
from streamdet.training.checkpoint import Progress
from streamdet.training.options import LearningOptions
from streamdet.training.run_folder import RunFolder

Scores = TypeVar("Scores")


@dataclass(frozen=True)
class Report(Generic[Scores]):
    """What one kind of training has to tell of its best weights."""

    scores: Scores
    headline: str  # the scores in a line
    summary: str  # the network, in a sentence
    facts: Mapping[str, object]  # title → what it learnt from and was judged by
    provenance: Mapping[str, str]  # of the best weights
    scored_on: str
    tables: Sequence[str]  # lines of Markdown below "Scores": figures and pictures
    figures: Mapping[str, Any]  # all of them, for scores.json


def write_card(
    folder: RunFolder, options: LearningOptions, progress: Progress, report: Report[Any], *, machine: str
) -> None:
    """Write CARD.md and scores.json."""
    provenance = report.provenance
    commands = folder.commands()
    resumed = [command for command in commands if "--resume" in command.split()]
    # A run of a version that kept no commands knows only how it was resumed.
    begun = next((command for command in commands if command not in resumed), "")
    facts = {
        **report.facts,
        "pictures seen": f"{progress.step * options.per_step:,} in {progress.step:,} steps of {options.per_step}",
        "best weights": f"after step {progress.best_step:,}",
        "skipped steps": progress.skipped,
        "ended": progress.ended,
        **({"resumed": f"{len(resumed)} times" if len(resumed) > 1 else "once"} if resumed else {}),
        "time": f"{timedelta(seconds=round(progress.seconds))}, scoring included",
        "machine": machine,
        "seed": options.seed,
        "streamdet, torch": f"{provenance['streamdet']}, {provenance['torch']}",
        "commit": provenance["commit"] or "unknown",
    }
    text = [
        f"# {folder.path.resolve().name}",
        "",
        report.summary,
        "",
        "| | |",
        "|---|---|",
        *(f"| {title} | {value} |" for title, value in facts.items()),
        "",
        f"    {begun}" if begun else "",
        "",
        f"## Scores on {report.scored_on}",
        "",
        *report.tables,
        "",
    ]
    write_whole(folder.card, lambda file: file.write("\n".join(text).encode()))
    content = json.dumps({**report.figures, "provenance": dict(provenance)}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder.scores, lambda file: file.write(content.encode()))


def provenance_of(options: LearningOptions, progress: Progress, *, data: str) -> dict[str, str]:
    """Where weights come from."""
    return {
        "data": data,
        "pictures_seen": str(progress.step * options.per_step),
        "steps": str(progress.step),
        "seed": str(options.seed),
        "streamdet": metadata.version("streamdet"),
        "torch": str(torch.__version__),  # a class of its own otherwise, that no checkpoint may hold
        "commit": commit(),
    }


def commit() -> str:
    """The checked-out commit of the directory that the training is started in; empty outside of one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
