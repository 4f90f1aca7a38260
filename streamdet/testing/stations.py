"""Stations for tests: a source, a backend, a detector and a sink that do just what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import EndOfStream, LossCause, SourceLost
from streamdet.frames import Detections, Event, Frame, Result
from streamdet.infer.contract import DetectorWorker, Session
from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Nms
from streamdet.picture import Picture
from streamdet.sinks.contract import Accepts


class SyntheticSource:
    """Hands over `frames` small grey pictures, `fps` of them a second of their own time, as fast as they are read.

    `lose_at` breaks the connection before those frames (counted over the whole life of the source); after each loss it
    can be opened again and goes on. Every picture must be released: `leases` counts those that are not.
    """

    def __init__(
        self,
        name: str = "synthetic",
        frames: int = 10,
        *,
        fps: float = 25.0,
        size: tuple[int, int] = (64, 48),
        live: bool = False,
        lose_at: Mapping[int, LossCause] | None = None,
        before_read: Callable[[int], None] | None = None,
    ) -> None:
        self.name = name
        self.live = live
        self.deadline_s = 5.0
        self.duration_s: float | None = None if live else frames / fps
        self.leases = 0
        self.opens = 0
        self._frames = frames
        self._fps = fps
        self._size = size
        self._lose_at = dict(lose_at or {})
        self._before_read = before_read
        self._next = 0
        self._index = 0
        self._open = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect."""
        self.opens += 1
        self._index = 0
        self._open = True

    def read(self) -> Frame:
        """The next picture: its grey level counts the frames."""
        if not self._open:
            raise SourceLost("failed", "read before open")
        number = self._next
        if number in self._lose_at:
            self._open = False
            raise SourceLost(self._lose_at.pop(number), f"told to break off before frame {number}")
        if number >= self._frames:
            raise EndOfStream
        if self._before_read is not None:
            self._before_read(number)
        width, height = self._size
        plane = np.full((height, width), number % 256, np.uint8)
        plane.flags.writeable = False
        with self._lock:
            self.leases += 1
        picture = Picture((plane,), "gray", on_release=self._released)
        frame = Frame(self.name, self._index, self._index / self._fps, picture, time_source="synthetic")
        self._next += 1
        self._index += 1
        return frame

    def suspects(self) -> int:
        """None: these pictures are whole."""
        return 0

    def close(self) -> None:
        """Disconnect."""
        self._open = False

    def _released(self) -> None:
        with self._lock:
            self.leases -= 1


def tiny_manifest(name: str = "tiny", classes: tuple[str, ...] = ("thing",), rows: int = 4) -> EngineManifest:
    """A detector's manifest for tests: 32x32 grey input, `rows` detections at most."""
    return EngineManifest(
        name=name,
        kind="detector",
        family="test",
        input=EngineInput(name="images", size=(32, 32), colour="gray", batch=(1, 16)),
        outputs={"count": "count", "xyxy": "xyxy", "score": "score", "class_id": "class_id"},
        classes=classes,
        nms=Nms(candidates=16, max_detections=rows),
        files=(EngineFile(path="model.onnx", sha256="0" * 64),),
    )


# pictures u8 [n, C, H, W] → for each picture its rows (x1, y1, x2, y2, score, class) in input pixels
Answer = Callable[[npt.NDArray[np.uint8]], Sequence[Sequence[tuple[float, float, float, float, float, int]]]]


def one_box(pictures: npt.NDArray[np.uint8]) -> list[list[tuple[float, float, float, float, float, int]]]:
    """The same box in every picture."""
    return [[(8.0, 8.0, 24.0, 24.0, 0.9, 0)] for _ in pictures]


