"""The file in which a trained plate reader lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import ValidationError

from streamdet.errors import DataError
from streamdet.models.plate_reader import PlateReader, PlateReaderOptions
from streamdet.models.weights import WEIGHTS, holds, read_state, write_whole

SCHEMA = "streamdet.reader-weights/1"


@dataclass(frozen=True)
class TrainedReader:
    """A reader that has learnt, and what must be known to use it."""

    model: PlateReader
    options: PlateReaderOptions
    alphabet: str
    size: tuple[int, int]  # width, height of its crops
    scores: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)


def save_reader(path: Path, trained: TrainedReader) -> None:
    """Write it whole or not at all; OSError where the disk refuses."""
    state = {
        "schema": SCHEMA,
        "options": trained.options.model_dump(mode="json"),
        "alphabet": trained.alphabet,
        "size": list(trained.size),
        "scores": trained.scores,
        "provenance": trained.provenance,
        "weights": trained.model.state_dict(),
    }
    write_whole(path, lambda file: torch.save(state, file))


def is_reader(path: Path) -> bool:
    """Whether a run's folder, or the file itself, holds a plate reader."""
    return holds(path, SCHEMA)


def load_trained_reader(path: Path) -> TrainedReader:
    """A run's folder, or the file itself → the model in evaluation mode on the CPU."""
    file = path / WEIGHTS if path.is_dir() else path
    state = read_state(file, SCHEMA)
    try:
        options = PlateReaderOptions.model_validate(state["options"])
        model = PlateReader(len(state["alphabet"]), options)
        model.load_state_dict(state["weights"])
    except (ValidationError, RuntimeError) as error:
        raise DataError(
            "these weights are of a reader that this version does not know",
            where=file,
            got=str(error).splitlines()[-1].strip(),
            hint="use the version of streamdet that trained them",
        ) from error
    width, height = state["size"]
    return TrainedReader(
        model.eval(), options, state["alphabet"], (width, height), state["scores"], state["provenance"]
    )
