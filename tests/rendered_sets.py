"""A data set drawn in memory: coloured discs and squares on grey, for tests that learn, score and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from streamdet.datasets.samples import Entry, Objects, Sample

CLASSES = ("disc", "square")


class RenderedSet:
    """`count` pictures with up to `most` objects of two classes, the same for the same seed."""

    def __init__(self, count: int, size: tuple[int, int] = (96, 96), seed: int = 0, most: int = 3) -> None:
        self.name = f"rendered/{seed}"
        self.classes = CLASSES
        self._samples = [_sample(f"{number:03}.png", size, most, seed * 1000 + number) for number in range(count)]

    @property
    def entries(self) -> Sequence[Entry]:
        return [
            Entry(one.key, Path(one.key), (one.rgb.shape[1], one.rgb.shape[0]), one.objects) for one in self._samples
        ]

    def read(self, index: int) -> Sample:
        return self._samples[index]


def written_as_yolo(data_set: RenderedSet, folder: Path, split: str) -> Path:
    """Its pictures as one split of a YOLO folder; the folder, which is made or added to."""
    pictures, labels = folder / "images" / split, folder / "labels" / split
    pictures.mkdir(parents=True)
    labels.mkdir(parents=True)
    for index in range(len(data_set.entries)):
        sample = data_set.read(index)
        height, width = sample.rgb.shape[:2]
        cv2.imwrite(str(pictures / sample.key), sample.rgb[..., ::-1])
        lines = []
        for class_id, (left, top, right, bottom) in zip(sample.objects.class_id, sample.objects.xyxy, strict=True):
            middle = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            lines.append(f"{class_id} {middle[0]} {middle[1]} {(right - left) / width} {(bottom - top) / height}")
        (labels / sample.key).with_suffix(".txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    splits = "".join(f"{path.name}: images/{path.name}\n" for path in sorted((folder / "images").iterdir()))
    (folder / "data.yaml").write_text(f"path: .\n{splits}names:\n{names}")
    return folder


def _sample(key: str, size: tuple[int, int], most: int, seed: int) -> Sample:
    random = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width] + 0.5
    rgb = random.normal(120, 6, (height, width, 3))
    xyxy: list[tuple[float, float, float, float]] = []
    class_ids: list[int] = []
    for _ in range(int(random.integers(1, most + 1))):
        for _attempt in range(50):
            reach = float(random.integers(int(min(size) * 0.1), int(min(size) * 0.2)))
            middle_x = float(random.integers(int(reach) + 1, width - int(reach)))
            middle_y = float(random.integers(int(reach) + 1, height - int(reach)))
            box = (middle_x - reach, middle_y - reach, middle_x + reach, middle_y + reach)
            if not any(_touch(box, other) for other in xyxy):
                break
        else:
            continue
        class_id = int(random.integers(2))
        dx, dy = np.abs(x - middle_x), np.abs(y - middle_y)
        inside = np.hypot(dx, dy) <= reach if class_id == 0 else np.maximum(dx, dy) <= reach
        rgb[inside] = (220, 60, 50) if class_id == 0 else (40, 80, 210)
        xyxy.append(box)
        class_ids.append(class_id)
    objects = Objects(
        np.array(xyxy, np.float32).reshape(-1, 4), np.array(class_ids, np.int64), np.zeros(len(xyxy), np.bool_)
    )
    return Sample(key, np.clip(rgb, 0, 255).astype(np.uint8), objects)


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
