"""Labels in one text file a picture, as YOLO writes them: relative boxes, outlines or keypoints; data.yaml names the
classes and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from streamdet.boxes import cxcywh_to_xyxy
from streamdet.datasets.building import ObjectRows, Remarks, around, class_number, number, read_text, ring
from streamdet.datasets.pictures import PICTURE_ENDINGS, shown_size
from streamdet.datasets.samples import Entry, Listed
from streamdet.errors import DataError

_SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class YoloLayout:
    """Where the pictures of each split are, and what the numbers mean."""

    root: Path
    classes: tuple[str, ...]  # empty: the label files say no more than numbers
    splits: Mapping[str, tuple[Path, ...]]  # folders or lists of pictures
    keypoint_shape: tuple[int, int] | None = None  # points, values per point
    declared_in: Path | None = None


def yolo_layout(path: Path) -> YoloLayout | None:
    """The layout of a data.yaml or of a folder with images/ and labels/; None where it is neither."""
    if path.is_file():
        return _from_yaml(path) if path.suffix in (".yaml", ".yml") else None
    for candidate in sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml")):
        if "names" in _mapping(candidate):
            return _from_yaml(candidate)
    pictures, labels = path / "images", path / "labels"
    if pictures.is_dir() and labels.is_dir():
        below = sorted(each.name for each in pictures.iterdir() if each.is_dir())
        splits = {name: (pictures / name,) for name in below} or {"all": (pictures,)}
        return YoloLayout(path, _class_list(path), splits)
    roboflow = {each.name: (each / "images",) for each in sorted(path.glob("*")) if (each / "labels").is_dir()}
    return YoloLayout(path, _class_list(path), roboflow) if roboflow else None


def read_yolo(layout: YoloLayout, name: str, split: str) -> Listed:
    """The pictures of a split, by name."""
    return _Reader(layout, name).listed(split)


class _Reader:
    def __init__(self, layout: YoloLayout, name: str) -> None:
        self._layout, self._name = layout, name
        self._remarks = Remarks()
        self._largest = -1

    def listed(self, split: str) -> Listed:
        pictures = [path for place in self._layout.splits[split] for path in self._pictures(place)]
        entries = tuple(self._entry(path) for path in dict.fromkeys(pictures))
        for place in self._layout.splits[split]:
            self._find_orphans(place, {_label_path(path) for path in pictures})
        classes = self._layout.classes or tuple(str(each) for each in range(self._largest + 1))
        return Listed(self._name, classes, entries, "yolo", self._remarks.all())

    def _pictures(self, place: Path) -> list[Path]:
        if place.is_dir():
            return sorted(path for path in place.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
        listed = [line.strip() for line in read_text(place, "the list of pictures").splitlines() if line.strip()]
        for line in listed:
            if Path(line).is_absolute():
                self._remarks.add("absolute_path", place, line)
        return [self._resolve(place, line) for line in listed]

    def _resolve(self, place: Path, line: str) -> Path:
        candidates = (place.parent / line, self._layout.root / line)
        return next((path for path in candidates if path.is_file()), candidates[-1])

    def _find_orphans(self, place: Path, known: set[Path]) -> None:
        if not place.is_dir():
            return
        for path in sorted(_label_path(place / "x.jpg").parent.rglob("*.txt")):
            if path not in known and path.name != "classes.txt":
                self._remarks.add("orphan_labels", path, "there is no picture of that name", path.stem)

    def _entry(self, path: Path) -> Entry:
        root = self._layout.root
        key = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
        size, labels, rows = shown_size(path) or (0, 0), _label_path(path), ObjectRows()
        if labels.is_file():
            for count, line in enumerate(read_text(labels, "a label file").splitlines(), start=1):
                if line.strip():
                    self._read_object(line.split(), f"{labels}:{count}", key, size, rows)
        else:
            self._remarks.add("orphan_picture", labels, "no label file speaks of it", key)
        points = self._layout.keypoint_shape[0] if self._layout.keypoint_shape else 0
        return Entry(key, path, size, rows.objects(points), labels=labels)

    def _read_object(self, words: Sequence[str], where: str, key: str, size: tuple[int, int], into: ObjectRows) -> None:
        values = [number(word, where, "a label's column") for word in words]
        class_id = self._class_id(values[0], where, key)
        scale = np.array([*size, *size], np.float32)
        shape = self._layout.keypoint_shape
        if shape and len(values) == 5 + shape[0] * shape[1]:
            points = np.ones((shape[0], 3), np.float32)
            points[:, : shape[1]] = np.array(values[5:], np.float32).reshape(shape)
            points[:, 2] = (points[:, 2] > 0) & (points[:, :2] > 0).any(axis=1)
            points[:, :2] *= scale[:2]
            into.add(_box(values, scale), class_id, keypoints=points)
        elif len(values) == 5:
            into.add(_box(values, scale), class_id)
        elif len(values) >= 7 and len(values) % 2 == 1:
            polygons = (ring(values[1:]) * scale[:2],)
            into.add(around(polygons), class_id, polygons=polygons)
        else:
            raise DataError(
                "a label has a strange number of columns",
                where=where,
                expected="class, centre x, centre y, width, height; or class and x, y of an outline",
                got=f"{len(values)} columns",
                hint="six columns are often predictions with their scores" if len(values) == 6 else None,
            )

    def _class_id(self, value: float, where: str, key: str) -> int:
        class_id = class_number(value)
        if class_id is None:
            self._remarks.add("fractional_class", where, f"class {value:g}", key)
            return -1
        if class_id < 0 or (self._layout.classes and class_id >= len(self._layout.classes)):
            self._remarks.add("unknown_class", where, f"class {class_id}", key)
            return -1
        self._largest = max(self._largest, class_id)
        return class_id


def _box(values: Sequence[float], scale: np.ndarray[Any, Any]) -> list[float]:
    relative = cxcywh_to_xyxy(np.array([values[1:5]], np.float32))
    return [float(edge) for edge in relative[0] * scale]


def _label_path(picture: Path) -> Path:
    """The label file of a picture: under labels/ where the picture is under images/, else beside it."""
    parts = list(picture.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = "labels"
            return Path(*parts).with_suffix(".txt")
    return picture.with_suffix(".txt")


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load(read_text(path, "the description of the data set"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise DataError("the description of the data set is not valid YAML", where=where, got=error) from error
    return values if isinstance(values, dict) else {}


def _from_yaml(path: Path) -> YoloLayout:
    values = _mapping(path)
    base = path.parent / str(values["path"]) if values.get("path") else path.parent
    root = base if base.is_dir() else path.parent
    splits = {}
    for split, keys in _SPLIT_KEYS.items():
        given = next((values[key] for key in keys if values.get(key)), None)
        if given is not None:
            places = given if isinstance(given, list) else [given]
            splits[split] = tuple(_place(path, root, str(each)) for each in places)
    if not splits:
        raise DataError("the description names no pictures", where=path, expected="train:, val: or test:")
    return YoloLayout(root, _names(path, values), splits, _keypoint_shape(path, values), path)


def _place(path: Path, root: Path, given: str) -> Path:
    """A folder or list; `../train/images` is often meant from the description's own folder."""
    for candidate in (root / given, path.parent / given, path.parent / given.lstrip("./")):
        if candidate.exists():
            return candidate
    raise DataError(
        "the description names pictures that are not there",
        where=path,
        expected="a folder or a list of pictures",
        got=given,
        hint=f"relative paths count from {root}",
    )


