"""TensorRT 10 and 11, one code path: a plan is found or built, and run by sessions that allocate nothing."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal

from streamdet.errors import EngineMismatch, InferenceFailed, StreamdetError
from streamdet.infer.session import GpuSession, refuse_misfit
from streamdet.infer.shelf import Engine
from streamdet.infer.tensorrt_build import build_plan, find_or_build, model_file, probe
from streamdet.infer.tensorrt_plan import BuildOptions, StoredPlan
from streamdet.manifest import EngineManifest, Precision

if TYPE_CHECKING:
    from streamdet.infer.tensorrt_calls import LoadedPlan

NAME = "tensorrt"
_log = logging.getLogger(__name__)


def why_not() -> str | None:
    """None where TensorRT can be tried here; otherwise what is missing."""
    try:
        probe()
    except StreamdetError as error:
        return error.line
    return None


class TensorRtBackend:
    """One engine on TensorRT. The first use on a machine builds the plan, which takes minutes and says so."""

    def __init__(self, engine: Engine, precision: Precision | None = None, gpu: int = 0) -> None:
        self._cuda, self._here = probe(gpu)
        self.gpu = gpu
        self.name = NAME
        self.device: Literal["cpu", "cuda"] = "cuda"
        file, self._model = model_file(engine, BuildOptions(precision=precision))
        self.precision: str = file.precision
        options = BuildOptions(precision=file.precision)
        stored, is_new = find_or_build(engine, options, self._here)
        self._lock = threading.Lock()
        self._plan: LoadedPlan | None = self._loaded(engine, stored, is_new, options)
        self.manifest: EngineManifest = self._within_the_plan(engine.manifest, self._plan)
        refuse_misfit(self.manifest, self._model, self._plan.inputs, self._plan.outputs, None)

    def session(self, threads: int = 1) -> GpuSession:
        """A session with a stream and memory of its own; the GPU has no use for `threads`."""
        from streamdet.infer.tensorrt_session import TensorRtNetwork

        with self._lock:
            plan = self._plan
        if plan is None:
            raise InferenceFailed("the backend is closed", where=self.manifest.name)
        return GpuSession(self.manifest, TensorRtNetwork(plan, self._cuda, self.manifest))

    def close(self) -> None:
        """Let the plan go; open sessions live on, a stuck one too."""
        with self._lock:
            self._plan = None

    def _loaded(self, engine: Engine, stored: StoredPlan, is_new: bool, options: BuildOptions) -> LoadedPlan:
        """The plan in memory. What TensorRT rejects though its card fits is built once more, and only once."""
        from streamdet.infer.tensorrt_calls import LoadedPlan

        try:
            # A version-compatible plan carries code for the host; no other is let bring any.
            return LoadedPlan(stored.content(), allow_host_code=stored.card.version_compatible)
        except EngineMismatch as error:
            card = stored.card
            built_for = f"a plan for TensorRT {card.tensorrt}, {card.gpu}, {card.system}"
            if is_new:
                raise EngineMismatch(
                    "TensorRT rejects the plan that it has just built",
                    where=stored.path,
                    expected=str(self._here),
                    got=f"{built_for}: {error.got}",
                ) from error
            _log.warning("%s cannot be used and is built anew: %s; it is %s", stored.path.name, error.line, built_for)
            return self._loaded(engine, build_plan(engine, options, self._here, anew=True), True, options)

    def _within_the_plan(self, manifest: EngineManifest, plan: LoadedPlan) -> EngineManifest:
        """The manifest with the batch that this plan was built for, which may be narrower."""
        smallest, _, largest = plan.batch()
        narrowed = manifest.input.model_copy(update={"batch": (smallest, largest)})
        return manifest.model_copy(update={"input": narrowed})
