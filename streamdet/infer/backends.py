"""The catalogue of backends: which can run here, and opening one by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from streamdet.errors import ConfigError, EngineMismatch
from streamdet.infer.contract import Backend
from streamdet.infer.onnx import OnnxBackend
from streamdet.infer.shelf import Engine, Shelf, Suite

Tail = Literal["auto", "kernel", "graph"]


def open_backend(
    engine: Engine | Path | str,
    name: str = "auto",
    precision: str | None = None,
    tail: Tail = "auto",
    shelf: Shelf | None = None,
) -> Backend:
    """An engine on the runtime of that name; `auto` takes the best that works here."""
    if not isinstance(engine, Engine):
        found = (shelf or Shelf()).open(engine)
        if isinstance(found, Suite):
            raise EngineMismatch(
                "a suite is several engines, not one",
                where=found.folder,
                expected="a detector or a reader",
                got=f"the suite of {found.manifest.detect} and {found.manifest.read}",
            )
        engine = found
    if name in ("auto", "onnx-cpu"):
        return OnnxBackend(engine, "onnx-cpu", precision, tail)  # type: ignore[arg-type]
    raise ConfigError("there is no such backend", expected="auto, onnx-cpu", got=name)
