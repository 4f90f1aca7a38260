"""All families by name: what stands under `model:` in a training's configuration, and short names for a quick start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from streamdet.errors import ConfigError
from streamdet.models.contract import AnyDetector
from streamdet.models.fast_rcnn import FastRcnn, FastRcnnOptions
from streamdet.models.faster_rcnn import FasterRcnn, FasterRcnnOptions
from streamdet.models.localiser import Localiser, LocaliserOptions
from streamdet.models.mask_rcnn import MaskRcnn, MaskRcnnOptions
from streamdet.models.overfeat import OverFeat, OverFeatOptions
from streamdet.models.rcnn import Rcnn, RcnnOptions
from streamdet.models.retinanet import RetinaNet, RetinaNetOptions
from streamdet.models.ssd import Ssd, SsdOptions
from streamdet.models.yolo import Yolo, YoloOptions
from streamdet.models.yolo_v1 import YoloV1, YoloV1Options


class YoloFamily(YoloOptions):
    """One look, no anchors."""

    family: Literal["yolo"] = "yolo"


class RetinaNetFamily(RetinaNetOptions):
    """One look, anchors, focal loss."""

    family: Literal["retinanet"] = "retinanet"


class FasterRcnnFamily(FasterRcnnOptions):
    """Two looks: proposals, then each of them."""

    family: Literal["faster_rcnn"] = "faster_rcnn"


class MaskRcnnFamily(MaskRcnnOptions):
    """Two looks, and a mask for each object."""

    family: Literal["mask_rcnn"] = "mask_rcnn"


class SsdFamily(SsdOptions):
    """One look, default boxes on many maps, hard negatives."""

    family: Literal["ssd"] = "ssd"


class YoloV1Family(YoloV1Options):
    """One look, a grid, squared errors."""

    family: Literal["yolo_v1"] = "yolo_v1"


class FastRcnnFamily(FastRcnnOptions):
    """Regions from outside, read from a picture that is seen once."""

    family: Literal["fast_rcnn"] = "fast_rcnn"


class RcnnFamily(RcnnOptions):
    """Regions from outside, each seen by itself."""

    family: Literal["rcnn"] = "rcnn"


class LocaliserFamily(LocaliserOptions):
    """One object a picture: what it is, where, and where its parts are."""

    family: Literal["localiser"] = "localiser"


class OverFeatFamily(OverFeatOptions):
    """A classifier of windows, run over whole pictures at several scales at once."""

    family: Literal["overfeat"] = "overfeat"


AnyFamily = (
    YoloFamily
    | RetinaNetFamily
    | FasterRcnnFamily
    | MaskRcnnFamily
    | SsdFamily
    | YoloV1Family
    | FastRcnnFamily
    | RcnnFamily
    | LocaliserFamily
    | OverFeatFamily
)
ModelOptions = Annotated[AnyFamily, Field(discriminator="family")]

QUICK: Mapping[str, AnyFamily] = {
    "yolo-pico": YoloFamily(size="pico"),
    "yolo-n": YoloFamily(size="n"),
    "yolo-s": YoloFamily(size="s"),
    "retinanet-18": RetinaNetFamily(),
    "faster-rcnn-18": FasterRcnnFamily(),
    "mask-rcnn-18": MaskRcnnFamily(),
    "fast-rcnn-18": FastRcnnFamily(),
    "rcnn-18": RcnnFamily(),
    "ssd-18": SsdFamily(),
    "yolo-v1": YoloV1Family(),
    "localiser": LocaliserFamily(),
    "overfeat": OverFeatFamily(),
}


def build_model(options: AnyFamily, classes: int) -> AnyDetector:
    """An untrained network; its weights are drawn from torch's generator."""
    match options:
        case YoloFamily():
            return Yolo(classes, options)
        case RetinaNetFamily():
            return RetinaNet(classes, options)
        case FasterRcnnFamily():
            return FasterRcnn(classes, options)
        case MaskRcnnFamily():
            return MaskRcnn(classes, options)
        case FastRcnnFamily():
            return FastRcnn(classes, options)
        case RcnnFamily():
            return Rcnn(classes, options)
        case SsdFamily():
            return Ssd(classes, options)
        case YoloV1Family():
            return YoloV1(classes, options)
        case LocaliserFamily():
            return Localiser(classes, options)
        case OverFeatFamily():
            return OverFeat(classes, options)


def quick_options(name: str) -> AnyFamily:
    """The model of a short name."""
    if name not in QUICK:
        raise ConfigError("there is no such model", expected=", ".join(QUICK), got=name)
    return QUICK[name]
