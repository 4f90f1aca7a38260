"""All families of segmenters by name, and the file in which a trained one lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError

from streamdet.errors import DataError
from streamdet.models.segmentation.contract import SegmentationModel
from streamdet.models.segmentation.fcn import Fcn, FcnOptions
from streamdet.models.segmentation.u_net import UNet, UNetOptions
from streamdet.models.weights import WEIGHTS, holds, read_state, write_whole

SCHEMA = "streamdet.segmenter-weights/1"


class UNetFamily(UNetOptions):
    """Down, up and across."""

    family: Literal["u_net"] = "u_net"


class FcnFamily(FcnOptions):
    """A classifier that looks everywhere at once."""

    family: Literal["fcn"] = "fcn"


AnySegmenter = UNetFamily | FcnFamily
SegmenterOptions = Annotated[AnySegmenter, Field(discriminator="family")]

FAMILIES: tuple[str, ...] = ("u_net", "fcn")


def build_segmenter(options: AnySegmenter, classes: int) -> SegmentationModel:
    """An untrained network; its weights are drawn from torch's generator."""
    match options:
        case UNetFamily():
            return UNet(classes, options)
        case FcnFamily():
            return Fcn(classes, options)


@dataclass(frozen=True)
class TrainedSegmenter:
    """A segmenter that has learnt, and what must be known to use it."""

    model: SegmentationModel
    options: AnySegmenter
    classes: tuple[str, ...]
    size: tuple[int, int]  # width, height that it was trained and scored at
    scores: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)


def save_segmenter(path: Path, trained: TrainedSegmenter) -> None:
    """Write it whole or not at all; OSError where the disk refuses."""
    state = {
        "schema": SCHEMA,
        "options": trained.options.model_dump(mode="json"),
        "classes": list(trained.classes),
        "size": list(trained.size),
        "scores": trained.scores,
        "provenance": trained.provenance,
        "weights": trained.model.state_dict(),
    }
    write_whole(path, lambda file: torch.save(state, file))


def is_segmenter(path: Path) -> bool:
    """Whether a run's folder, or the file itself, holds a segmenter."""
    return holds(path, SCHEMA)


def load_segmenter(path: Path) -> TrainedSegmenter:
    """A run's folder, or the file itself → the model in evaluation mode on the CPU."""
    file = path / WEIGHTS if path.is_dir() else path
    state = read_state(file, SCHEMA)
    try:
        options: AnySegmenter = TypeAdapter(SegmenterOptions).validate_python(state["options"])
        model = build_segmenter(options, len(state["classes"]))
        model.load_state_dict(state["weights"])
    except (ValidationError, RuntimeError) as error:
        raise DataError(
            "these weights are of a segmenter that this version does not know",
            where=file,
            got=str(error).splitlines()[-1].strip(),
            hint="use the version of streamdet that trained them",
        ) from error
    width, height = state["size"]
    return TrainedSegmenter(
        model.eval(), options, tuple(state["classes"]), (width, height), state["scores"], state["provenance"]
    )
