"""Which family a network is of: named by the user, or beyond doubt, or refused."""

from __future__ import annotations

from streamdet.errors import ConfigError, ModelRefused
from streamdet.graft.families.contract import Family, Network, wrong_form
from streamdet.graft.families.detr import Detr
from streamdet.graft.families.generic import Generic
from streamdet.graft.families.ssd import Ssd
from streamdet.graft.families.torchvision import Torchvision
from streamdet.graft.families.yolov5 import Yolov5
from streamdet.graft.families.yolov8 import Yolov8
from streamdet.graft.families.yolov10 import Yolov10
from streamdet.graft.families.yolox import Yolox

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Yolox(), Yolov5(), Yolov8(), Yolov10(), Detr(), Ssd(), Torchvision(), Generic())
}
# What else a head may be called that has one of these forms.
ALIASES = {
    "yolov6": "yolov5",
    "yolov7": "yolov5",
    "yolov9": "yolov8",
    "yolo11": "yolov8",
    "yolo12": "yolov8",
    "yolo26": "yolov10",
    "rtdetr": "detr",
    "rt-detr": "detr",
    "rf-detr": "detr",
    "d-fine": "detr",
    "dfine": "detr",
    "deim": "detr",
}
_OTHER_TASKS = {"segment", "obb", "classify"}


def family_named(name: str) -> Family:
    """The family of that name or alias."""
    known = FAMILIES.get(ALIASES.get(name.lower(), name.lower()))
    if known is None:
        raise ConfigError("unknown family", expected=", ".join([*FAMILIES, *ALIASES]), got=name)
    return known


def choose_family(network: Network, named: str | None, where: object = None) -> Family:
    """The family that was named, if the outputs are of its form; otherwise the only certain one."""
    task = network.metadata.get("task", "")
    if task in _OTHER_TASKS:
        raise ModelRefused("the network is no plain detector", where=where, expected="task detect or pose", got=task)
    if named is not None:
        family = family_named(named)
        if not family.fits(network):
            raise wrong_form(family.name, network, family.title)
        return family
    certain = [family for family in FAMILIES.values() if family.certain(network)]
    if len(certain) == 1:
        return certain[0]
    fitting = [family for family in FAMILIES.values() if family.fits(network)]
    heads = ", ".join(f"{head.name} {head.dtype} {list(head.shape)}" for head in network.heads)
    if not fitting:
        raise ModelRefused(
            "the outputs are of no known family",
            where=where,
            expected="; ".join(f"{family.name}: {family.title}" for family in FAMILIES.values()),
            got=heads,
        )
    raise ModelRefused(
        "the outputs do not tell the family beyond doubt",
        where=where,
        expected=" or ".join(f"{family.name} ({family.title})" for family in fitting),
        got=heads,
        hint=" or ".join(f"--family {family.name}" for family in fitting),
    )
