"""The figures of benchmarks/gpu.py: what one is, how it is judged, and how all of them are told."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from streamdet.errors import StreamdetError

ROOT = Path(__file__).resolve().parents[1]

# What is asked of a GPU: section, how its rows begin or end, the target in words.
TARGETS = (
    ("kernels", "of copy bandwidth", "preparing pictures: >= 60 % of copy bandwidth, by bytes touched"),
    ("suppression", "network's time", "suppression: <= 5 % of the network's time at batch 16"),
    ("synchronisation", "waits per batch", "one wait of the host per batch"),
    ("whole road", "CPU of one", "CPU per 1080p stream at 25 frames/s with NVDEC: <= 3 % of a core"),
)


@dataclass(frozen=True)
class Row:
    """One line of the table; `value` None means not seen, and `why` says what it would need."""

    section: str
    what: str
    value: float | None
    unit: str = ""
    target: str = ""
    met: bool | None = None
    why: str = ""


class NotSeen(Exception):
    """What this machine lacks for a section."""


def verdicts(rows: list[Row]) -> list[Row]:
    """Each target by its worst figure: met, missed, or not seen and why."""
    told = []
    for section, what, target in TARGETS:
        there = [row for row in rows if row.section == section]
        judged = [row for row in there if what in row.what and row.met is not None]
        if judged:
            worst = next((row for row in judged if not row.met), judged[0])
            told.append(Row("targets", target, worst.value, worst.unit, worst.target, worst.met))
        else:
            why = next((row.why for row in there if row.why), "no figure that it could be judged by")
            told.append(Row("targets", target, None, why=why))
    return told


def machine() -> dict[str, object]:
    """Where the figures come from."""
    from streamdet.infer.cuda_calls import Cuda

    try:
        gpu: object = asdict(Cuda().gpu)
    except StreamdetError as error:
        gpu = f"not seen: {error.what}"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "gpu": gpu,
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "commit": commit,
        "command": "python benchmarks/gpu.py",
    }


def table(rows: list[Row]) -> str:
    """For people, in Markdown."""
    lines = ["| | | figure | target | |", "|---|---|---|---|---|"]
    for row in rows:
        figure = "not seen" if row.value is None else f"{row.value:.4g} {row.unit}"
        verdict = {True: "met", False: "**missed**", None: row.why.split(" · ")[0]}[row.met]
        lines.append(f"| {row.section} | {row.what} | {figure} | {row.target} | {verdict} |")
    return "\n".join(lines)
