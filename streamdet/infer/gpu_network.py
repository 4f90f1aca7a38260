"""What every network on a GPU is besides its runtime: memory of its own, one queue, and an end that is always clean.

A network has a stream, pinned host memory and device memory for its input and outputs, all of it allocated once, for
the largest batch. Copies and kernels are queued in that stream, and the host waits once per batch.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InferenceFailed, StreamdetError
from streamdet.infer.cuda_calls import Cuda, DeviceBytes
from streamdet.manifest import EngineManifest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An output for the largest batch."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class GpuNetwork(ABC):
    """A Network whose input is in a GPU's memory; see session.Network. Used by one thread, closed from any.

    A runtime brings three things: `_load`, `_queue` and `_release`. What it needs for them it sets before it calls
    this constructor, which loads it.
    """

    def __init__(self, manifest: EngineManifest, cuda: Cuda) -> None:
        cuda.use()
        self.cuda = cuda
        self._manifest = manifest
        self._busy = threading.Lock()
        self._closing = False
        self._memory: list[DeviceBytes] = []
        self._pointers: dict[str, int] = {}
        self._outputs: dict[str, npt.NDArray[Any]] = {}
        self._views: dict[int, dict[str, npt.NDArray[Any]]] = {}
        self.stream = cuda.stream()  # everything that is done is queued there
        try:
            self._allocate()
        except StreamdetError:
            self.close()
            raise

    @abstractmethod
    def _load(self) -> Mapping[str, Answer]:
        """Get ready to run from `input_pointer` in `stream`, and tell what comes out for the whole buffer."""

    @abstractmethod
    def _queue(self, size: int, copies_in: bool) -> None:
        """Queue a run of so many pictures, `_queue_between_copies`; those of the buffer or those on the GPU."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what `_load` and `_queue` made; idempotent, nothing is running, the memory goes afterwards."""

    def _allocate(self) -> None:
        """For the largest batch; smaller ones use the front of the same memory."""
        seen = self._manifest.input
        shape = (seen.batch[1], seen.channels, seen.size[1], seen.size[0])
        # Pinned: what `run` copies to the GPU.
        self.buffer: npt.NDArray[np.uint8] = self.cuda.pinned(int(np.prod(shape))).reshape(shape)
        self.input_pointer = self._on_device(self.buffer.nbytes)
        for name, answer in self._load().items():
            size = int(np.prod(answer.shape)) * answer.dtype.itemsize
            self._outputs[name] = self.cuda.pinned(size).view(answer.dtype).reshape(answer.shape)
            self._pointers[name] = self._on_device(size)

    def _on_device(self, size: int) -> int:
        memory = self.cuda.device_bytes(size)
        self._memory.append(memory)
        return memory.pointer

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """The first n pictures of the buffer through the network; returns when the answers are on the host."""
        return self._run(n, copies_in=True)

    def run_prepared(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """As `run`, on what the stream was given to write at `input_pointer`."""
        return self._run(n, copies_in=False)

    def _run(self, n: int, copies_in: bool) -> Mapping[str, npt.NDArray[Any]]:
        try:
            with self._busy:
                if self._closing:
                    raise InferenceFailed("the session is closed", where=self._manifest.name)
                self.cuda.use()
                self._queue(max(n, self._manifest.input.batch[0]), copies_in)
                self.stream.wait()
        except StreamdetError:
            # Work may still be queued that writes into our memory, or the GPU has lost its context: either way this
            # session is over. It says so from now on, and the pipeline opens another one.
            self.close()
            raise
        finally:
            if self._closing:
                self._free()
        return self._first(n)

    def _queue_between_copies(self, size: int, copies_in: bool, compute: Callable[[], None]) -> None:
        if copies_in:
            self.stream.to_device(self.input_pointer, self.buffer[:size])
        compute()
        for name, array in self._first(size).items():
            self.stream.to_host(array, self._pointers[name])

    def _first(self, n: int) -> dict[str, npt.NDArray[Any]]:
        """The outputs of the first n pictures; the same arrays at every call."""
        if n not in self._views:
            self._views[n] = {name: array[:n] for name, array in self._outputs.items()}
        return self._views[n]

    def close(self) -> None:
        """Give everything back; idempotent. While a run is under way, that run gives it back when it returns."""
        self._closing = True
        self._free()

    def _free(self) -> None:
        if not self._busy.acquire(blocking=False):
            return  # a run is under way, and frees when it ends
        try:
            memory, self._memory = self._memory, []
            try:
                self.cuda.use()
                if self.stream.handle:
                    self.stream.wait()
            except InferenceFailed as error:
                # The GPU has lost its context, and with it all that was in it: there is nothing left to give back.
                _log.debug("%s: closed after a failure: %s", self._manifest.name, error.line)
                return
            self._release()
            for piece in memory:
                piece.free()
            self.stream.close()
        finally:
            self._busy.release()
