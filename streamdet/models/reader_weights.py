"""The file in which a trained plate reader lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamdet.models.plate_reader import PlateReader, PlateReaderOptions
from streamdet.models.weights import holds, load_network, save_network

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
    save_network(
        path,
        SCHEMA,
        trained.model,
        options=trained.options.model_dump(mode="json"),
        alphabet=trained.alphabet,
        size=list(trained.size),
        scores=trained.scores,
        provenance=trained.provenance,
    )


def is_reader(path: Path) -> bool:
    """Whether a run's folder, or the file itself, holds a plate reader."""
    return holds(path, SCHEMA)


def load_trained_reader(path: Path) -> TrainedReader:
    """A run's folder, or the file itself → the model in evaluation mode on the CPU."""

    def build(state: dict[str, Any]) -> tuple[PlateReader, PlateReaderOptions]:
        options = PlateReaderOptions.model_validate(state["options"])
        return PlateReader(len(state["alphabet"]), options), options

    model, options, state = load_network(path, SCHEMA, build)
    width, height = state["size"]
    return TrainedReader(model, options, state["alphabet"], (width, height), state["scores"], state["provenance"])
