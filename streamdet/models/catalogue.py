"""All families by name: what stands under `model:` in a training's configuration, and short names for a quick start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from streamdet.errors import ConfigError
from streamdet.models.contract import DetectionModel
from streamdet.models.faster_rcnn import FasterRcnn, FasterRcnnOptions
from streamdet.models.retinanet import RetinaNet, RetinaNetOptions
from streamdet.models.yolo import Yolo, YoloOptions


class YoloFamily(YoloOptions):
    """One look, no anchors."""

    family: Literal["yolo"] = "yolo"


class RetinaNetFamily(RetinaNetOptions):
    """One look, anchors, focal loss."""

    family: Literal["retinanet"] = "retinanet"


class FasterRcnnFamily(FasterRcnnOptions):
    """Two looks: proposals, then each of them."""

    family: Literal["faster_rcnn"] = "faster_rcnn"


ModelOptions = Annotated[YoloFamily | RetinaNetFamily | FasterRcnnFamily, Field(discriminator="family")]

QUICK: Mapping[str, YoloFamily | RetinaNetFamily | FasterRcnnFamily] = {
    "yolo-pico": YoloFamily(size="pico"),
    "yolo-n": YoloFamily(size="n"),
    "yolo-s": YoloFamily(size="s"),
    "retinanet-18": RetinaNetFamily(),
    "faster-rcnn-18": FasterRcnnFamily(),
}


def build_model(options: YoloFamily | RetinaNetFamily | FasterRcnnFamily, classes: int) -> DetectionModel:
    """An untrained network; its weights are drawn from torch's generator."""
    match options:
        case YoloFamily():
            return Yolo(classes, options)
        case RetinaNetFamily():
            return RetinaNet(classes, options)
        case FasterRcnnFamily():
            return FasterRcnn(classes, options)


def quick_options(name: str) -> YoloFamily | RetinaNetFamily | FasterRcnnFamily:
    """The model of a short name."""
    if name not in QUICK:
        raise ConfigError("there is no such model", expected=", ".join(QUICK), got=name)
    return QUICK[name]
