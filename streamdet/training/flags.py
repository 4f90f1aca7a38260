"""What the command line's words mean in a training's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamdet.datasets.catalogue import DataSpec, splits_of
from streamdet.errors import ConfigError
from streamdet.models.catalogue import quick_options

_LEARNT = ("train", "training")
_JUDGED = ("val", "valid", "validation", "dev")
_TESTED = ("test", "testing")

DEFAULT_MODEL = "yolo-n"
# A budget that suits a few hundred pictures where none is said: each is seen often, but not endlessly.
_EPOCHS, _LEAST_STEPS = 150.0, 3000
_OPTIMISERS: Mapping[str, Mapping[str, Any]] = {
    "yolo": {"kind": "muon", "rate": 4e-3, "weight_decay": 0.05, "momentum": 0.95, "vector_rate_ratio": 5.0},
    "retinanet": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "faster_rcnn": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "mask_rcnn": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "fast_rcnn": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "rcnn": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "ssd": {"kind": "muon", "rate": 4e-3, "weight_decay": 0.05, "momentum": 0.95, "vector_rate_ratio": 5.0},
    "yolo_v1": {"kind": "muon", "rate": 4e-3, "weight_decay": 0.05, "momentum": 0.95, "vector_rate_ratio": 5.0},
    "localiser": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
    "overfeat": {"kind": "adamw", "rate": 1e-3, "weight_decay": 0.05},
}


def with_flags(values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """A file's values, or none, with what was said on the command line on top."""
    merged = dict(values)
    for name in ("size", "seed", "device"):
        if name in flags:
            merged[name] = flags[name]
    if "data" in flags:
        merged["data"] = parts_of(flags["data"])
    if flags.get("skip_bad") and isinstance(merged.get("data"), Mapping):
        merged["data"] = {**merged["data"], "skip_bad": True}
    if "model" in flags or "model" not in merged:
        merged["model"] = quick_options(flags.get("model", DEFAULT_MODEL))
    if not values:
        merged["optimiser"] = _OPTIMISERS[merged["model"].family]
    if "max_pictures" in flags:
        merged["pictures"] = flags["max_pictures"]
        merged.pop("epochs", None)
        merged.pop("at_least_steps", None)
    elif not values:
        merged |= {"epochs": _EPOCHS, "at_least_steps": _LEAST_STEPS}
    return merged


def for_reader(values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """A plate reader's file with the flags that mean something to it."""
    foreign = sorted(set(flags) - {"max_pictures", "seed", "device"})
    if foreign:
        raise ConfigError(
            "a plate reader draws what it learns from",
            expected="--max-pictures, --seed, --device",
            got=", ".join(f"--{name.replace('_', '-')}" for name in foreign),
        )
    merged = {**values, **{name: flags[name] for name in ("seed", "device") if name in flags}}
    if "max_pictures" in flags:
        merged |= {"pictures": flags["max_pictures"]}
        merged.pop("epochs", None)
    return merged


def for_classic(values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The file of a detector from before networks with the flags that mean something to it."""
    foreign = sorted(set(flags) - {"data", "seed", "skip_bad"})
    if foreign:
        raise ConfigError(
            "a detector from before networks has no such option",
            expected="--data, --seed, --skip-bad",
            got=", ".join(f"--{name.replace('_', '-')}" for name in foreign),
        )
    merged = dict(values)
    if "data" in flags:
        merged["data"] = parts_of(flags["data"])
    if flags.get("skip_bad") and isinstance(merged.get("data"), Mapping):
        merged["data"] = {**merged["data"], "skip_bad": True}
    if "seed" in flags:
        merged["seed"] = flags["seed"]
    return merged


def parts_of(text: str) -> dict[str, DataSpec]:
    """A folder → which of its splits are for what; one without splits is divided later."""
    given = DataSpec.parse(text)
    parts = splits_of(given)
    if len(parts) == 1:
        return {"train": parts[0]}
    by_name = {part.split: part for part in parts}
    found = {
        purpose: by_name[name]
        for purpose, names in (("train", _LEARNT), ("valid", _JUDGED), ("test", _TESTED))
        for name in names
        if name in by_name
    }
    if "train" not in found:
        raise ConfigError(
            "it is not clear which of these pictures are to be learnt from",
            where=given.path,
            expected="a split named train",
            got=", ".join(str(name) for name in by_name),
            hint=f"name it: --data {text}:SPLIT, or write a CONFIG",
        )
    return found
