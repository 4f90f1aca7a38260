"""A batch prepared on the GPU that runs it: letterboxes for a detector, crops for a reader. Queued, never waited for.

A picture that lies on that GPU is read where it is. One on the host goes there through pinned memory, once per batch.
One on another GPU is copied to the host first: right, but slow, and for streams whose own GPU is out of service.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement
from streamdet.errors import InferenceFailed, MissingExtra
from streamdet.infer.contract import Session
from streamdet.infer.cuda_preprocess import CudaLetterbox, CudaWarp, GpuPlanes, load_library, numba_failures
from streamdet.infer.layouts import ColourOrder
from streamdet.infer.preprocess import Pixels, Warp
from streamdet.infer.session import GpuSession
from streamdet.manifest import EngineInput
from streamdet.picture import Picture

_log = logging.getLogger(__name__)
_told: set[str] = set()


class _Places:
    """A session's places as numba's arrays, each with rooms of its own for what is uploaded there."""

    def __init__(self, session: GpuSession) -> None:
        self._session = session
        self._cuda = load_library()
        self.stream: Any = self._cuda.external_stream(session.stream.handle)
        self._known: list[tuple[Any, GpuPlanes]] = []

    def __getitem__(self, i: int) -> tuple[Any, GpuPlanes]:
        while i >= len(self._known):
            out = self._cuda.as_cuda_array(self._session.place(len(self._known)), sync=False)
            self._known.append((out, GpuPlanes(self._cuda, self.stream, self._session.cuda.ordinal)))
        return self._known[i]

    def begin(self, pictures: Sequence[Picture]) -> None:
        """In the calling thread, for these pictures: decoders may still be writing some."""
        self._session.cuda.use()
        if any(picture.device == self._session.cuda.ordinal for picture in pictures):
            self._session.stream.follow_decoders()


class GpuLetterbox:
    """Letterboxes pictures into a session's places. Used by the session's one thread."""

    def __init__(self, engine_input: EngineInput, session: GpuSession) -> None:
        session.cuda.use()
        self._places = _Places(session)
        self._letterbox = CudaLetterbox(engine_input, self._places.stream)

    def write(self, pictures: Sequence[Picture]) -> list[Placement]:
        """Queue a batch; where each picture will lie. The pictures stay held until `run_prepared` has returned."""
        with numba_failures("letterbox"):
            self._places.begin(pictures)
            return [self._letterbox.write(picture, *self._places[i]) for i, picture in enumerate(pictures)]


class GpuWarp:
    """Straightens crops into a session's places. Used by the session's one thread.

    Of a picture on the host the CPU cuts the crop, and the crop alone is uploaded.
    """

    def __init__(self, size: tuple[int, int], colour: ColourOrder, session: GpuSession) -> None:
        session.cuda.use()
        self._session = session
        self._places = _Places(session)
        self._warp = Warp(size, colour)
        self._on_gpu: list[CudaWarp] = []

    def write(self, crops: Sequence[tuple[Picture, npt.NDArray[np.float32]]]) -> list[bool]:
        """Queue a batch of (picture, corners); False for each that has no such view, whose place keeps what it held."""
        with numba_failures("crop"):
            self._places.begin([picture for picture, _ in crops])
            return [self._cut(i, picture, corners) for i, (picture, corners) in enumerate(crops)]

    def _cut(self, i: int, picture: Picture, corners: npt.NDArray[np.float32]) -> bool:
        out, planes = self._places[i]
        if picture.device == self._session.cuda.ordinal:
            while i >= len(self._on_gpu):
                self._on_gpu.append(CudaWarp(self._warp, self._places.stream))
            return self._on_gpu[i].write(picture, corners, out, planes)
        pinned: Pixels = self._session.input(i + 1)[i]
        if not self._warp.write(picture, corners, pinned):
            return False
        self._session.stream.to_device(self._session.place(i).pointer, pinned)
        return True


def why_not_on_the_gpu() -> str | None:
    """None where pictures can be prepared on a GPU; otherwise what is missing."""
    try:
        load_library()
    except MissingExtra as error:
        return error.line
    return None


def gpu_letterbox(engine_input: EngineInput, session: Session) -> GpuLetterbox | None:
    """Where the session is on a GPU that can prepare its own input; otherwise None, and why is said once."""
    if not isinstance(session, GpuSession):
        return None
    reason = why_not_on_the_gpu()
    if reason is None:
        try:
            with numba_failures("letterbox"):
                return GpuLetterbox(engine_input, session)
        except InferenceFailed as error:
            reason = error.line
    if reason not in _told:
        _told.add(reason)
        _log.warning("pictures are prepared on the CPU: %s", reason)
    return None
