"""What the readers of label files share: assembling one picture's objects, and messages about files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import Objects, Polygons, Remark, RemarkKind
from streamdet.errors import DataError


@dataclass(slots=True)
class ObjectRows:
    """The objects of one picture while its labels are read, one `add` each."""

    xyxy: list[Sequence[float]] = field(default_factory=list)
    class_id: list[int] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    keypoints: list[npt.NDArray[np.float32] | None] = field(default_factory=list)
    polygons: list[Polygons] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(
        self,
        xyxy: Sequence[float],
        class_id: int,
        *,
        ignored: bool = False,
        keypoints: npt.NDArray[np.float32] | None = None,  # [P, 3]
        polygons: Polygons = (),
        text: str = "",
    ) -> None:
        """One object more."""
        self.xyxy.append(xyxy)
        self.class_id.append(class_id)
        self.ignored.append(ignored)
        self.keypoints.append(keypoints)
        self.polygons.append(polygons)
        self.texts.append(text)

    def objects(self, points: int) -> Objects:
        """Columns; `points` is the number of keypoints an object of this data set has, 0 for none."""
        count = len(self.class_id)
        keypoints = None
        if points:
            keypoints = np.zeros((count, points, 3), np.float32)
            for row, given in zip(keypoints, self.keypoints, strict=True):
                if given is not None:
                    row[:] = given
        return Objects(
            np.array(self.xyxy, np.float32).reshape(count, 4),
            np.array(self.class_id, np.int64),
            np.array(self.ignored, np.bool_),
            keypoints,
            tuple(self.polygons) if any(self.polygons) else None,
            tuple(self.texts) if any(self.texts) else None,
        )


class Remarks:
    """Collects what a reader notices."""

    def __init__(self) -> None:
        self._found: list[Remark] = []

    def add(self, kind: RemarkKind, where: object, what: str, key: str = "") -> None:
        """One thing more."""
        self._found.append(Remark(kind, str(where), what, key))

    def all(self) -> tuple[Remark, ...]:
        """In the order they were seen."""
        return tuple(self._found)


def read_text(path: Path, what: str) -> str:
    """A label file's text; `what` says which kind of file it is."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{what} is not there", where=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{what} cannot be read", where=path, got=error) from error


def number(given: object, where: object, what: str) -> float:
    """A number as a label file writes it; NaN and infinity pass, they are the doctor's business."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise DataError(f"{what} is not a number", where=where, expected="a number", got=repr(given))
    try:
        return float(given)
    except ValueError as error:
        raise DataError(f"{what} is not a number", where=where, expected="a number", got=repr(given)) from error


def class_number(value: float) -> int | None:
    """A class number that may be written as 3.0; None where it is no integer."""
    return int(value) if math.isfinite(value) and value == int(value) else None


def ring(flat: Sequence[float]) -> npt.NDArray[np.float32]:
    """X, y, x, y, … → [n, 2]."""
    return np.array(flat, np.float32).reshape(-1, 2)


def around(polygons: Polygons) -> tuple[float, float, float, float]:
    """The box around some rings."""
    points = np.concatenate(polygons)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
