"""What an engine costs here: latency and throughput per runtime, threads and batch, beside the network alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from streamdet.errors import StreamdetError
from streamdet.frames import Frame
from streamdet.infer.backends import available, open_backend
from streamdet.infer.contract import Backend, Session
from streamdet.infer.detector import EngineDetector, EngineWorker
from streamdet.infer.fastest import usable_cores
from streamdet.infer.shelf import Engine
from streamdet.picture import Picture

FRAME_SIZE = (1920, 1080)


@dataclass(frozen=True, slots=True)
class Load:
    """One way to use a machine: so many sessions in parallel, of so many threads each, with batches of so many."""

    workers: int
    threads: int
    batch: int


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One line of the table. Times are medians; `why_not` stands instead of figures that could not be had."""

    backend: str
    precision: str
    load: Load
    latency_ms: float = 0.0  # a batch of 1080p frames, from planes to Detections in frame pixels
    frames_per_s: float = 0.0  # all workers together
    network_ms: float = 0.0  # the session alone: no letterbox, nothing mapped back
    network_frames_per_s: float = 0.0  # the limit that frames_per_s is to be held against
    why_not: str | None = None


def standard_loads(cores: int, batch: tuple[int, int]) -> list[Load]:
    """One thread; all cores on one batch; a one-thread session per core; and four at once, where the engine allows."""
    smallest, largest = batch
    loads = [Load(1, 1, smallest), Load(1, cores, smallest), Load(cores, 1, smallest)]
    loads.append(Load(1, cores, max(smallest, min(4, largest))))
    return list(dict.fromkeys(loads))


def standard_backends(engine: Engine) -> list[tuple[str, str | None]]:
    """Every backend that can be tried here, with every precision that it can make of the engine's files."""
    precisions = [file.precision for file in engine.manifest.files]
    wanted: list[tuple[str, str | None]] = []
    for found in available():
        if found.usable:
            wanted += [(found.name, precision) for precision in precisions]
            if found.name == "openvino" and "fp32" in precisions:
                wanted.append((found.name, "bf16"))
    return wanted


def bench_engine(
    engine: Engine,
    backends: Iterable[tuple[str, str | None]] | None = None,
    loads: Iterable[Load] | None = None,
    budget_s: float = 2.0,
) -> Iterator[BenchRow]:
    """Measure an engine; each row comes as soon as it is known.

    `backends` are (name, precision) pairs, by default every one that can be tried here. Each figure takes about
    `budget_s`. What cannot run yields a row that says why.
    """
    wanted = standard_backends(engine) if backends is None else list(backends)
    chosen = standard_loads(usable_cores(), engine.manifest.input.batch) if loads is None else list(loads)
    for name, precision in wanted:
        try:
            backend = open_backend(engine, name, precision)
        except StreamdetError as error:
            yield BenchRow(name, precision or "", chosen[0], why_not=error.line)
            continue
        for load in chosen:
            yield _row(backend, load, budget_s)
        backend.close()


def _row(backend: Backend, load: Load, budget_s: float) -> BenchRow:
    try:
        network_ms, network_frames_per_s = _network_alone(backend, load, budget_s)
        latency_ms, frames_per_s = _whole_detector(backend, load, budget_s)
    except StreamdetError as error:
        return BenchRow(backend.name, backend.precision, load, why_not=error.line)
    return BenchRow(backend.name, backend.precision, load, latency_ms, frames_per_s, network_ms, network_frames_per_s)


def _network_alone(backend: Backend, load: Load, budget_s: float) -> tuple[float, float]:
    sessions = [backend.session(load.threads) for _ in range(load.workers)]
    for session in sessions:
        batch = session.input(load.batch)
        batch[:] = np.random.default_rng(0).integers(0, 256, batch.shape, np.uint8)
    try:
        return _measured([_run(session, load.batch) for session in sessions], load.batch, budget_s)
    finally:
        for session in sessions:
            session.close()


def _run(session: Session, n: int) -> Callable[[], object]:
    return lambda: session.run(n)


def _whole_detector(backend: Backend, load: Load, budget_s: float) -> tuple[float, float]:
    detector = EngineDetector(backend)
    workers = [detector.worker(load.threads) for _ in range(load.workers)]
    frames = [_noise_frame(seed) for seed in range(load.batch)]
    try:
        return _measured([_detect(worker, frames) for worker in workers], load.batch, budget_s)
    finally:
        for worker in workers:
            worker.close()


def _detect(worker: EngineWorker, frames: list[Frame]) -> Callable[[], object]:
    return lambda: worker.detect(frames)


def _noise_frame(seed: int) -> Frame:
    width, height = FRAME_SIZE
    random = np.random.default_rng(seed)
    y = random.integers(16, 236, (height, width), np.uint8)
    u, v = random.integers(96, 160, (2, height // 2, width // 2), np.uint8)
    return Frame("bench", seed, 0.0, Picture((y, u, v), "yuv420p"))


def _measured(runs: list[Callable[[], object]], batch: int, budget_s: float) -> tuple[float, float]:
    """Every run in a loop of its own thread for `budget_s`: the median time of one, and pictures per second of all."""
    for run in runs:
        run()
    took_s: list[list[float]] = [[] for _ in runs]
    failures: list[StreamdetError] = []
    barrier = threading.Barrier(len(runs))

    def loop(place: int) -> None:
        try:
            barrier.wait()
            ends = time.perf_counter() + budget_s
            while len(took_s[place]) < 5 or time.perf_counter() < ends:
                started = time.perf_counter()
                runs[place]()
                took_s[place].append(time.perf_counter() - started)
        except StreamdetError as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(place,)) for place in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    pictures_per_s = sum(batch * len(times) / sum(times) for times in took_s)
    return float(np.median(np.concatenate(took_s))) * 1e3, pictures_per_s
