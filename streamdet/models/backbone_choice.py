"""The backbones by name: every family with a pyramid takes any of them."""

from __future__ import annotations

from typing import Literal

from streamdet.models.backbones import Backbone
from streamdet.models.blocks import SIZES, ElanBackbone
from streamdet.models.resnet import ResNet

BackboneName = Literal["resnet18", "resnet34", "resnet50", "yolo-pico", "yolo-n", "yolo-s", "tiny"]


def backbone(name: BackboneName) -> Backbone:
    """The backbone of that name, untrained; `tiny` is for tests."""
    if name == "resnet18" or name == "resnet34" or name == "resnet50":
        return ResNet(name)
    size = SIZES[name.removeprefix("yolo-")]
    return ElanBackbone(size.widths, size.depths)
