"""A session on TensorRT: everything is allocated once, and a batch is one launch and one wait.

A session has a stream of its own, pinned host memory, device memory for inputs, outputs and what lies between layers,
and for every batch size seen an execution context with the graph captured from it: copy in, network, copy out; without
the copy in where pictures are prepared on the GPU. Each has its own context, because a captured graph holds only as
long as its context is left alone.

Two sessions of one engine are the double buffer: they share nothing but the plan, so that one copies, or waits for its
pictures to be prepared, while the other computes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, InferenceFailed, StreamdetError
from streamdet.infer.cuda_calls import Cuda, DeviceBytes, Graph
from streamdet.infer.tensorrt_calls import Context, LoadedPlan
from streamdet.manifest import EngineManifest

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shot:
    """All that a run of one batch size needs."""

    copies_in: bool  # the pictures come from the host
    context: Context  # never touched again while the graph lives
    outputs: dict[str, npt.NDArray[Any]]  # of exactly so many pictures
    graph: Graph | None = None


class TensorRtNetwork:
    """GpuNetwork over one plan; see session.GpuNetwork. Used by one thread, closed from any."""

    def __init__(self, plan: LoadedPlan, cuda: Cuda, manifest: EngineManifest) -> None:
        cuda.use()
        self._plan = plan
        self.cuda = cuda
        self._manifest = manifest
        self._busy = threading.Lock()
        self._closing = False
        self._shots: dict[tuple[int, bool], _Shot] = {}
        self.stream = cuda.stream()
        self._memory: list[DeviceBytes] = []
        try:
            self._allocate()
        except StreamdetError:
            self.close()
            raise

    def _allocate(self) -> None:
        """For the largest batch; smaller ones use the front of the same memory."""
        seen = self._manifest.input
        width, height = seen.size
        shape = (seen.batch[1], seen.channels, height, width)
        self.buffer: npt.NDArray[np.uint8] = self.cuda.pinned(int(np.prod(shape))).reshape(shape)
        context = self._plan.context()
        shapes = context.shape(self.stream.handle, seen.name, shape)
        dtypes = {port.name: np.dtype(port.dtype) for port in self._plan.outputs}
        self._outputs: dict[str, npt.NDArray[Any]] = {}
        addresses = {seen.name: self._on_device(self.buffer.nbytes)}
        for name, found in shapes.items():
            if not found or found[0] != shape[0]:
                raise EngineMismatch(
                    "an output of the plan does not follow the batch",
                    where=name,
                    expected=f"[{shape[0]}, …]",
                    got=list(found),
                )
            size = int(np.prod(found)) * dtypes[name].itemsize
            self._outputs[name] = self.cuda.pinned(size).view(dtypes[name]).reshape(found)
            addresses[name] = self._on_device(size)
        self._addresses = addresses
        self.input_pointer = addresses[seen.name]
        scratch_bytes = self._plan.scratch_bytes
        self._scratch = (self._on_device(scratch_bytes) if scratch_bytes else 0, scratch_bytes)
        self.stream.wait()  # the profile's choice was queued too

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
                size = max(n, self._manifest.input.batch[0])
                shot = self._shots.get((size, copies_in))
                if shot is None:
                    # Its first run, by hand: TensorRT finishes its own preparations, which no capture may see.
                    shot = self._shots[size, copies_in] = self._prepare(size, copies_in)
                elif shot.graph is None:
                    self._queue(shot, size)
                else:
                    shot.graph.launch(self.stream)
                self.stream.wait()
        except StreamdetError:
            # Work may still be queued that writes into our memory, or the GPU has lost its context: either way this
            # session is over. It says so from now on, and the pipeline opens another one.
            self.close()
            raise
        finally:
            if self._closing:
                self._free()
        return shot.outputs if n == size else {name: array[:n] for name, array in shot.outputs.items()}

    def _prepare(self, size: int, copies_in: bool) -> _Shot:
        context = self._plan.context()
        seen = self._manifest.input
        context.shape(self.stream.handle, seen.name, (size, *self.buffer.shape[1:]))
        context.bind(self._scratch, self._addresses)
        shot = _Shot(copies_in, context, {name: array[:size] for name, array in self._outputs.items()})
        self._queue(shot, size)
        self.stream.wait()
        try:
            shot.graph = self.stream.capture(lambda: self._queue(shot, size))
        except InferenceFailed as error:
            _log.warning(
                "%s: a batch of %d cannot be captured and is queued piece by piece: %s",
                self._manifest.name,
                size,
                error.line,
            )
        return shot

    def _queue(self, shot: _Shot, size: int) -> None:
        if shot.copies_in:
            self.stream.to_device(self.input_pointer, self.buffer[:size])
        shot.context.enqueue(self.stream.handle)
        for name, array in shot.outputs.items():
            self.stream.to_host(array, self._addresses[name])

    def close(self) -> None:
        """Give everything back; idempotent. While a run is under way, that run gives it back when it returns."""
        self._closing = True
        self._free()

    def _free(self) -> None:
        if not self._busy.acquire(blocking=False):
            return  # a run is under way, and frees when it ends
        try:
            shots, self._shots = self._shots, {}
            memory, self._memory = self._memory, []
            try:
                self.cuda.use()
                if self.stream.handle:
                    self.stream.wait()
            except InferenceFailed as error:
                # The GPU has lost its context, and with it all that was in it: there is nothing left to give back.
                _log.debug("%s: closed after a failure: %s", self._manifest.name, error.line)
                return
            for shot in shots.values():  # graphs before their contexts, contexts before the memory they are bound to
                if shot.graph is not None:
                    shot.graph.close()
                shot.context.close()
            for piece in memory:
                piece.free()
            self.stream.close()
        finally:
            self._busy.release()
