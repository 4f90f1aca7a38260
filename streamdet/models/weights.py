"""The file in which a trained model lies, and writing files so that a power cut leaves the old one or the new one."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from streamdet.errors import DataError
from streamdet.models.catalogue import ModelOptions, build_model
from streamdet.models.contract import AnyDetector

Network = TypeVar("Network", bound=nn.Module)
Options = TypeVar("Options")

SCHEMA = "streamdet.weights/1"
WEIGHTS = "best.pt"  # its name in a run's folder


@dataclass(frozen=True)
class Trained:
    """A model that has learnt, and what must be known to use it."""

    model: AnyDetector
    options: ModelOptions
    classes: tuple[str, ...]
    size: tuple[int, int]  # width, height that it was trained and scored at
    nms_iou: float = 0.45  # that it was scored with
    scores: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)  # data, commit, seed, pictures seen …


def save_trained(path: Path, trained: Trained) -> None:
    """Write it whole or not at all; OSError where the disk refuses."""
    save_network(
        path,
        SCHEMA,
        trained.model,
        options=trained.options.model_dump(mode="json"),
        classes=list(trained.classes),
        size=list(trained.size),
        nms_iou=trained.nms_iou,
        scores=trained.scores,
        provenance=trained.provenance,
    )


def load_trained(path: Path) -> Trained:
    """A run's folder, or the file itself → the model in evaluation mode on the CPU."""

    def build(state: dict[str, Any]) -> tuple[AnyDetector, ModelOptions]:
        options: ModelOptions = TypeAdapter(ModelOptions).validate_python(state["options"])
        return build_model(options, len(state["classes"])), options

    model, options, state = load_network(path, SCHEMA, build)
    width, height = state["size"]
    return Trained(
        model,
        options,
        tuple(state["classes"]),
        (width, height),
        state["nms_iou"],
        state["scores"],
        state["provenance"],
    )


def save_network(path: Path, schema: str, model: nn.Module, **told: Any) -> None:
    """The network's weights and the plain values that are told of it, as a file of that kind."""
    state = {"schema": schema, **told, "weights": model.state_dict()}
    write_whole(path, lambda file: torch.save(state, file))


def load_network(
    path: Path, schema: str, build: Callable[[dict[str, Any]], tuple[Network, Options]]
) -> tuple[Network, Options, dict[str, Any]]:
    """A run's folder, or a file of that kind → what `build` makes of what is told, with its weights, for use."""
    file = path / WEIGHTS if path.is_dir() else path
    state = read_state(file, schema)
    try:
        model, options = build(state)
        model.load_state_dict(state["weights"])
    except (ValidationError, RuntimeError) as error:
        raise DataError(
            "these weights are of a network that this version does not know",
            where=file,
            got=str(error).splitlines()[-1].strip(),
            hint="use the version of streamdet that trained them",
        ) from error
    return model.eval(), options, state


def read_state(path: Path, schema: str) -> dict[str, Any]:
    """What `write_whole` wrote with torch: tensors and plain values, never code."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError("there are no weights", where=path, hint="a training writes them; give its folder") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError("the weights cannot be read", where=path, got=str(error).splitlines()[0]) from error
    if not isinstance(state, dict) or state.get("schema") != schema:
        got = state.get("schema") if isinstance(state, dict) else type(state).__name__
        raise DataError("this is another kind of file", where=path, expected=schema, got=got)
    return state


def holds(path: Path, schema: str) -> bool:
    """Whether a run's folder, or the file itself, holds weights of that kind."""
    try:
        read_state(path / WEIGHTS if path.is_dir() else path, schema)
    except DataError:
        return False
    return True


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write aside, make it durable, then put it in place; what stood there stays whole until then."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except RuntimeError as error:  # torch's way to say that the disk is full
        raise OSError(str(error).splitlines()[0]) from error
    finally:
        aside.unlink(missing_ok=True)
