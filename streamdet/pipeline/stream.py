"""What a stream is made of, as the pipeline is told: its source, its stations and its own limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.infer.contract import Detector
from streamdet.picture import Picture
from streamdet.plates.privacy import Veil
from streamdet.plates.reader import Reader
from streamdet.plates.vote import VoteOptions
from streamdet.sources.contract import Source
from streamdet.tracking.contract import Tracker

Polygon = Sequence[tuple[float, float]]


class Motion(Protocol):
    """Measures how the camera moved since the last picture."""

    def measure(self, picture: Picture, xyxy: Boxes) -> npt.NDArray[np.float32] | None: ...


# previous tracker of the stream (None at the start), seconds between the epochs → the tracker of a new epoch
TrackerFactory = Callable[[Tracker | None, float | None], Tracker]


@dataclass(frozen=True, slots=True)
class ReadStage:
    """A second stage: a reader on the objects of some classes, and the vote on what it reads."""

    reader: Reader
    on: frozenset[str]  # names of classes
    vote: VoteOptions = field(default_factory=VoteOptions)
    veil: Veil = field(default_factory=Veil)
    crops_per_frame: int = 4
    deadline_s: float = 1.0  # a frame waits no longer for its crops: its texts stay as they were


@dataclass(slots=True)
class Stream:
    """One stream, for `Pipeline.add`. Whoever makes it hands its source over: the pipeline opens and closes it."""

    source: Source
    detectors: tuple[Detector, ...]
    tracker: TrackerFactory | None = None
    read: tuple[ReadStage, ...] = ()
    motion: Callable[[], Motion] | None = None
    priority: int = 1
    max_fps: float | None = None
    max_frames: int | None = None
    stale_s: float = 0.5  # live: older frames are not worth an inference
    required: bool = True  # readiness and the exit code depend on it
    score: float | None = None  # records show what is above; None: what each engine recommends
    class_scores: dict[str, float] = field(default_factory=dict)  # its own threshold for a class
    classes: frozenset[str] | None = None  # None: all
    ignore: tuple[Polygon, ...] = ()  # objects centred in one of these are passed over
    frozen_s: float = 10.0  # live: an unchanged picture for so long is reported
    answer_deadline_s: float = 10.0  # a frame without an answer for so long is unknown
