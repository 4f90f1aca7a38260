"""A session on TensorRT: everything is allocated once, and a batch is one launch and one wait.

Besides what every GpuNetwork has, it owns device memory for what lies between layers, and for every batch size seen an
execution context with the graph captured from it: copy in, network, copy out; without the copy in where pictures are
prepared on the GPU. Each has its own context, because a captured graph holds only as long as its context is left alone.

Two sessions of one engine are the double buffer: they share nothing but the plan, so that one copies, or waits for its
pictures to be prepared, while the other computes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from streamdet.errors import EngineMismatch, InferenceFailed
from streamdet.infer.cuda_calls import Cuda, Graph
from streamdet.infer.gpu_network import Answer, GpuNetwork
from streamdet.infer.tensorrt_calls import Context, LoadedPlan
from streamdet.manifest import EngineManifest

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shot:
    """All that a run of one batch size needs, with the copy in or without."""

    context: Context  # never touched again while the graph lives
    graph: Graph | None = None


class TensorRtNetwork(GpuNetwork):
    """A GpuNetwork over one plan."""

    def __init__(self, plan: LoadedPlan, cuda: Cuda, manifest: EngineManifest) -> None:
        self._plan = plan
        self._shots: dict[tuple[int, bool], _Shot] = {}
        super().__init__(manifest, cuda)

    def _load(self) -> dict[str, Answer]:
        largest = len(self.buffer)
        dtypes = {port.name: np.dtype(port.dtype) for port in self._plan.outputs}
        shapes = self._plan.context().shape(self.stream.handle, self._manifest.input.name, self.buffer.shape)
        for name, found in shapes.items():
            if not found or found[0] != largest:
                raise EngineMismatch(
                    "an output of the plan does not follow the batch",
                    where=name,
                    expected=f"[{largest}, …]",
                    got=list(found),
                )
        self.stream.wait()  # the profile's choice was queued too
        scratch_bytes = self._plan.scratch_bytes
        self._scratch = (self._on_device(scratch_bytes) if scratch_bytes else 0, scratch_bytes)
        return {name: Answer(dtypes[name], tuple(found)) for name, found in shapes.items()}

    def _queue(self, size: int, copies_in: bool) -> None:
        shot = self._shots.get((size, copies_in))
        if shot is None:
            # Its first run, by hand: TensorRT finishes its own preparations, which no capture may see.
            self._shots[size, copies_in] = self._prepare(size, copies_in)
        elif shot.graph is None:
            self._queue_shot(shot, size, copies_in)
        else:
            shot.graph.launch(self.stream)

    def _prepare(self, size: int, copies_in: bool) -> _Shot:
        context = self._plan.context()
        name = self._manifest.input.name
        context.shape(self.stream.handle, name, (size, *self.buffer.shape[1:]))
        context.bind(self._scratch, {name: self.input_pointer, **self._pointers})
        shot = _Shot(context)
        self._queue_shot(shot, size, copies_in)
        self.stream.wait()
        try:
            shot.graph = self.stream.capture(lambda: self._queue_shot(shot, size, copies_in))
        except InferenceFailed as error:
            _log.warning(
                "%s: a batch of %d cannot be captured and is queued piece by piece: %s",
                self._manifest.name,
                size,
                error.line,
            )
        return shot

    def _queue_shot(self, shot: _Shot, size: int, copies_in: bool) -> None:
        self._queue_between_copies(size, copies_in, lambda: shot.context.enqueue(self.stream.handle))

    def _release(self) -> None:
        shots, self._shots = self._shots, {}
        for shot in shots.values():  # graphs before their contexts, contexts before the memory they are bound to
            if shot.graph is not None:
                shot.graph.close()
            shot.context.close()
