"""The catalogue of backends: which can run here, and opening one by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from streamdet.errors import ConfigError, EngineMismatch, StreamdetError
from streamdet.infer import onnx, openvino, tensorrt
from streamdet.infer.contract import Backend
from streamdet.infer.cut import TailPlace
from streamdet.infer.fastest import fastest
from streamdet.infer.onnx import OnnxBackend, OnnxName
from streamdet.infer.openvino import OpenVinoBackend, OpenVinoPrecision
from streamdet.infer.shelf import Engine, Shelf, Suite
from streamdet.infer.tensorrt import TensorRtBackend
from streamdet.infer.tensorrt_plan import PRECISIONS
from streamdet.manifest import Precision

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue."""

    why_not: Callable[[], str | None]  # None: it can be tried here
    open: Callable[[Engine, str | None, TailPlace, int], Backend]  # the last: on which GPU
    precisions: tuple[str, ...] = get_args(Precision)


def _onnx(name: OnnxName) -> Entry:
    return Entry(
        lambda: onnx.why_not(name),
        lambda engine, precision, tail, gpu: OnnxBackend(engine, name, cast(Precision | None, precision), tail, gpu),
    )


CATALOGUE: dict[str, Entry] = {
    "onnx-cpu": _onnx("onnx-cpu"),
    "onnx-cuda": _onnx("onnx-cuda"),
    "onnx-tensorrt": _onnx("onnx-tensorrt"),
    "tensorrt": Entry(
        tensorrt.why_not,
        # The suppression stays in the graph: beside the way back of all candidates it costs nothing.
        lambda engine, precision, tail, gpu: TensorRtBackend(engine, cast(Precision | None, precision), gpu),
        PRECISIONS,
    ),
    "openvino": Entry(
        openvino.why_not,
        lambda engine, precision, tail, gpu: OpenVinoBackend(engine, cast(OpenVinoPrecision | None, precision), tail),
        (*get_args(Precision), "bf16"),
    ),
}
# `auto` tries these in order and takes the first that starts. The TensorRT provider of ONNX Runtime is not among them:
# it builds for minutes in silence, and again in every process.
_AUTO_GPU = ("tensorrt", "onnx-cuda")
# … and the fastest of these.
_AUTO_CPU = ("onnx-cpu", "openvino")


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can run here, and what it lacks if not."""

    name: str
    usable: bool
    why_not: str | None


def available() -> list[Availability]:
    """Every backend of the catalogue, on this machine."""
    reasons = {name: entry.why_not() for name, entry in CATALOGUE.items()}
    return [Availability(name, reason is None, reason) for name, reason in reasons.items()]


def open_backend(
    engine: Engine | Path | str,
    name: str = "auto",
    precision: str | None = None,
    tail: TailPlace = "auto",
    shelf: Shelf | None = None,
    gpu: int = 0,
) -> Backend:
    """An engine on the runtime of that name, on the first GPU unless another is named.

    `auto` takes a GPU where one starts, or else the CPU runtime measured fastest here. It only ever chooses fp32, or
    a precision that the manifest lists as proven on that runtime (`proven_on: ["openvino", "openvino-bf16"]`).
    `tail` says where the suppression runs on a CPU: `auto` is a kernel wherever the graph names the cut.
    """
    if not isinstance(engine, Engine):
        engine = _engine(engine, shelf or Shelf())
    if name == "auto":
        return _auto(engine, precision, tail, gpu)
    entry = CATALOGUE.get(name)
    if entry is None:
        raise ConfigError("there is no such backend", expected=", ".join(["auto", *CATALOGUE]), got=name)
    if precision is not None and precision not in entry.precisions:
        raise ConfigError(f"{name} has no such precision", expected=", ".join(entry.precisions), got=precision)
    return entry.open(engine, precision, tail, gpu)


def _engine(name: Path | str, shelf: Shelf) -> Engine:
    found = shelf.open(name)
    if isinstance(found, Suite):
        engines = found.manifest.engines
        raise EngineMismatch(
            "a suite is several steps",
            where=found.folder,
            expected="one engine",
            got=" and ".join(found.manifest.steps),
            hint=f"name one of them: {', '.join(engines)}" if engines else None,
        )
    return found


def _auto(engine: Engine, precision: str | None, tail: TailPlace, gpu: int) -> Backend:
    for name in _AUTO_GPU:
        reason = CATALOGUE[name].why_not()
        if reason is None and precision in (None, *CATALOGUE[name].precisions):
            # On a GPU fp16 is the faster file, where it was proven there.
            half = precision is None and _may_choose(engine, f"{name}-fp16", "fp16")
            try:
                return CATALOGUE[name].open(engine, "fp16" if half else precision, tail, gpu)
            except StreamdetError as error:
                reason = error.line
                _log.warning("%s is here and does not work: %s; trying the next runtime", name, reason)
    candidates = _cpu_candidates(engine, precision, tail)
    if not candidates:
        raise EngineMismatch(
            "no runtime may choose this engine's files by itself",
            where=engine.folder,
            expected="an fp32 file, or a precision that was proven on a CPU runtime",
            got=", ".join(
                f"{file.precision} ({', '.join(file.proven_on) or 'unproven'})" for file in engine.manifest.files
            ),
            hint="name a backend: --backend onnx-cpu",
        )
    return fastest("+".join(file.sha256[:12] for file in engine.manifest.files), candidates)


def _cpu_candidates(engine: Engine, precision: str | None, tail: TailPlace) -> dict[str, Callable[[], Backend]]:
    """Label → opener of every CPU runtime and precision that `auto` may choose, installed or not.

    Whether a runtime is installed shows when it is opened: asking costs its import, which a warm start need not pay.
    """
    candidates: dict[str, Callable[[], Backend]] = {}
    for name in _AUTO_CPU:
        entry = CATALOGUE[name]
        for wanted in entry.precisions if precision is None else (precision,):
            label = name if wanted == "fp32" else f"{name}-{wanted}"
            if wanted in entry.precisions and (precision is not None or _may_choose(engine, label, wanted)):
                candidates[label] = _opener(entry, engine, wanted, tail)
    return candidates


def _opener(entry: Entry, engine: Engine, precision: str, tail: TailPlace) -> Callable[[], Backend]:
    return lambda: entry.open(engine, precision, tail, 0)


def _may_choose(engine: Engine, label: str, precision: str) -> bool:
    """Fp32 where there is such a file; any other precision where it was proven under that label."""
    of_file = _file_precision(precision)
    files = [file for file in engine.manifest.files if file.precision == of_file]
    return bool(files) and (precision == "fp32" or label in files[0].proven_on)


def _file_precision(precision: str | None) -> Precision | None:
    """The precision of the file that is read: bf16 is made from fp32 as it is compiled."""
    return "fp32" if precision == "bf16" else cast(Precision | None, precision)
