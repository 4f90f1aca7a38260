"""Which CPU runtime is fastest for an engine on this machine: measured once, then remembered."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from streamdet.errors import MissingExtra, StreamdetError
from streamdet.infer.cache import remember, remembered
from streamdet.infer.contract import Backend

_FILE = "fastest.json"
_MEASURE_S = 0.4  # per candidate
_log = logging.getLogger(__name__)


def fastest(model: str, candidates: Mapping[str, Callable[[], Backend]]) -> Backend:
    """The candidate whose one-thread session answers soonest; the first one where none could be measured.

    The answer holds for this model (its hash), these versions of the runtimes and this processor, and is measured anew
    when one of them changes. `candidates` maps a label (`openvino-bf16`) to what opens it.
    """
    if len(candidates) == 1:
        return next(iter(candidates.values()))()
    key = "|".join([model, *sorted(candidates), *_versions(), _processor()])
    known = remembered(_FILE).get(key)
    if isinstance(known, dict) and known.get("fastest") in candidates:
        return candidates[known["fastest"]]()
    opened, took_s = _measure(candidates)
    if not took_s:
        return next(iter(candidates.values()))()  # its own error says what is wrong
    best = min(took_s, key=took_s.__getitem__)
    for label, backend in opened.items():
        if label != best:
            backend.close()
    measured_ms = {label: round(seconds * 1e3, 2) for label, seconds in took_s.items()}
    remember(_FILE, {key: {"fastest": best, "measured_ms": measured_ms}})
    _log.info("fastest runtime here: %s (ms: %s)", best, measured_ms)
    return opened[best]


def _measure(candidates: Mapping[str, Callable[[], Backend]]) -> tuple[dict[str, Backend], dict[str, float]]:
    opened: dict[str, Backend] = {}
    took_s: dict[str, float] = {}
    for label, open_candidate in candidates.items():
        try:
            backend = open_candidate()
            took_s[label] = seconds_per_run(backend, budget_s=_MEASURE_S)
        except MissingExtra:
            _log.debug("%s is not installed", label)
        except StreamdetError as error:
            _log.warning("%s cannot run this engine here: %s", label, error.line)
        else:
            opened[label] = backend
    return opened, took_s


def seconds_per_run(backend: Backend, n: int = 1, threads: int = 1, budget_s: float = 0.4) -> float:
    """The median time of a session's run on noise, over at least five runs."""
    session = backend.session(threads)
    try:
        n = max(n, backend.manifest.input.batch[0])
        batch = session.input(n)
        batch[:] = np.random.default_rng(0).integers(0, 256, batch.shape, np.uint8)
        session.run(n)
        took_s: list[float] = []
        while len(took_s) < 5 or sum(took_s) < budget_s:
            started = time.perf_counter()
            session.run(n)
            took_s.append(time.perf_counter() - started)
    finally:
        session.close()
    return float(np.median(took_s))


def usable_cores() -> int:
    """How many cores this process may use: a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> list[str]:
    found = []
    for library in ("onnxruntime", "openvino"):
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            found.append(f"no {library}")
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores"
