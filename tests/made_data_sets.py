"""Small data sets drawn in the test: bright rectangles on dark ground, each findable by its colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamdet.datasets.samples import Entry, Listed, Objects, Rgb, Sample

# Far apart from one another, from the dark ground and from the grey of padding.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))


@dataclass(frozen=True)
class Drawn:
    """A data set whose pictures are in memory: object number k of each is a rectangle of colour k."""

    pictures: tuple[Rgb, ...]
    entries: tuple[Entry, ...]
    classes: tuple[str, ...] = ("red", "green", "blue", "yellow", "magenta", "cyan")
    name: str = "drawn"

    def read(self, index: int) -> Sample:
        entry = self.entries[index]
        return Sample(entry.key, self.pictures[index], entry.objects)


def drawn(
    count: int = 6, *, objects: int = 3, size: tuple[int, int] = (96, 72), outlined: bool = True, seed: int = 0
) -> Drawn:
    """Pictures with rectangles at whole pixels that do not touch; class = colour, corners as keypoints."""
    random = np.random.default_rng(seed)
    pictures, entries = [], []
    for number in range(count):
        picture = np.full((size[1], size[0], 3), 20, np.uint8)
        columns = size[0] // objects
        xyxy = []
        for place in range(objects):
            width, height = (int(each) for each in random.integers(10, min(columns - 4, size[1] // 2), 2))
            left = place * columns + int(random.integers(2, columns - width - 1))
            top = int(random.integers(2, size[1] - height - 1))
            xyxy.append((left, top, left + width, top + height))
        colours = random.permutation(len(COLOURS))[:objects]
        for (left, top, right, bottom), colour in zip(xyxy, colours, strict=True):
            picture[top:bottom, left:right] = COLOURS[colour]
        boxes = np.array(xyxy, np.float32).reshape(-1, 4)
        rings = np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], axis=1)
        given = Objects(
            boxes,
            colours.astype(np.int64),
            np.zeros(objects, np.bool_),
            np.concatenate([rings, np.ones((objects, 4, 1), np.float32)], axis=2),
            tuple((ring,) for ring in rings) if outlined else None,
        )
        pictures.append(picture)
        entries.append(Entry(f"{number:03}.png", Path(f"{number:03}.png"), size, given))
    return Drawn(tuple(pictures), tuple(entries))


def pixels_of(rgb: Rgb, colour: int) -> np.ndarray:
    """[height, width]: the pixels that are more of that colour than of anything else."""
    distance = np.abs(rgb.astype(np.int32) - np.array(COLOURS[colour])).max(axis=2)
    return distance < 118


def written(data_set: Drawn, folder: Path) -> Listed:
    """The same as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for picture, entry in zip(data_set.pictures, data_set.entries, strict=True):
        path = folder / entry.key
        cv2.imwrite(str(path), picture[..., ::-1])
        entries.append(Entry(entry.key, path, entry.size, entry.objects, entry.group))
    return Listed(data_set.name, data_set.classes, tuple(entries))
