"""All families of segmenters by name, and the file in which a trained one lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from streamdet.models.segmentation.contract import SegmentationModel
from streamdet.models.segmentation.fcn import Fcn, FcnOptions
from streamdet.models.segmentation.u_net import UNet, UNetOptions
from streamdet.models.weights import holds, load_network, save_network

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
    save_network(
        path,
        SCHEMA,
        trained.model,
        options=trained.options.model_dump(mode="json"),
        classes=list(trained.classes),
        size=list(trained.size),
        scores=trained.scores,
        provenance=trained.provenance,
    )


def is_segmenter(path: Path) -> bool:
    """Whether a run's folder, or the file itself, holds a segmenter."""
    return holds(path, SCHEMA)


def load_segmenter(path: Path) -> TrainedSegmenter:
    """A run's folder, or the file itself → the model in evaluation mode on the CPU."""

    def build(state: dict[str, Any]) -> tuple[SegmentationModel, AnySegmenter]:
        options: AnySegmenter = TypeAdapter(SegmenterOptions).validate_python(state["options"])
        return build_segmenter(options, len(state["classes"])), options

    model, options, state = load_network(path, SCHEMA, build)
    width, height = state["size"]
    return TrainedSegmenter(
        model, options, tuple(state["classes"]), (width, height), state["scores"], state["provenance"]
    )
