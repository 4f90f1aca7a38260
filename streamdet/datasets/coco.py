"""Labels in one JSON file, as COCO writes them: boxes, polygons, masks, keypoints, crowds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import xywh_to_xyxy
from streamdet.datasets.building import ObjectRows, Remarks, around, number, read_text, ring
from streamdet.datasets.pictures import shown_size
from streamdet.datasets.runs import outlines
from streamdet.datasets.samples import Entry, Listed, Polygons
from streamdet.errors import DataError
from streamdet.masks import mask_of

_GROUPS = ("group", "source_clip", "video_id", "clip", "sequence")  # of an image, where they are given


def read_coco(path: Path, name: str, *, pictures: Path | None = None, group_field: str | None = None) -> Listed:
    """Every picture that the file lists, in its order; `pictures` is their folder where it is not beside the file."""
    return _Reader(path, name, pictures, group_field).listed()


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file begins as COCO's do, without reading all of it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(4096)
    except OSError:
        return False
    return any(f'"{key}"' in head for key in ("images", "annotations", "categories"))


class _Reader:
    def __init__(self, path: Path, name: str, pictures: Path | None, group_field: str | None) -> None:
        self._path, self._name, self._group_field = path, name, group_field
        self._remarks = Remarks()
        whole = _parsed(path)
        self._images = _records(whole, "images", path)
        self._annotations = _records(whole, "annotations", path)
        categories = _records(whole, "categories", path)
        self._classes, self._class_ids = self._read_categories(categories)
        self._points = max(
            [len(each["keypoints"]) for each in categories if isinstance(each.get("keypoints"), list)]
            + [_points_of(each) for each in self._annotations],
            default=0,
        )
        self._folder = pictures or _picture_folder(path, self._images)

    def listed(self) -> Listed:
        numbers: dict[Any, int] = {}
        names: set[str] = set()
        for at, image in enumerate(self._images):
            where = f"{self._path}, images[{at}]"
            if not isinstance(image.get("file_name"), str) or not isinstance(image.get("id"), int | str):
                raise DataError("a picture without `id` or `file_name`", where=where, got=str(image)[:200])
            if image["id"] in numbers:
                self._remarks.add("duplicate_id", where, f"a second picture with id {image['id']}", image["file_name"])
            elif image["file_name"] in names:
                self._remarks.add("duplicate_id", where, "the same file is listed twice", image["file_name"])
            else:
                numbers[image["id"]] = at
            names.add(image["file_name"])
        rows = self._read_annotations(numbers)
        entries = tuple(self._entry(self._images[at], rows[at]) for at in sorted(numbers.values()))
        return Listed(self._name, self._classes, entries, "coco", self._remarks.all())

    def _read_categories(self, categories: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], dict[Any, int]]:
        """Class names by rising category id, and the way from one to the other."""
        known: dict[Any, str] = {}
        for at, category in enumerate(categories):
            where = f"{self._path}, categories[{at}]"
            if not isinstance(category.get("id"), int) or not isinstance(category.get("name"), str):
                raise DataError("a category without `id` or `name`", where=where, got=str(category)[:200])
            if category["id"] in known:
                self._remarks.add("duplicate_id", where, f"a second category with id {category['id']}")
                continue
            known[category["id"]] = category["name"]
        ordered = sorted(known)
        return tuple(known[each] for each in ordered), {each: row for row, each in enumerate(ordered)}

    def _read_annotations(self, numbers: Mapping[Any, int]) -> list[ObjectRows]:
        rows = [ObjectRows() for _ in self._images]
        seen: set[Any] = set()
        done: set[Any] = set()
        last: Any = None
        for at, annotation in enumerate(self._annotations):
            where = f"{self._path}, annotations[{at}]"
            image = annotation.get("image_id")
            if image not in numbers:
                self._remarks.add("orphan_labels", where, f"an object of image_id {image}, which is not listed")
                continue
            key = self._images[numbers[image]]["file_name"]
            if annotation.get("id") in seen and annotation.get("id") is not None:
                self._remarks.add("duplicate_id", where, f"a second object with id {annotation['id']}", key)
            seen.add(annotation.get("id"))
            if image != last and image in done:
                self._remarks.add("out_of_order", where, "the objects of a picture do not stand together", key)
            done.add(image)
            last = image
            self._read_object(annotation, where, key, rows[numbers[image]])
        return rows

    def _read_object(self, annotation: Mapping[str, Any], where: str, key: str, into: ObjectRows) -> None:
        category = annotation.get("category_id")
        class_id = self._class_ids.get(category, -1) if isinstance(category, int) else -1
        if class_id < 0:
            fractional = isinstance(category, float)
            self._remarks.add(
                "fractional_class" if fractional else "unknown_class", where, f"category_id {category!r}", key
            )
        polygons = self._polygons(annotation.get("segmentation"), where)
        box = annotation.get("bbox")
        if box:
            if not isinstance(box, list) or len(box) != 4:
                raise DataError("a box is not four numbers", where=where, expected="[x, y, width, height]", got=box)
            four = np.array([[number(value, where, "a box coordinate") for value in box]], np.float32)
            xyxy = xywh_to_xyxy(four)[0].tolist()
        elif polygons:
            xyxy = list(around(polygons))
        else:
            raise DataError(
                "an object has neither a box nor an outline",
                where=where,
                expected="`bbox`: [x, y, width, height]",
                got=str(dict(annotation))[:200],
            )
        text = annotation.get("text", "")
        into.add(
            xyxy,
            class_id,
            ignored=bool(annotation.get("iscrowd", 0)) or bool(annotation.get("ignore", 0)),
            keypoints=self._keypoints(annotation, where),
            polygons=polygons,
            text=text if isinstance(text, str) else "",
        )

    def _polygons(self, given: object, where: str) -> Polygons:
        if isinstance(given, dict):
            return outlines(mask_of(given, where))
        if not isinstance(given, list):
            return ()
        rings = []
        for flat in given:
            if not isinstance(flat, list) or len(flat) % 2:
                raise DataError("an outline is not a list of x, y, x, y, …", where=where, got=str(flat)[:100])
            if len(flat) >= 6:  # fewer than three corners enclose nothing
                rings.append(ring([number(value, where, "an outline's coordinate") for value in flat]))
        return tuple(rings)

    def _keypoints(self, annotation: Mapping[str, Any], where: str) -> npt.NDArray[np.float32] | None:
        given = annotation.get("keypoints")
        if not self._points or not given:
            return None
        if not isinstance(given, list) or len(given) != 3 * self._points:
            raise DataError(
                "an object's keypoints are incomplete",
                where=where,
                expected=f"{self._points} times x, y, visibility",
                got=f"{len(given) if isinstance(given, list) else type(given).__name__} values",
            )
        points = np.array([number(value, where, "a keypoint") for value in given], np.float32).reshape(-1, 3)
        points[:, 2] = points[:, 2] > 0
        return points

    def _entry(self, image: Mapping[str, Any], rows: ObjectRows) -> Entry:
        path = self._folder / image["file_name"]
        if Path(image["file_name"]).is_absolute():
            self._remarks.add("absolute_path", self._path, str(image["file_name"]), image["file_name"])
        width, height = image.get("width"), image.get("height")
        size = (width, height) if isinstance(width, int) and isinstance(height, int) else shown_size(path) or (0, 0)
        fields = (self._group_field,) if self._group_field else _GROUPS
        group = next((str(image[name]) for name in fields if image.get(name) not in (None, "")), "")
        return Entry(image["file_name"], path, size, rows.objects(self._points), group, self._path)


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        whole = json.loads(read_text(path, "the label file"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"the labels are not valid JSON: {error.msg}", where=f"{path}:{error.lineno}:{error.colno}"
        ) from error
    if not isinstance(whole, dict):
        raise DataError(
            "the labels are not COCO's", where=path, expected="an object at the top", got=type(whole).__name__
        )
    return whole


def _records(whole: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    given = whole.get(key)
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise DataError(
            f"the labels have no list `{key}`",
            where=path,
            expected="images, annotations and categories, as COCO writes them",
            got=", ".join(whole) or "nothing",
            hint="detections alone (a bare list of results) are no labels" if key == "images" else None,
        )
    return given


def _points_of(annotation: Mapping[str, Any]) -> int:
    given = annotation.get("keypoints")
    return len(given) // 3 if isinstance(given, list) else 0


def _picture_folder(path: Path, images: Sequence[Mapping[str, Any]]) -> Path:
    """The likely folder that holds the first pictures; where none does, the likeliest, and the doctor says the rest."""
    split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    above = path.parent.parent
    candidates = (
        path.parent / "images",
        path.parent,
        path.parent / split,
        path.parent / "images" / split,
        above / "images",
        above / split,
        above / "images" / split,
        above,
    )
    for image in images[:5]:
        for folder in candidates:
            if isinstance(image.get("file_name"), str) and (folder / image["file_name"]).is_file():
                return folder
    return candidates[0] if candidates[0].is_dir() else path.parent