def _names(path: Path, values: Mapping[str, Any]) -> tuple[str, ...]:
    given = values.get("names")
    if isinstance(given, dict):
        if sorted(given) != list(range(len(given))):
            raise DataError("class numbers have gaps", where=path, expected="names: {0: …, 1: …}", got=list(given))
        given = [given[each] for each in sorted(given)]
    if not isinstance(given, list) or not given:
        raise DataError("the description names no classes", where=path, expected="names: [first, second]", got=given)
    count = values.get("nc")
    if isinstance(count, int) and count != len(given):
        raise DataError("nc and names contradict each other", where=path, expected=f"{count} names", got=len(given))
    return tuple(str(each) for each in given)


def _keypoint_shape(path: Path, values: Mapping[str, Any]) -> tuple[int, int] | None:
    given = values.get("kpt_shape")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2 or given[1] not in (2, 3) or not isinstance(given[0], int):
        raise DataError("kpt_shape is malformed", where=path, expected="[points, 2 or 3]", got=given)
    return given[0], given[1]


def _class_list(folder: Path) -> tuple[str, ...]:
    path = next((each for each in (folder / "classes.txt", folder / "labels" / "classes.txt") if each.is_file()), None)
    if path is None:
        return ()
    return tuple(line.strip() for line in read_text(path, "the list of classes").splitlines() if line.strip())
