"""Readers for tests: one that is told what stands on a plate, and a backend whose maps come from a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.frames import Frame
from streamdet.infer.contract import Session
from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Fit
from streamdet.plates.decode import Reading
from streamdet.plates.reader import Look, PlateView, ReaderWorker

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def look_at(text: str, height_px: float = 24.0, *, sure: float = 0.95, sharpness: float = 0.5) -> Look:
    """A look that says this text, each character with that share."""
    posterior = np.full((len(text), len(ALPHABET)), (1 - sure) / (len(ALPHABET) - 1), np.float32)
    posterior[np.arange(len(text)), [ALPHABET.index(letter) for letter in text]] = sure
    nowhere = np.zeros((len(text), 4), np.float32)
    confidence = np.full(len(text), sure, np.float32)
    reading = Reading(posterior, nowhere, np.zeros(len(text), np.int64), confidence)
    return Look(reading, ALPHABET, (4.7 * height_px, height_px), sharpness, 1.0, np.zeros((1, 2, 4), np.uint8))


class FakeReader:
    """A Reader that asks for no pixels: each view gets `said(frame, view)`, a look, a text or nothing."""

    alphabet = ALPHABET
    device: Literal["cpu", "cuda"] = "cpu"
    backend_name = "fake"
    precision = "fp32"

    def __init__(
        self,
        said: Callable[[Frame, PlateView], Look | str | None] = lambda frame, view: "B123ABC",
        name: str = "fake-reader",
    ) -> None:
        self.name = name
        self.crops = 0
        self.open_workers = 0
        self._said = said
        self._lock = threading.Lock()

    def worker(self, threads: int = 1) -> ReaderWorker:
        """A new worker."""
        with self._lock:
            self.open_workers += 1
        return _FakeReaderWorker(self, self._said)

    def close(self) -> None:
        """Nothing is held."""


class _FakeReaderWorker:
    def __init__(self, reader: FakeReader, said: Callable[[Frame, PlateView], Look | str | None]) -> None:
        self._reader = reader
        self._said = said
        self._closed = False

    def read(self, frame: Frame, views: Sequence[PlateView]) -> list[Look | None]:
        assert frame.picture.planes is not None, "the picture is held until its crops are read"
        with self._reader._lock:
            self._reader.crops += len(views)
        looks: list[Look | None] = []
        for view in views:
            said = self._said(frame, view)
            looks.append(look_at(said, view.size[1]) if isinstance(said, str) else said)
        return looks

    def close(self) -> None:
        with self._reader._lock:
            if not self._closed:
                self._closed = True
                self._reader.open_workers -= 1


def reader_manifest(name: str = "tiny-reader", size: tuple[int, int] = (192, 64), batch: int = 8) -> EngineManifest:
    """A reader's manifest for tests: grey crops."""
    names = {"glyph": "glyph", "core": "core", "line": "line", "sequence": "sequence"}
    return EngineManifest(
        name=name,
        kind="reader",
        family="test",
        input=EngineInput(name="crops", size=size, colour="gray", fit=Fit(mode="stretch"), batch=(1, batch)),
        outputs=names,
        alphabet=ALPHABET,
        files=(EngineFile(path="model.onnx", sha256="0" * 64),),
    )


# crops u8 [n, 1, H, W] → the arrays of a reader
Maps = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[Any]]]


class FakeReaderBackend:
    """A reader's Backend whose answers come from a function instead of a network."""

    name = "fake"
    device: Literal["cpu", "cuda"] = "cpu"
    precision = "fp32"

    def __init__(self, maps: Maps, manifest: EngineManifest | None = None) -> None:
        self.manifest = manifest or reader_manifest()
        self._maps = maps

    def session(self, threads: int = 1) -> Session:
        """A new session."""
        return _FakeReaderSession(self.manifest, self._maps)

    def close(self) -> None:
        """Nothing is held."""


class _FakeReaderSession:
    def __init__(self, manifest: EngineManifest, maps: Maps) -> None:
        width, height = manifest.input.size
        self._input = np.zeros((manifest.input.batch[1], manifest.input.channels, height, width), np.uint8)
        self._maps = maps

    def input(self, n: int) -> npt.NDArray[np.uint8]:
        return self._input[:n]

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        return self._maps(self._input[:n])

    def close(self) -> None:
        """Nothing is held."""
