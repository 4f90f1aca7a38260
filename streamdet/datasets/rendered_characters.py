"""Rendered plates, one to a picture, as a COCO data set of their characters with exact masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamdet.datasets.rendered import new_folder, write_labels, write_picture
from streamdet.masks import runs_of
from streamdet.scenes.plate_characters import CharacterOptions, Characters, plate_characters

_SPLITS = ("train", "valid", "test")
_LEAST_PIXELS = 16  # of a character; one of which less is seen is ignored


class CharacterSetOptions(BaseModel):
    """What is rendered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1, description="How many pictures.")] = 2000
    seed: Annotated[int, Field(ge=0, description="The same seed gives the same pictures.")] = 0
    size: Annotated[tuple[int, int], Field(description="Width and height of a picture.")] = (256, 128)
    valid_ratio: Annotated[float, Field(ge=0, lt=0.5, description="Share of the pictures in valid.json.")] = 0.1
    test_ratio: Annotated[float, Field(ge=0, lt=0.5, description="Share of the pictures in test.json.")] = 0.1
    severity: Annotated[float, Field(ge=0, description="Of poses, light, blur, noise and transmission.")] = 0.6
    quality: Annotated[tuple[int, int], Field(description="JPEG quality, from and to.")] = (80, 95)


def render_characters(
    folder: Path, options: CharacterSetOptions, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Write images/ and train.json, valid.json, test.json; returns the label files. `progress` is told (done, all)."""
    pictures = new_folder(folder)
    labels: dict[str, dict[str, Any]] = {split: _empty_labels(options) for split in _SPLITS}
    random = np.random.default_rng([options.seed, 78])
    drawn = CharacterOptions(size=options.size, severity=options.severity)
    for number in range(options.count):
        name = f"{number:06}.jpg"
        found = plate_characters(options.seed, number, drawn)
        write_picture(pictures / name, found.bgr, int(random.integers(options.quality[0], options.quality[1] + 1)))
        _add(labels[_split(number, options)], name, found, options.size)
        if progress is not None:
            progress(number + 1, options.count)
    return write_labels(folder, labels)


def _split(number: int, options: CharacterSetOptions) -> str:
    """Evenly spread."""
    for split, low, high in (
        ("valid", 0.0, options.valid_ratio),
        ("test", options.valid_ratio, options.valid_ratio + options.test_ratio),
    ):
        # Steps of the golden ratio spread any count evenly over the unit.
        if low <= (number * 0.6180339887498949) % 1 < high:
            return split
    return "train"


def _empty_labels(options: CharacterSetOptions) -> dict[str, Any]:
    return {
        "info": {"description": "characters of rendered plates", "options": options.model_dump(mode="json")},
        "categories": [{"id": 1, "name": "character"}],
        "images": [],
        "annotations": [],
    }


def _add(labels: dict[str, Any], name: str, found: Characters, size: tuple[int, int]) -> None:
    image_id = len(labels["images"]) + 1
    labels["images"].append({"id": image_id, "file_name": name, "width": size[0], "height": size[1]})
    for number, character in enumerate(found.text, start=1):
        mask = (found.owners == number).view(np.uint8)
        pixels = int(mask.sum())
        if not pixels:
            continue
        labels["annotations"].append(
            {
                "id": len(labels["annotations"]) + 1,
                "image_id": image_id,
                "category_id": 1,
                "bbox": list(cv2.boundingRect(mask)),
                "area": pixels,
                "iscrowd": 0,
                "ignore": int(pixels < _LEAST_PIXELS),
                "segmentation": runs_of(mask),
                "text": character,
            }
        )
