"""What is written on plates, where their corners are, and which plates are to be passed over: CSV files."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.datasets.samples import DataSet, Objects
from streamdet.errors import DataError

_BOX = ("x1", "y1", "x2", "y2")
_CORNERS = tuple(f"{corner}_{axis}" for corner in ("tl", "tr", "br", "bl") for axis in "xy")

_GLYPH_SHARE = 0.65  # of a plate's height, where nobody has measured it


@dataclass(frozen=True, slots=True)
class PlateLabel:
    """One labelled plate of a picture."""

    xyxy: npt.NDArray[np.float32]  # [4]
    text: str  # empty: nobody can read it
    readable: bool  # every character can be told by a careful human
    split: str
    plate: str  # the same physical plate has the same one
    glyph_px: float  # height of its characters; NaN where it is not known
    corners: npt.NDArray[np.float32] | None  # [4, 2]


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture by its file's name."""

    file: str
    plates: tuple[PlateLabel, ...]
    ignored: Boxes  # [N, 4]: real plates that are not labelled; what is found there is neither right nor wrong


@dataclass(frozen=True, slots=True)
class CropLabel:
    """One picture of a plate that was cut out already."""

    path: Path
    text: str


def read_plate_labels(folder: Path, split: str | None = None) -> tuple[LabelledPicture, ...]:
    """Pictures of readings.csv, with corners.csv and ignore.csv where they are there; of one split, or of all."""
    corners = {_key(row): _numbers(row, _CORNERS, folder).reshape(4, 2) for row in _rows(folder / "corners.csv", False)}
    ignored: dict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
    for row in _rows(folder / "ignore.csv", False):
        ignored[row["file"]].append(_numbers(row, _BOX, folder))
    plates: dict[str, list[PlateLabel]] = defaultdict(list)
    for row in _rows(folder / "readings.csv", True):
        if split is None or row.get("split") == split:
            plates[row["file"]].append(_label(row, corners.get(_key(row)), folder))
    if not plates:
        raise DataError("no plate is labelled", where=folder / "readings.csv", got=f"split {split}" if split else None)
    return tuple(
        LabelledPicture(file, tuple(found), np.array(ignored.get(file, []), np.float32).reshape(-1, 4))
        for file, found in sorted(plates.items())
    )


def _label(row: dict[str, str], corners: npt.NDArray[np.float32] | None, folder: Path) -> PlateLabel:
    height = row.get("character_height_px") or ""
    return PlateLabel(
        _numbers(row, _BOX, folder),
        row["text"],
        row.get("state", "readable") == "readable" and bool(row["text"]),
        row.get("split", ""),
        row.get("plate", ""),
        float(height) if height else math.nan,
        corners,
    )


def read_crop_labels(folder: Path, alphabet: str) -> tuple[CropLabel, ...]:
    """Crops of labels.csv; of their texts only what the alphabet has: a province's sign is none of it."""
    rows = _rows(folder / "labels.csv", True)
    if not rows:
        raise DataError("no crop is labelled", where=folder / "labels.csv")
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    return tuple(
        CropLabel(pictures / row["file"], "".join(letter for letter in row["text"] if letter in alphabet))
        for row in rows
    )


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("file", *_BOX))


def _numbers(row: dict[str, str], names: tuple[str, ...], where: Path) -> npt.NDArray[np.float32]:
    try:
        return np.array([float(row[name]) for name in names], np.float32)
    except (KeyError, ValueError) as error:
        raise DataError(
            "a label holds no numbers where some should be", where=where, expected=", ".join(names)
        ) from error


def _rows(path: Path, needed: bool) -> list[dict[str, str]]:
    if not needed and not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("labels cannot be read", where=path, got=type(error).__name__) from error


def plate_labels_of(data_set: DataSet) -> tuple[LabelledPicture, ...]:
    """Those of a data set whose own labels say texts and corners, such as one that was rendered."""
    found = []
    for entry in data_set.entries:
        objects = entry.objects
        plates = tuple(
            _of_object(objects.rows(np.array([row], np.intp))) for row in np.flatnonzero(~objects.ignored).tolist()
        )
        found.append(LabelledPicture(str(entry.path), plates, objects.xyxy[objects.ignored]))
    return tuple(found)


def _of_object(one: Objects) -> PlateLabel:
    text = one.texts[0] if one.texts is not None else ""
    known = one.keypoints is not None and one.keypoints.shape[1] == 4 and bool((one.keypoints[0, :, 2] > 0).all())
    corners = one.keypoints[0, :, :2] if known and one.keypoints is not None else None
    height = float(one.xyxy[0, 3] - one.xyxy[0, 1])
    return PlateLabel(one.xyxy[0], text, bool(text), "", text, _GLYPH_SHARE * height, corners)