class FakeBackend:
    """A Backend whose answers come from a function instead of a network."""

    name = "fake"
    device: Literal["cpu", "cuda"] = "cpu"
    precision = "fp32"

    def __init__(self, manifest: EngineManifest | None = None, answer: Answer = one_box) -> None:
        self.manifest = manifest or tiny_manifest()
        self.open_sessions = 0
        self._answer = answer

    def session(self, threads: int = 1) -> Session:
        """A new session."""
        self.open_sessions += 1
        return _FakeSession(self, self._answer)

    def close(self) -> None:
        """Nothing is held."""


class _FakeSession:
    def __init__(self, backend: FakeBackend, answer: Answer) -> None:
        self._backend = backend
        self._answer = answer
        shape = (backend.manifest.input.channels, *backend.manifest.input.size[::-1])
        self._input = np.zeros((backend.manifest.input.batch[1], *shape), np.uint8)
        self._closed = False

    def input(self, n: int) -> npt.NDArray[np.uint8]:
        return self._input[:n]

    def run(self, n: int) -> dict[str, npt.NDArray[Any]]:
        nms = self._backend.manifest.nms
        rows = 1 if nms is None else nms.max_detections
        count = np.zeros(n, np.int32)
        xyxy = np.zeros((n, rows, 4), np.float32)
        score = np.zeros((n, rows), np.float32)
        class_id = np.zeros((n, rows), np.int32)
        for picture, found in enumerate(self._answer(self._input[:n])):
            best = sorted(found, key=lambda row: -row[4])[:rows]
            count[picture] = len(best)
            for row, (x1, y1, x2, y2, confidence, label) in enumerate(best):
                xyxy[picture, row] = x1, y1, x2, y2
                score[picture, row] = confidence
                class_id[picture, row] = label
        return {"count": count, "xyxy": xyxy, "score": score, "class_id": class_id}

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._backend.open_sessions -= 1


class FakeDetector:
    """A Detector that asks for no pixels: each frame gets `found(frame)`, by default one box in its middle."""

    device: Literal["cpu", "cuda"] = "cpu"
    backend_name = "fake"
    precision = "fp32"
    needs_picture = False

    def __init__(
        self,
        name: str = "fake",
        names: tuple[str, ...] = ("thing",),
        found: Callable[[Frame], Detections] | None = None,
        *,
        batch_limit: int = 1,
    ) -> None:
        self.name = name
        self.names = names
        self.score = 0.25
        self.batch_limit = batch_limit
        self.open_workers = 0
        self._found = found or self._middle
        self._lock = threading.Lock()

    def worker(self, threads: int = 1) -> DetectorWorker:
        """A new worker."""
        with self._lock:
            self.open_workers += 1
        return _FakeWorker(self, self._found)

    def close(self) -> None:
        """Nothing is held."""

    def _middle(self, frame: Frame) -> Detections:
        width, height = frame.size
        box = np.array([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int32), self.names)


class _FakeWorker:
    def __init__(self, detector: FakeDetector, found: Callable[[Frame], Detections]) -> None:
        self._detector = detector
        self._found = found
        self._closed = False

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._found(frame) for frame in frames]

    def close(self) -> None:
        with self._detector._lock:
            if not self._closed:
                self._closed = True
                self._detector.open_workers -= 1


class ListSink:
    """Keeps what it is given. The frames' pictures are gone by the time a test looks; everything else is there."""

    needs_picture = False

    def __init__(self, name: str = "list", *, lossless: bool = True, accepts: Accepts = "both") -> None:
        self.name = name
        self.lossless = lossless
        self.accepts: Accepts = accepts
        self.results: list[Result] = []
        self.events: list[Event] = []
        self.is_open = False

    def open(self) -> None:
        """Ready."""
        self.is_open = True

    def write(self, item: Result | Event) -> None:
        """Keep it."""
        if isinstance(item, Result):
            self.results.append(item)
        else:
            self.events.append(item)

    def close(self) -> None:
        """Done."""
        self.is_open = False

    def of(self, stream: str) -> list[Result]:
        """One stream's results, in the order in which they came."""
        return [result for result in self.results if result.frame.stream == stream]
