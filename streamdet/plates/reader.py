"""EngineReader: plates of frames in, looks out, for an engine on any backend."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, StreamdetError
from streamdet.frames import Frame, PlateText
from streamdet.infer.backends import open_backend
from streamdet.infer.contract import Backend, Session
from streamdet.infer.preprocess import Warp
from streamdet.infer.shelf import Engine, Shelf
from streamdet.picture import Picture
from streamdet.plates.decode import Decoder, Reading
from streamdet.plates.rectify import Corners, plate_size, quadrilateral, widened, worth

_SHARP = 0.15  # energy of the edges, by the variance, at which a crop counts as half sharp: usual at 16 px a character


@dataclass(frozen=True, slots=True)
class PlateView:
    """Where a plate is in a frame."""

    corners: Corners
    corner_score: float

    @classmethod
    def of(cls, xyxy: npt.NDArray[np.float32], keypoints: npt.NDArray[np.float32] | None) -> PlateView:
        """Of one row of a detector: by its corners, or by its box."""
        return cls(*quadrilateral(xyxy, keypoints))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels."""
        return plate_size(self.corners)


@dataclass(frozen=True, slots=True)
class Look:
    """One plate seen once: what was read, and what that is worth."""

    reading: Reading
    alphabet: str
    size: tuple[float, float]  # of the plate in the frame, px
    sharpness: float  # 0 to 1
    corner_score: float
    crop: npt.NDArray[np.uint8]  # [C, h, w], a copy

    @property
    def text(self) -> PlateText:
        """The likeliest characters."""
        return PlateText("".join(self.alphabet[k] for k in self.reading.classes))

    @property
    def weight(self) -> float:
        """Sharpness × √area × corner score, bounded."""
        return worth(self.sharpness, self.size, self.corner_score)

    @property
    def sha256(self) -> str:
        """Of the crop's bytes: evidence that a kept picture is the one that was read."""
        return hashlib.sha256(self.crop.tobytes()).hexdigest()


class ReaderWorker(Protocol):
    """One thread's reader."""

    def read(self, frame: Frame, views: Sequence[PlateView]) -> list[Look | None]:
        """One look per view, in order; None where the corners span nothing. The frame's picture is held meanwhile."""
        ...

    def close(self) -> None: ...


class Reader(Protocol):
    """What the pipeline needs of a second stage that reads."""

    name: str
    alphabet: str
    device: Literal["cpu", "cuda"]
    backend_name: str
    precision: str

    def worker(self, threads: int = 1) -> ReaderWorker:
        """A reader for one thread; it owns a session of so many threads."""
        ...

    def close(self) -> None: ...


class EngineReader:
    """Reader over a Backend."""

    def __init__(self, backend: Backend) -> None:
        manifest = backend.manifest
        if manifest.kind != "reader":
            raise EngineMismatch("the engine does not read", where=manifest.name, expected="reader", got=manifest.kind)
        self._backend = backend
        self.manifest = manifest
        self.name = manifest.name
        self.alphabet = manifest.alphabet
        self.device: Literal["cpu", "cuda"] = backend.device
        self.backend_name: str = backend.name
        self.precision: str = backend.precision

    def worker(self, threads: int = 1) -> EngineReaderWorker:
        """A reader for one thread, warm: its kernels are loaded and its network has run once."""
        worker = EngineReaderWorker(self, self._backend.session(threads))
        try:
            worker.warm_up()
        except StreamdetError:
            worker.close()
            raise
        return worker

    def close(self) -> None:
        """Close the backend; workers close their own sessions."""
        self._backend.close()


class EngineReaderWorker:
    """Pulls plates straight into the session's input, and decodes what the network says of them."""

    def __init__(self, reader: EngineReader, session: Session) -> None:
        from streamdet.plates import kernels

        engine_input = reader.manifest.input
        self._alphabet = reader.alphabet
        self.session = session
        self._limit = engine_input.batch[1]
        self._warp = Warp(engine_input.size, engine_input.colour)
        self._decoder = Decoder(len(reader.alphabet))
        self._edge_energy = kernels.edge_energy

    def warm_up(self) -> None:
        """Read a grey picture, so that the first plate does not pay for first times."""
        frame = Frame("warm-up", 0, 0.0, Picture((np.full((16, 32), 128, np.uint8),), "gray"))
        self.read(frame, [PlateView.of(np.array([4, 4, 28, 12], np.float32), None)])

    def read(self, frame: Frame, views: Sequence[PlateView]) -> list[Look | None]:
        """One look per view; more of them than the engine's batch are run in several."""
        looks: list[Look | None] = []
        picture = frame.picture.hold()
        try:
            for start in range(0, len(views), self._limit):
                looks += self._batch(picture, views[start : start + self._limit])
        finally:
            picture.release()
        return looks

    def read_crops(self, crops: npt.NDArray[np.uint8]) -> list[Look]:
        """Looks at crops [N, C, h, w] that are straight already, for evaluation; each as large as it is."""
        size = float(crops.shape[3]), float(crops.shape[2])
        looks: list[Look] = []
        for start in range(0, len(crops), self._limit):
            part = crops[start : start + self._limit]
            self.session.input(len(part))[:] = part
            looks += self._looks([(i, size, 1.0) for i in range(len(part))], len(part))
        return looks

    def _batch(self, picture: Picture, views: Sequence[PlateView]) -> list[Look | None]:
        batch = self.session.input(len(views))
        placed: list[int | None] = []
        used = 0
        for view in views:
            seen = self._warp.write(picture, widened(view.corners), batch[used])
            placed.append(used if seen else None)
            used += seen
        rows = [(i, view.size, view.corner_score) for i, view in zip(placed, views, strict=True) if i is not None]
        looks = iter(self._looks(rows, used) if used else [])
        return [None if i is None else next(looks) for i in placed]

    def _looks(self, rows: Sequence[tuple[int, tuple[float, float], float]], n: int) -> list[Look]:
        crops = self.session.input(n).copy()
        arrays = self.session.run(n)
        return [
            Look(self._decoder.read(arrays, i), self._alphabet, size, self._sharpness(crops[i]), score, crops[i])
            for i, size, score in rows
        ]

    def _sharpness(self, crop: npt.NDArray[np.uint8]) -> float:
        energy = float(self._edge_energy(crop))
        return energy / (energy + _SHARP)

    def close(self) -> None:
        """Close the session."""
        self.session.close()


def load_reader(
    engine: str | Path | Engine, backend: str = "auto", precision: str | None = None, shelf: Shelf | None = None
) -> EngineReader:
    """A reader by the name of its engine on the shelf, or by path."""
    return EngineReader(open_backend(engine, backend, precision, "graph", shelf))
