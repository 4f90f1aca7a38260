"""Data sets and everything that checks want to know of their pictures, gathered in one pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.datasets.doctor.report import Case
from streamdet.datasets.pictures import Rgb, decode
from streamdet.datasets.samples import DataSet, Entry, Listed, Remark
from streamdet.errors import PictureUnreadable
from streamdet.sources.exif import orientation

_ENOUGH = 320  # pixels along the longer side
_SMALL = 32  # side of the grey thumbnail that likenesses are verified with


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What one look at a picture file told."""

    missing: bool = False
    unreadable: str = ""  # why
    size: tuple[int, int] = (0, 0)  # as shown
    truncated: bool = False
    turned: bool = False  # its metadata say that it is to be rotated or mirrored
    channels: int = 3
    bits: int = 8
    digest: bytes = b""  # of the file
    brightness: float = 0.0  # mean, 0..255
    contrast: float = 0.0  # standard deviation
    hash: npt.NDArray[np.bool_] | None = None  # [64]: whether it grows brighter to the right, in 8 × 8 places
    small: npt.NDArray[np.float32] | None = None  # [32, 32] grey

    @property
    def readable(self) -> bool:
        """Whether there are pixels."""
        return not self.missing and not self.unreadable


@dataclass(frozen=True)
class Scanned:
    """A data set and the facts of its pictures, entry by entry."""

    data_set: DataSet
    role: str  # train, val, test or what it is called
    facts: tuple[PictureFacts, ...]

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.data_set.name

    @property
    def entries(self) -> Sequence[Entry]:
        """Of the data set."""
        return self.data_set.entries

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What its reader noticed."""
        return self.data_set.remarks if isinstance(self.data_set, Listed) else ()

    @property
    def labelling(self) -> str:
        """How its files are written; "" where unknown."""
        return self.data_set.labelling if isinstance(self.data_set, Listed) else ""

    @cached_property
    def table(self) -> ObjectTable:
        """All objects as columns."""
        return ObjectTable.of(self)

    def case(self, at: int, note: str = "", *, row: int | None = None, other: Entry | None = None) -> Case:
        """A case about picture number `at`, or object `row` of it."""
        entry = self.entries[at]
        xyxy = None if row is None else tuple(float(edge) for edge in entry.objects.xyxy[row])
        return Case(
            self.name,
            note,
            entry.key,
            entry.path,
            row,
            xyxy,  # type: ignore[arg-type] # four floats
            None if other is None else other.path,
        )


@dataclass(frozen=True)
class ObjectTable:
    """The objects of all pictures of a data set, one row each."""

    at: npt.NDArray[np.int64]  # [N]: number of the entry
    row: npt.NDArray[np.int64]  # [N]: number within the entry
    xyxy: npt.NDArray[np.float32]  # [N, 4]
    class_id: npt.NDArray[np.int64]  # [N]
    ignored: npt.NDArray[np.bool_]  # [N]
    size: npt.NDArray[np.float32]  # [N, 2]: of the picture, 0 where unknown

    @classmethod
    def of(cls, scanned: Scanned) -> ObjectTable:
        entries = scanned.entries
        counts = [len(entry.objects) for entry in entries]
        sizes = [
            facts.size if facts.readable else entry.size for entry, facts in zip(entries, scanned.facts, strict=True)
        ]
        return cls(
            np.repeat(np.arange(len(entries)), counts),
            np.array([row for count in counts for row in range(count)], np.int64),
            np.concatenate([np.zeros((0, 4), np.float32), *(entry.objects.xyxy for entry in entries)]),
            np.concatenate([np.zeros(0, np.int64), *(entry.objects.class_id for entry in entries)]),
            np.concatenate([np.zeros(0, np.bool_), *(entry.objects.ignored for entry in entries)]),
            np.repeat(np.array(sizes, np.float32).reshape(-1, 2), counts, axis=0),
        )

    @property
    def sides(self) -> npt.NDArray[np.float32]:
        """[N, 2]: width and height."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    @property
    def sound(self) -> npt.NDArray[np.bool_]:
        """[N]: a box with an area, in a picture of known size."""
        finite = np.isfinite(self.xyxy).all(axis=1)
        return np.asarray(finite & (self.sides > 1).all(axis=1) & (self.size > 0).all(axis=1), np.bool_)


