"""Everything that a training needs to go on as if it had never stopped.

Which pictures come, how they are augmented and what torch draws at random follow from the seed and the step
(`batches.seed_of`), so no generator's state and no place in an order need to be kept: the step holds all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamdet.datasets.samples import DataSet
from streamdet.errors import DataError
from streamdet.models.weights import read_state, write_whole

SCHEMA = "streamdet.checkpoint/1"
CHECKPOINT = "last.pt"  # its name in a run's folder


@dataclass
class Progress:
    """What a training has behind it: the plain numbers."""

    step: int = 0  # steps done
    skipped: int = 0  # of these: without effect, because the numbers were broken
    seconds: float = 0.0  # spent, over all attempts
    best: float = -1.0  # the figure that the weights are chosen by, mAP50-95 or the like
    best_step: int = 0
    since_best: int = 0  # evaluations
    ended: str = ""  # why, when it is over
    scores: dict[str, float] = field(default_factory=dict)  # of the best


@dataclass(frozen=True)
class Checkpoint:
    """The file's content."""

    progress: Progress
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    average_updates: int
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    options_hash: str
    data_hash: str


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Whole or not at all; OSError where the disk refuses."""
    state = {**vars(checkpoint), "schema": SCHEMA, "progress": asdict(checkpoint.progress)}
    write_whole(path, lambda file: torch.save(state, file))


def read_checkpoint(path: Path, options_hash: str, data_hash: str) -> Checkpoint:
    """The checkpoint of a training with these options and data; DataError where they are others."""
    state = read_state(path, SCHEMA)
    del state["schema"]
    for what, expected in (("options_hash", options_hash), ("data_hash", data_hash)):
        if state[what] != expected:
            changed = (
                "the training's options" if what == "options_hash" else "the pictures to learn from, or their labels,"
            )
            raise DataError(
                f"{changed} are not what they were",
                where=path,
                expected=state[what],
                got=expected,
                hint="bring back what was changed, or begin anew with another --out",
            )
    return Checkpoint(**{**state, "progress": Progress(**state["progress"])})


def hash_of(values: Mapping[str, Any]) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def hash_of_labels(data_set: DataSet) -> str:
    """A short name for the labels: pictures in order, classes and boxes."""
    digest = hashlib.sha256(repr(data_set.classes).encode())
    for entry in data_set.entries:
        digest.update(entry.key.encode())
        digest.update(entry.objects.xyxy.tobytes())
        digest.update(entry.objects.class_id.tobytes())
    return digest.hexdigest()[:16]
