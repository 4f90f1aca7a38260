"""Everything that the report on plates tells, measured in one go and kept as JSON: the text itself knows no figure."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from streamdet.errors import ConfigError, DataError, EngineMismatch, MissingExtra
from streamdet.evaluation.plate_tasks import PlateTask, evaluate_plates
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine, Shelf, Suite
from streamdet.manifest import EngineManifest

SCHEMA = "streamdet.plate-report/2"
HEIGHTS_PX = ((10, 16), (16, 60))  # of rendered characters: hard, and as a gate sees them
# How hard rendered plates are made: 1 is what training sees, wider than the world is.
SEVERITIES = (0.5, 1.0)
PASSES = ((0.5, 3.5), (0.75, 2.0), (1.0, 1.0))  # severity, and how many times its blur moves from look to look
_TIMED = 60
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportTask:
    """What the report is about, and what it is measured on; what is None is left out of it."""

    suite: str = "plates"
    beside: tuple[str, ...] = ()  # readers to compare with
    pictures: Path | None = None  # labelled pictures of streets
    labels: Path | None = None  # readings.csv, corners.csv, ignore.csv
    split: str = "test"
    crops: Path | None = None  # plates cut out by others, with labels.csv
    rendered: int = 1000  # crops of each height
    passes: int = 300


def measure(task: ReportTask, say: Callable[[str], None] = lambda line: None) -> Json:
    """All of it; minutes. `say` is told what is being done."""
    suite = Shelf().open(task.suite)
    detector, reader = (suite.manifest.detect, suite.manifest.read) if isinstance(suite, Suite) else (None, None)
    if not isinstance(detector, str) or not isinstance(reader, str):
        raise EngineMismatch("the report is about a suite that detects and reads", got=task.suite)
    measured: Json = {
        "schema": SCHEMA,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "streamdet": metadata.version("streamdet"),
        "suite": task.suite,
    }
    say(f"{detector}: speed")
    measured["detector"] = _network(detector)
    if task.pictures is not None:
        say(f"{detector}: plates found in {task.pictures.name}, {task.split}")
        found = PlateTask(detector, str(task.pictures), task.labels, task.split)
        measured["detector"]["found"] = _scores(found)["found"]
        say(f"{task.suite}: found and read in {task.pictures.name}, {task.split}")
        whole = PlateTask(task.suite, str(task.pictures), task.labels, task.split)
        measured["whole"] = _scores(whole)
    measured["readers"] = [_reader(name, task, say) for name in (reader, *task.beside)]
    return measured


def _reader(name: str, task: ReportTask, say: Callable[[str], None]) -> Json:
    def rendered(what: str) -> Json:
        say(f"{name}: rendered {what}")
        return _scores(PlateTask(name, f"rendered:{what}"))

    say(f"{name}: speed")
    row = _network(name)
    row["rendered"] = [
        {
            "severity": severity,
            "glyph_px": [low, high],
            **rendered(f"crops?count={task.rendered}&glyph_px={low}-{high}&severity={severity}"),
        }
        for severity, (low, high) in itertools.product(SEVERITIES, HEIGHTS_PX)
    ]
    row["passes"] = [
        {
            "severity": severity,
            "blur": blur,
            **rendered(f"passes?count={task.passes}&severity={severity}&blur={blur}")["passes"],
        }
        for severity, blur in PASSES
    ]
    row["nothing"] = rendered(f"passes?count={max(task.passes // 3, 1)}&plates=false")["passes"]
    if task.pictures is not None:
        say(f"{name}: {task.pictures.name}")
        row["pictures"] = _scores(PlateTask(name, str(task.pictures), task.labels, task.split))
    if task.crops is not None:
        say(f"{name}: {task.crops.name}")
        row["crops"] = _scores(PlateTask(name, str(task.crops)))
    return row


def _scores(task: PlateTask) -> Json:
    return evaluate_plates(task)[1].as_json()


def _network(name: str) -> Json:
    """What it is, how large and how fast: one picture, one thread, the network alone."""
    engine = Shelf().open(name)
    assert isinstance(engine, Engine)
    manifest = engine.manifest
    return {
        "name": name,
        "family": manifest.family,
        "input": list(manifest.input.size),
        "parameters": _parameters(engine),
        "bytes": (engine.folder / manifest.file("fp32").path).stat().st_size,
        "ms": _milliseconds(engine),
        "provenance": _provenance(manifest),
    }


def _provenance(manifest: EngineManifest) -> Json:
    known = manifest.provenance
    return {"data": known.data, "commit": known.commit, "scores": dict(known.scores)}


def _parameters(engine: Engine) -> int:
    """How many numbers the file holds."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingExtra("onnx", "graft", "counting what a network has learnt") from error
    model = onnx.load(str(engine.folder / engine.manifest.file("fp32").path))
    return int(sum(np.prod(weight.dims, dtype=np.int64) for weight in model.graph.initializer if len(weight.dims)))


def _milliseconds(engine: Engine) -> float:
    backend = open_backend(engine, "auto")
    session = backend.session(1)
    try:
        session.input(1)[...] = 127
        for _ in range(5):
            session.run(1)
        taken = []
        for _ in range(_TIMED):
            began = time.perf_counter()
            session.run(1)
            taken.append(time.perf_counter() - began)
        return 1000 * statistics.median(taken)
    finally:
        session.close()
        backend.close()


def read_measured(path: Path) -> Json:
    """What an earlier report was made of."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError("the figures cannot be read", where=path, got=error.strerror) from error
    except ValueError as error:
        raise DataError("these are no figures", where=path, got=str(error)) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ConfigError("these figures are of another kind", where=path, expected=SCHEMA)
    return found
