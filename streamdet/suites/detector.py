"""SuiteDetector: Frames in, Detections out, by a procedure; and whatever detects, by its name on the shelf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from streamdet.boxes import Placement, clip
from streamdet.datasets.pictures import Rgb
from streamdet.errors import ConfigError
from streamdet.frames import Detections, Frame
from streamdet.infer.detector import PictureDetector, load_detector
from streamdet.infer.shelf import Engine, Shelf, Suite, verified
from streamdet.manifest import Procedure
from streamdet.picture import Picture
from streamdet.suites.program import Program, Setup, open_program

_LEAST_DEADLINE_S = 60.0  # a procedure takes seconds on a busy machine, R-CNN ten


class SuiteDetector(PictureDetector):
    """Detector over a suite's own procedure; see infer.contract.Detector. It works on the CPU, a picture at a time."""

    def __init__(self, suite: Suite) -> None:
        super().__init__()
        procedure = suite.manifest.detect
        assert isinstance(procedure, Procedure)
        self.manifest = suite.manifest
        self.procedure = procedure
        self.name = suite.manifest.name
        self.names = procedure.classes
        self.device: Literal["cpu", "cuda"] = "cpu"
        self.backend_name = procedure.family
        self.precision = "fp32"
        self.needs_picture = True
        self.batch_limit = 1
        self.score = procedure.score
        self.least_deadline_s = _LEAST_DEADLINE_S
        self._files = {file.path: verified(suite.folder, file) for file in procedure.files}

    def worker(self, threads: int = 1) -> SuiteWorker:
        """A detector for one thread, warm: it has seen a picture."""
        worker = SuiteWorker(self, open_program(Setup(self.procedure, self._files, threads)))
        try:
            worker.look(np.full((96, 128, 3), 128, np.uint8))
        except BaseException:
            worker.close()
            raise
        return worker


class SuiteWorker:
    """One thread's detector."""

    def __init__(self, detector: SuiteDetector, program: Program) -> None:
        self._names = detector.names
        self._longest_px = detector.procedure.longest_px
        self._program = program

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One answer per frame, in order."""
        return [self._of(frame.picture) for frame in frames]

    def _of(self, picture: Picture) -> Detections:
        held = picture.hold()
        try:
            rgb = held.rgb()
        finally:
            held.release()
        return self.look(rgb)

    def look(self, rgb: Rgb) -> Detections:
        """The answer to one picture, in its pixels."""
        height, width = rgb.shape[:2]
        if self._longest_px is None or max(width, height) <= self._longest_px:
            return replace(self._program(rgb), names=self._names)
        import cv2

        shrink = self._longest_px / max(width, height)
        size = max(round(width * shrink), 1), max(round(height * shrink), 1)
        found = self._program(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8))
        way = Placement((width, height), size, size, 0, 0)
        return replace(
            found,
            xyxy=clip(way.to_frame(found.xyxy), width, height),
            names=self._names,
            keypoints=None if found.keypoints is None else way.points_to_frame(found.keypoints),
        )

    def close(self) -> None:
        """Close the program."""
        self._program.close()


def open_detector(
    engine: str | Path | Engine | Suite,
    backend: str = "auto",
    precision: str | None = None,
    *,
    all_gpus: bool = False,
) -> PictureDetector:
    """Whatever detects under that name: an engine, or of a suite the engine or the procedure that detects."""
    found = engine if isinstance(engine, Engine | Suite) else Shelf().open(engine)
    while isinstance(found, Suite):
        if isinstance(found.manifest.detect, Procedure):
            if backend != "auto" or precision is not None:
                raise ConfigError(
                    f"{found.manifest.name} runs by a program of its own: there is no choice of backend or precision",
                    where=found.folder,
                    got=" ".join(filter(None, (backend, precision))),
                )
            return SuiteDetector(found)
        found = Shelf().open(found.folder.parent / found.manifest.detect)
    return load_detector(found, backend, precision, all_gpus=all_gpus)
