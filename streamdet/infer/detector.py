"""EngineDetector: Frames in, Detections in frame pixels out, for an engine on any backend."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement, clip
from streamdet.errors import ConfigError, EngineMismatch, StreamdetError
from streamdet.frames import Detections, Frame
from streamdet.infer.backends import open_backend
from streamdet.infer.contract import Backend, DetectorWorker, Session
from streamdet.infer.cuda_calls import gpu_count
from streamdet.infer.fastest import usable_cores
from streamdet.infer.gpu_input import GpuLetterbox, gpu_letterbox, why_not_on_the_gpu
from streamdet.infer.preprocess import Letterbox
from streamdet.infer.session import GpuSession
from streamdet.infer.shelf import Engine, Shelf
from streamdet.masks import ClassMap, recut
from streamdet.picture import Picture

_log = logging.getLogger(__name__)


class PictureDetector(ABC):
    """A contract.Detector that is also called on an array, and answers at once: for scripts."""

    name: str
    names: tuple[str, ...]
    device: Literal["cpu", "cuda"]
    backend_name: str
    precision: str
    needs_picture: bool
    batch_limit: int
    score: float

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: DetectorWorker | None = None

    @abstractmethod
    def worker(self, threads: int = 1) -> DetectorWorker:
        """A detector for one thread, warm."""

    def __call__(
        self, picture: npt.NDArray[np.uint8], *, order: Literal["rgb", "bgr"] = "rgb", score: float | None = None
    ) -> Detections:
        """What is in one picture, uint8 [H, W, 3] (or [H, W], grey), above `score`, or else the engine's own threshold.

        The colour order is red first; pictures from OpenCV say order="bgr". Callable from any thread, one at a time.
        """
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3):
            raise ConfigError(
                "that array is no picture", expected="uint8 [H, W, 3] or [H, W]", got=f"{picture.dtype} {picture.shape}"
            )
        if 0 in picture.shape:
            raise ConfigError("the picture is empty", got=picture.shape)
        pixel_format: Literal["gray", "rgb24", "bgr24"] = (
            "gray" if picture.ndim == 2 else "rgb24" if order == "rgb" else "bgr24"
        )
        frame = Frame("picture", 0, 0.0, Picture((picture,), pixel_format))
        with self._lock:
            if self._own is None:
                self._own = self.worker(usable_cores())
            found = self._own.detect([frame])[0]
        return found.rows(found.score > (self.score if score is None else score))

    def close(self) -> None:
        """Close what calls have opened; workers close their own sessions."""
        with self._lock:
            if self._own is not None:
                self._own.close()
                self._own = None


class EngineDetector(PictureDetector):
    """Detector over a Backend, or one on each of several GPUs; see contract.Detector and DetectorOnGpus.

    Of a segmenter, it finds no objects but says what every place of the picture is.
    """

    def __init__(self, backend: Backend, on_gpus: Mapping[int, Backend] | None = None) -> None:
        super().__init__()
        manifest = backend.manifest
        if manifest.kind not in ("detector", "segmenter"):
            raise EngineMismatch(
                "the engine does not detect", where=manifest.name, expected="detector or segmenter", got=manifest.kind
            )
        self._backend = backend
        self._on_gpus: Mapping[int, Backend] = on_gpus or ({0: backend} if backend.device == "cuda" else {})
        self.gpus: tuple[int, ...] = tuple(self._on_gpus)
        self.takes_surfaces = bool(self.gpus) and why_not_on_the_gpu() is None
        self.manifest = manifest
        self.name = manifest.name
        self.names: tuple[str, ...] = manifest.classes
        self.device: Literal["cpu", "cuda"] = backend.device
        self.backend_name: str = backend.name
        self.precision: str = backend.precision
        self.needs_picture = True
        self.batch_limit: int = min(each.manifest.input.batch[1] for each in (backend, *self._on_gpus.values()))
        self.score: float = manifest.score

    def worker(self, threads: int = 1, gpu: int | None = None) -> EngineWorker:
        """A detector for one thread, warm: its kernels are loaded and its network has run once."""
        backend = self._backend if gpu is None else self._on_gpus[gpu]
        worker = EngineWorker(self, backend.session(threads))
        try:
            worker.warm_up()
        except StreamdetError:
            worker.close()
            raise
        return worker

    def close(self) -> None:
        """Close the backend; workers close their own sessions."""
        super().close()
        for backend in {id(each): each for each in (self._backend, *self._on_gpus.values())}.values():
            backend.close()


class EngineWorker:
    """One thread's detector: prepares pictures straight into the session's input, and maps boxes back.

    Where the session is on a GPU they are prepared there, and a picture that lies there is not copied; it stays held
    until the run is over, whatever becomes of its frame meanwhile.

    A row whose box or score is not finite is dropped, counted in `rows_dropped` and logged once: such a row is one
    candidate gone wrong. Scores that are not numbers at all are a network gone wrong: InferenceFailed. (Seen where the
    tail is a kernel; a tail inside the graph does not tell.)
    """

    def __init__(self, detector: EngineDetector, session: Session) -> None:
        self._names = detector.names
        self._name = detector.name
        self._session = session
        self._limit = detector.batch_limit
        self._answer = self._class_map if detector.manifest.kind == "segmenter" else self._detections
        self._letterbox = Letterbox(detector.manifest.input)
        self._on_gpu: GpuLetterbox | None = gpu_letterbox(detector.manifest.input, session)
        self.rows_dropped = 0

    def warm_up(self) -> None:
        """Run once on a grey picture, so that the first frame does not pay for first times."""
        self._run([Picture((np.full((16, 16), 128, np.uint8),), "gray")])

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One answer per frame, in order; more frames than the engine's batch are run in several."""
        answers: list[Detections] = []
        for start in range(0, len(frames), self._limit):
            answers += self._batch(frames[start : start + self._limit])
        return answers

    def _batch(self, frames: Sequence[Frame]) -> list[Detections]:
        held: list[Picture] = []
        try:
            held += (frame.picture.hold() for frame in frames)
            arrays, placements = self._run(held)
        finally:
            for picture in held:
                picture.release()
        return [self._answer(arrays, i, placement) for i, placement in enumerate(placements)]

    def _run(self, pictures: Sequence[Picture]) -> tuple[Mapping[str, npt.NDArray[Any]], list[Placement]]:
        if self._on_gpu is not None and isinstance(self._session, GpuSession):
            placements = self._on_gpu.write(pictures)
            return self._session.run_prepared(len(pictures)), placements
        batch = self._session.input(len(pictures))
        placements = [self._letterbox.write(picture, batch[i]) for i, picture in enumerate(pictures)]
        return self._session.run(len(pictures)), placements

    def _detections(self, arrays: Mapping[str, npt.NDArray[Any]], i: int, placement: Placement) -> Detections:
        n = int(arrays["count"][i])
        xyxy = placement.to_frame(arrays["xyxy"][i, :n])
        inside = clip(xyxy, *placement.frame_size)
        found = Detections(
            inside,
            arrays["score"][i, :n].astype(np.float32),  # copies: the session's arrays end with its next run
            arrays["class_id"][i, :n].astype(np.int32),
            self._names,
            placement.points_to_frame(arrays["keypoints"][i, :n]) if "keypoints" in arrays else None,
            recut(arrays["masks"][i, :n], xyxy, inside) if "masks" in arrays else None,
            int(arrays["truncated"][i]) if "truncated" in arrays else 0,
        )
        finite = np.isfinite(xyxy).all(axis=1) & np.isfinite(found.score)
        return found if finite.all() else self._without_broken(found, finite)

    def _class_map(self, arrays: Mapping[str, npt.NDArray[Any]], i: int, placement: Placement) -> Detections:
        return replace(
            Detections.empty(self._names), class_map=ClassMap.of_input(arrays["mask"][i], self._names, placement)
        )

    def _without_broken(self, found: Detections, finite: npt.NDArray[np.bool_]) -> Detections:
        if not self.rows_dropped:
            _log.warning("%s: boxes that are not finite are dropped (said once)", self._name)
        self.rows_dropped += int((~finite).sum())
        return found.rows(finite)

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def load_detector(
    engine: str | Path | Engine,
    backend: str = "auto",
    precision: str | None = None,
    tail: Literal["auto", "kernel", "graph"] = "auto",
    shelf: Shelf | None = None,
    all_gpus: bool = False,
) -> EngineDetector:
    """A detector by the name of its engine on the shelf, or by path; on the first GPU, or on all that work."""
    first = open_backend(engine, backend, precision, tail, shelf)
    opened = {0: first}
    for gpu in range(1, gpu_count() if all_gpus and first.device == "cuda" else 1):
        try:
            opened[gpu] = open_backend(engine, first.name, first.precision, tail, shelf, gpu)
        except StreamdetError as error:
            _log.warning("%s does without GPU %d: %s", first.manifest.name, gpu, error.line)
    return EngineDetector(first, opened if first.device == "cuda" else None)
