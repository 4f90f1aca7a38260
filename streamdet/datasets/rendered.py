"""Rendered streets with plates as a COCO data set: corners as keypoints, what is written as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamdet.boxes import xyxy_to_xywh
from streamdet.errors import ConfigError, DataError
from streamdet.scenes.street import COUNTRIES, Street
from streamdet.scenes.truth import Bgr, Scene, Truth

_CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
_WARM_UP_S = 20.0  # until the street is full of cars


class RenderOptions(BaseModel):
    """What is rendered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1, description="How many pictures.")] = 500
    seed: Annotated[int, Field(ge=0, description="The same seed gives the same pictures.")] = 0
    size: Annotated[tuple[int, int], Field(description="Width and height of a picture.")] = (1280, 720)
    per_street: Annotated[int, Field(ge=1, description="Pictures of each street; a street is a group.")] = 4
    every_s: Annotated[float, Field(gt=0, description="Time between two of them.")] = 3.0
    valid_ratio: Annotated[
        float, Field(ge=0, lt=1, description="Share of the streets that goes into valid.json, never single pictures.")
    ] = 0.2
    countries: Annotated[tuple[str, ...], Field(description="Whose plates.")] = COUNTRIES
    density: Annotated[float, Field(gt=0, le=4, description="Traffic; 1 shows one to three plates at a time.")] = 1.0
    least_width_px: Annotated[
        float, Field(ge=0, description="Narrower plates are marked as ignored, like hidden ones.")
    ] = 12.0
    quality: Annotated[tuple[int, int], Field(description="JPEG quality, from and to.")] = (70, 95)


def render_plates(
    folder: Path, options: RenderOptions, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Write images/ and train.json, valid.json; returns the label files. `progress` is told (done, all)."""
    unknown = sorted(set(options.countries) - set(COUNTRIES))
    if unknown:
        raise ConfigError("no plates of that country", expected=", ".join(COUNTRIES), got=", ".join(unknown))
    pictures = new_folder(folder)
    labels = {split: _empty_labels(options) for split in ("train", "valid")}
    random = np.random.default_rng([options.seed, 77])
    for number, (street, at, scene) in enumerate(_scenes(options)):
        name = f"{number:06}.jpg"
        write_picture(pictures / name, scene.bgr, int(random.integers(options.quality[0], options.quality[1] + 1)))
        _add(labels[_split(street, options)], name, scene, street, at, options)
        if progress is not None:
            progress(number + 1, options.count)
    return write_labels(folder, labels)


def _split(street: int, options: RenderOptions) -> str:
    """Evenly spread: with a ratio of 0.2, the last of every five streets is for validation."""
    before, after = int(street * options.valid_ratio + 1e-9), int((street + 1) * options.valid_ratio + 1e-9)
    return "valid" if after > before else "train"


def _scenes(options: RenderOptions) -> Iterator[tuple[int, float, Scene]]:
    """Number of the street, moment, picture."""
    for number in range(-(-options.count // options.per_street)):
        street = Street(
            options.seed * 100_003 + number, options.size, density=options.density, countries=options.countries
        )
        for turn in range(min(options.per_street, options.count - number * options.per_street)):
            at = _WARM_UP_S + turn * options.every_s
            yield number, at, street.frame(at)


def new_folder(folder: Path) -> Path:
    """The folder for a data set's pictures, made; ConfigError where there is a data set already."""
    pictures = folder / "images"
    if (folder / "train.json").exists():
        raise ConfigError(
            "there is a data set already", where=folder, hint="choose another folder, or remove this one first"
        )
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("the folder cannot be made", where=folder, got=error.strerror) from error
    return pictures


def write_labels(folder: Path, labels: Mapping[str, Mapping[str, Any]]) -> tuple[Path, ...]:
    """A COCO file for each split that has pictures."""
    written = []
    for split, content in labels.items():
        if content["images"]:
            path = folder / f"{split}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            written.append(path)
    return tuple(written)


def write_picture(path: Path, bgr: Bgr, quality: int) -> None:
    """A JPEG of that quality."""
    done, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    try:
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise DataError("a picture cannot be written", where=path, got=error.strerror) from error
    assert done


def _empty_labels(options: RenderOptions) -> dict[str, Any]:
    return {
        "info": {"description": "rendered plates", "options": options.model_dump(mode="json")},
        "categories": [
            {"id": 1, "name": "plate", "keypoints": list(_CORNERS), "skeleton": [[1, 2], [2, 3], [3, 4], [4, 1]]}
        ],
        "images": [],
        "annotations": [],
    }


def _add(labels: dict[str, Any], name: str, scene: Scene, street: int, at: float, options: RenderOptions) -> None:
    image_id = len(labels["images"]) + 1
    width, height = options.size
    group = f"street_{street:05}"
    labels["images"].append(
        {"id": image_id, "file_name": name, "width": width, "height": height, "group": group, "second": at}
    )
    for truth in scene.truth:
        labels["annotations"].append(_annotation(len(labels["annotations"]) + 1, image_id, truth, options))


def _annotation(number: int, image_id: int, truth: Truth, options: RenderOptions) -> dict[str, Any]:
    box = xyxy_to_xywh(np.array([truth.xyxy], np.float32))[0].tolist()
    points = [value for x, y in truth.corners for value in (x, y, _visible(x, y, options.size))]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [round(value, 3) for value in box],
        "area": round(box[2] * box[3], 3),
        "iscrowd": 0,
        "ignore": int(not truth.visible or truth.width_px < options.least_width_px),
        "keypoints": [round(value, 3) for value in points],
        "num_keypoints": 4,
        "text": truth.text,
        "format": truth.format_key,
        "visible_ratio": round(truth.visible_ratio, 4),
    }


def _visible(x: float, y: float, size: tuple[int, int]) -> int:
    """2 within the picture, 0 beyond it."""
    return 2 if 0 <= x <= size[0] and 0 <= y <= size[1] else 0
