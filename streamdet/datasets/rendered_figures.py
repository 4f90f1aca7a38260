"""Jointed figures as a COCO data set: boxes, and the fourteen joints as keypoints, exactly as they were drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamdet.boxes import xyxy_to_xywh
from streamdet.datasets.rendered import new_folder, write_labels, write_picture
from streamdet.scenes.figures import JOINTS, KINDS, SKELETON, FigureOptions, FigureScene, figure_scene

_TEST = "test"


class FigureSetOptions(BaseModel):
    """What is rendered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1, description="How many pictures.")] = 4000
    seed: Annotated[int, Field(ge=0, description="The same seed gives the same pictures.")] = 0
    size: Annotated[tuple[int, int], Field(description="Width and height of a picture.")] = (128, 128)
    figures: Annotated[tuple[int, int], Field(description="In each picture, from and to.")] = (1, 1)
    height_ratio: Annotated[tuple[float, float], Field(description="Of a figure, against the picture's height.")] = (
        0.4,
        0.8,
    )
    valid_ratio: Annotated[float, Field(ge=0, lt=0.5, description="Share of valid.json; test.json has as many.")] = 0.05
    quality: Annotated[tuple[int, int], Field(description="JPEG quality, from and to.")] = (80, 95)


def render_figures(
    folder: Path, options: FigureSetOptions, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Write images/ and train.json, valid.json, test.json; returns the label files. `progress` is told (done, all)."""
    pictures = new_folder(folder)
    held = round(options.count * options.valid_ratio)
    labels: dict[str, dict[str, Any]] = {split: _empty_labels(options) for split in ("train", "valid", _TEST)}
    random = np.random.default_rng([options.seed, 79])
    drawn = FigureOptions(options.size, options.figures, options.height_ratio)
    for number in range(options.count):
        name = f"{number:06}.jpg"
        scene = figure_scene(options.seed, number, drawn)
        write_picture(pictures / name, scene.bgr, int(random.integers(options.quality[0], options.quality[1] + 1)))
        split = _TEST if number < held else "valid" if number < 2 * held else "train"
        _add(labels[split], name, scene, options.size)
        if progress is not None:
            progress(number + 1, options.count)
    return write_labels(folder, labels)


def _empty_labels(options: FigureSetOptions) -> dict[str, Any]:
    skeleton = [[start + 1, end + 1] for start, end in SKELETON]
    return {
        "info": {"description": "rendered jointed figures", "options": options.model_dump(mode="json")},
        "categories": [
            {"id": number, "name": kind, "keypoints": list(JOINTS), "skeleton": skeleton}
            for number, kind in enumerate(KINDS, start=1)
        ],
        "images": [],
        "annotations": [],
    }


def _add(labels: dict[str, Any], name: str, scene: FigureScene, size: tuple[int, int]) -> None:
    image_id = len(labels["images"]) + 1
    labels["images"].append({"id": image_id, "file_name": name, "width": size[0], "height": size[1]})
    for figure in scene.figures:
        box = xyxy_to_xywh(np.array([figure.xyxy], np.float32))[0]
        points = [value for x, y in figure.joints.tolist() for value in (round(x, 3), round(y, 3), 2)]
        labels["annotations"].append(
            {
                "id": len(labels["annotations"]) + 1,
                "image_id": image_id,
                "category_id": KINDS.index(figure.kind) + 1,
                "bbox": [round(float(value), 3) for value in box],
                "area": round(float(box[2] * box[3]), 3),
                "iscrowd": 0,
                "keypoints": points,
                "num_keypoints": len(JOINTS),
            }
        )
