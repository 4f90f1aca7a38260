"""The values that travel: Frame, Detections, Tracks, Readings, Result, Event. Columns, not objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.masks import ClassMap
from streamdet.picture import Picture

TimeSource = Literal["rtcp", "arrival", "device", "file", "push", "synthetic"]
Quality = Literal["good", "suspect"]


@dataclass(slots=True)
class Frame:
    """One decoded picture and what is known of its place in time.

    `pts_s` strictly increases within an epoch. A source counts epochs from 0 at each `open`; the shell makes the
    number the stream's own. `captured_at` is wall time (seconds since 1970) or None where there is none.
    """

    stream: str
    index: int
    pts_s: float
    picture: Picture
    epoch: int = 0
    captured_at: float | None = None
    time_source: TimeSource = "file"
    quality: Quality = "good"
    path: str | None = None  # of unrelated pictures: each has its own file
    clock_offset_s: float | None = None  # this machine's clock minus the camera's, where the stream tells
    decoded_s: float = 0.0  # the clock's reading when the source handed it over; written by the shell

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.picture.size


@dataclass(slots=True)
class Detections:
    """What a detector found in one frame, best first. Boxes are in pixels of the frame as shown."""

    xyxy: Boxes  # f32 [N, 4]
    score: npt.NDArray[np.float32]  # [N]
    class_id: npt.NDArray[np.int32]  # [N]
    names: tuple[str, ...] = ()  # class_id → name
    keypoints: npt.NDArray[np.float32] | None = None  # [N, P, 3]: x, y in frame pixels, score
    masks: npt.NDArray[np.float32] | None = None  # [N, h, w], relative to the box
    truncated: int = 0  # candidates beyond the engine's limit, which its NMS never saw
    class_map: ClassMap | None = None  # what every place is, of an engine that says so: a segmenter has no rows

    @classmethod
    def empty(cls, names: tuple[str, ...] = ()) -> Detections:
        """Looked, and found nothing."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), names)

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Detections:
        """The chosen rows, in the order asked for."""
        return Detections(
            self.xyxy[which],
            self.score[which],
            self.class_id[which],
            self.names,
            None if self.keypoints is None else self.keypoints[which],
            None if self.masks is None else self.masks[which],
            self.truncated,
            self.class_map,
        )

    def name(self, row: int) -> str:
        """The class of a row in words; its number where the engine has no names."""
        class_id = int(self.class_id[row])
        return self.names[class_id] if 0 <= class_id < len(self.names) else str(class_id)


class TrackState(IntEnum):
    """Where a track stands; NONE marks a row that belongs to no track."""

    NONE = 0
    TENTATIVE = 1
    CONFIRMED = 2
    LOST = 3
    ENDED = 4


@dataclass(slots=True)
class Coasting:
    """Tracks that no row of this frame matched: where they are believed to be."""

    track_id: npt.NDArray[np.int64]  # [M]
    xyxy: Boxes  # [M, 4]
    class_id: npt.NDArray[np.int32]  # [M]
    age_s: npt.NDArray[np.float32]  # [M], since the last match

    @classmethod
    def empty(cls) -> Coasting:
        """None coasts."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """A track began or ended; the lane turns it into an Event of its stream and epoch."""

    kind: Literal["track_started", "track_ended"]
    track_id: int
    pts_s: float
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Tracks:
    """Row i speaks of row i of the detections that were given; nothing is reordered or dropped."""

    track_id: npt.NDArray[np.int64]  # [N], −1: no track, or one not yet confirmed
    smooth_xyxy: Boxes  # [N, 4], the filter's box; the detection's own where there is no track
    state: npt.NDArray[np.uint8]  # [N], TrackState
    coasting: Coasting = field(default_factory=Coasting.empty)
    events: tuple[TrackEvent, ...] = ()


class PlateText:
    """What a plate says: personal data. In a log, a message or a format string it shows no character of itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for records and pictures that are meant to show it."""
        return self._text

    def __len__(self) -> int:
        return len(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlateText) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"PlateText({len(self._text)} characters)"


TextState = Literal[
    "provisional",  # voted on so far
    "single",  # read once, or never twice the same
    "final",  # settled
]


@dataclass(slots=True)
class Readings:
    """Row i speaks of row i of the detections: what is written there, as far as its track has been read."""

    text: tuple[PlateText | None, ...]  # [N]
    score: npt.NDArray[np.float32]  # [N], 0 where there is no text
    state: tuple[TextState | None, ...]  # [N]


@dataclass(slots=True)
class Result:
    """One frame's answer. `detections` None means unknown (no answer in time), never 'nothing there'."""

    frame: Frame
    detections: Detections | None
    tracks: Tracks | None = None
    unknown_reason: str | None = None
    readings: Readings | None = None  # None: nothing is read in this stream
    private_xyxy: Boxes | None = None  # [M, 4]: what nobody may see; whoever shows the picture blurs it


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a stream or a track, rather than in one frame."""

    kind: str
    stream: str
    epoch: int
    pts_s: float | None = None
    captured_at: float | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
