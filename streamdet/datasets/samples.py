"""What every data set gives, whatever its files look like: pictures and the objects that are known to be in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.datasets.pictures import Rgb as Rgb
from streamdet.datasets.pictures import read_picture

Polygons = tuple[npt.NDArray[np.float32], ...]  # the rings [n, 2] of one object, pixels


@dataclass(frozen=True, slots=True)
class Objects:
    """The labelled objects of one picture, in pixels; edges count from 0: a whole picture is (0, 0, width, height)."""

    xyxy: Boxes  # f32 [N, 4]
    class_id: npt.NDArray[np.int64]  # [N]; −1: of a class that is not declared
    ignored: npt.NDArray[np.bool_]  # [N]: crowds and difficult ones: neither learnt nor counted
    keypoints: npt.NDArray[np.float32] | None = None  # [N, P, 3]: x, y, visible (0, 1, −1: unknown); corners clockwise
    polygons: tuple[Polygons, ...] | None = None  # [N]
    texts: tuple[str, ...] | None = None  # [N]: what is written there

    def __len__(self) -> int:
        return len(self.class_id)

    @classmethod
    def empty(cls) -> Objects:
        """A picture with nothing to find."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))

    def rows(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Objects:
        """The chosen ones, in the order asked for."""
        chosen = np.arange(len(self))[which]
        return Objects(
            self.xyxy[chosen],
            self.class_id[chosen],
            self.ignored[chosen],
            None if self.keypoints is None else self.keypoints[chosen],
            None if self.polygons is None else tuple(self.polygons[row] for row in chosen),
            None if self.texts is None else tuple(self.texts[row] for row in chosen),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a data set before it is read: where it lies and what is known of it."""

    key: str  # unique within the data set and stable: the file's name below the folder
    path: Path
    size: tuple[int, int]  # width, height, as the labels say; the file is the authority
    objects: Objects
    group: str = ""  # pictures that show the same things: a clip, a drive; "" where nothing is known
    labels: Path | None = None  # the file that says so


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its objects, ready to be learnt from or compared with."""

    key: str
    rgb: Rgb
    objects: Objects


class DataSet(Protocol):
    """Labelled pictures in a fixed order.

    Labels are read once, when it is opened; pictures whenever they are asked for, from any process. What is wrong with
    labels or pictures is a matter of the doctor: a data set hands on what its files say, apart from files that cannot
    be understood at all, which are refused with a message.
    """

    @property
    def name(self) -> str:
        """For titles and cards: `bccd/train`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """class_id → name."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Every picture, in order."""

    def read(self, index: int) -> Sample:
        """The picture decoded, rotated as its metadata say; PictureUnreadable where that fails."""


RemarkKind = Literal[
    "unknown_class",  # an object of a class that is not declared; its class_id is −1
    "fractional_class",  # a class number that is no integer; its class_id is −1
    "duplicate_id",  # two pictures or objects under one number, or a picture listed twice
    "orphan_labels",  # labels of a picture that is not there
    "orphan_picture",  # a picture that no label file speaks of
    "absolute_path",  # of the computer where the labels were made
    "other_name",  # the labels name another picture than the one they lie beside
    "out_of_order",  # the labels of a picture do not stand together
    "left_out",  # objects of classes that were not asked for
]


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader saw in the files that the entries cannot show; the doctor judges it."""

    kind: RemarkKind
    where: str  # the file, and the place in it
    what: str
    key: str = ""  # of the picture, where it is about one


@dataclass(frozen=True)
class Listed:
    """A data set whose labels are in memory: what every reader of files makes."""

    name: str
    classes: tuple[str, ...]
    entries: Sequence[Entry] = field(repr=False)
    labelling: Literal["", "coco", "voc", "yolo"] = ""  # how the files were written
    remarks: tuple[Remark, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, index: int) -> Sample:
        """The picture decoded, rotated as its metadata say; PictureUnreadable where that fails."""
        entry = self.entries[index]
        return Sample(entry.key, read_picture(entry.path), entry.objects)
