"""What a backend and its sessions promise, and what the pipeline needs of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.frames import Detections, Frame
from streamdet.manifest import EngineManifest


class Session(Protocol):
    """One worker's own door to a network; used by one thread at a time.

    Write into `input(n)`, call `run(n)`, read what it returns before the next `run`. A detector's arrays:

        count     i32 [n]         rows that hold something
        xyxy      f32 [n, D, 4]   pixels of the input
        score     f32 [n, D]      best first
        class_id  i32 [n, D]
        keypoints f32 [n, D, P, 3], masks f32 [n, D, h, w]   where the manifest names them
        converged bool [n], truncated i32 [n]                where the manifest names them

    A reader's arrays, all of them logits over its input halved (h = H / 2, w = W / 2):

        glyph     f32 [n, 1 + A, h, w]  class of each pixel's ink: 0 nothing, i the alphabet's character i - 1
        core      f32 [n, h, w]         the middle of a character, never touching the next one's: above 0
        line      f32 [n, h, w]         whether the character there stands in the lower of two lines: above 0
        sequence  f32 [n, T, 1 + A]     the same text by CTC, in reading order, class 0 the blank; where the manifest
                                        names it

    A segmenter's array:

        mask      u8  [n, h, w]         the class of each place of the input: 0 nothing, i the manifest's class i - 1

    One on a GPU may be a session.GpuSession, which also takes pictures that were prepared there.

    Rows beyond count are zero. A failure raises InferenceFailed and leaves the session usable or closed, never wrong.
    """

    def input(self, n: int) -> npt.NDArray[np.uint8]:
        """Writable [n, channels, height, width]; the same memory at every call with the same n."""
        ...

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """One engine on one runtime."""

    name: str  # onnx-cpu, onnx-cuda, openvino, tensorrt, …
    device: Literal["cpu", "cuda"]
    precision: str
    manifest: EngineManifest

    def session(self, threads: int = 1) -> Session:
        """A new session using that many threads of its own; callable from any thread."""
        ...

    def close(self) -> None: ...


class DetectorWorker(Protocol):
    """One thread's detector."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One answer per frame, in order, down to the engine's floor of 0.001: thresholds act later."""
        ...

    def close(self) -> None: ...


class Detector(Protocol):
    """What the pipeline needs of an engine."""

    name: str
    names: tuple[str, ...]  # class_id → name
    device: Literal["cpu", "cuda"]
    backend_name: str
    precision: str
    needs_picture: bool
    batch_limit: int
    score: float  # the threshold that records use where the user names none

    def worker(self, threads: int = 1) -> DetectorWorker:
        """A detector for one thread; it owns a session of so many threads."""
        ...

    def close(self) -> None: ...


class DetectorOnGpus(Protocol):
    """What a Detector has besides where it works on GPUs, one or several of a machine; known by its `gpus`."""

    gpus: tuple[int, ...]  # their numbers
    takes_surfaces: bool  # pictures are prepared there: those that lie on the worker's GPU are not copied

    def worker(self, threads: int = 1, gpu: int | None = None) -> DetectorWorker:
        """As Detector.worker, on that GPU."""
        ...


def least_deadline_s(detector: object) -> float:
    """How long an answer may take whatever a run's own limits say; 0 unless a Detector has `least_deadline_s`.

    A method that takes seconds by its nature has it: slow is not stuck.
    """
    return float(getattr(detector, "least_deadline_s", 0.0))