@dataclass(frozen=True)
class Snapshot:
    """Everything that checks may look at."""

    scanned: tuple[Scanned, ...]
    size: tuple[int, int]  # the training size

    @property
    def train(self) -> Scanned | None:
        """The set that is learnt from, where it is known."""
        return next((each for each in self.scanned if "train" in each.role), None)

    def cases(
        self, choose: Callable[[Scanned], npt.NDArray[np.bool_]], note: Callable[[ObjectTable, int], str] | None = None
    ) -> Iterator[Case]:
        """A case for every object that `choose` marks in a set's table."""
        for each in self.scanned:
            table = each.table
            for number in np.flatnonzero(choose(each)).tolist():
                yield each.case(int(table.at[number]), note(table, number) if note else "", row=int(table.row[number]))

    def picture_cases(self, choose: Callable[[Entry, PictureFacts], str | None]) -> Iterator[Case]:
        """A case for every picture about which `choose` has something to say."""
        for each in self.scanned:
            for at, (entry, facts) in enumerate(zip(each.entries, each.facts, strict=True)):
                note = choose(entry, facts)
                if note is not None:
                    yield each.case(at, note)


def scan(
    data_sets: Sequence[tuple[str, DataSet]],
    size: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
) -> Snapshot:
    """Look at every picture once, in threads; `progress` is told (done, all)."""
    tasks = [(data_set, at) for _, data_set in data_sets for at in range(len(data_set.entries))]
    facts: list[PictureFacts] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for found in threads.map(lambda task: _facts(*task), tasks):
            facts.append(found)
            if progress is not None:
                progress(len(facts), len(tasks))
    scanned = []
    for role, data_set in data_sets:
        count = len(data_set.entries)
        scanned.append(Scanned(data_set, role, tuple(facts[:count])))
        del facts[:count]
    return Snapshot(tuple(scanned), size)


def _facts(data_set: DataSet, at: int) -> PictureFacts:
    path = data_set.entries[at].path
    if not isinstance(data_set, Listed) and not path.is_file():
        rgb = data_set.read(at).rgb  # pictures that exist in memory alone
        return _seen(rgb, rgb.tobytes())
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return PictureFacts(missing=True)
    except OSError as error:
        return PictureFacts(unreadable=error.strerror or "it cannot be read")
    try:
        rgb = decode(content, path)
    except PictureUnreadable as error:
        return PictureFacts(unreadable=error.got or error.what, truncated=_truncated(content))
    # A JPEG is 8-bit, and tells its components in its header; anything else is decoded again as it is stored.
    is_jpeg = content[:2] == b"\xff\xd8"
    stored = None if is_jpeg else cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return _seen(rgb, content, stored)


def _seen(rgb: Rgb, content: bytes, stored: npt.NDArray[Any] | None = None) -> PictureFacts:
    # Every so many-th pixel tells as much of light and likeness as all of them.
    step = max(1, max(rgb.shape[:2]) // _ENOUGH)
    part = np.ascontiguousarray(rgb[::step, ::step])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    places = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(part)
    channels, bits = 3, 8
    if stored is not None:
        channels = stored.shape[2] if stored.ndim == 3 else 1
        bits = 8 * stored.dtype.itemsize
    elif content[:2] == b"\xff\xd8" and _components(content) == 1:
        channels = 1
    return PictureFacts(
        size=(rgb.shape[1], rgb.shape[0]),
        truncated=_truncated(content),
        turned=orientation(content) != (0, False),
        channels=channels,
        bits=bits,
        digest=hashlib.sha1(content, usedforsecurity=False).digest(),
        brightness=float(mean.mean()),
        contrast=float(deviation.max()),
        hash=(places[:, 1:] > places[:, :-1]).reshape(-1),
        small=small,
    )


def _truncated(content: bytes) -> bool:
    """Whether the mark that ends a JPEG or PNG is missing; some cameras write a little behind it."""
    if content[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in content[-4096:]
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in content[-4096:]
    return False


def _components(content: bytes) -> int:
    """The number of colour components in a JPEG's frame header; 3 where it is not found."""
    at = 2
    while at + 10 < len(content) and content[at] == 0xFF:
        mark = content[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            return content[at + 9]
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return 3
