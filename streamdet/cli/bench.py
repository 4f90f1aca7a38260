"""`streamdet bench`: this machine's limits, and how near the pipeline comes to them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamdet.errors import EndOfStream
from streamdet.frames import Detections, Event, Frame, Result
from streamdet.sinks.contract import Accepts

_SIZE, _FPS, _SECONDS = (1920, 1080), 25, 20
_LIVE_S = 12.0


def bench(
    engine: Annotated[str | None, typer.Option("--engine", "-e", help="Also measure the whole road with it.")] = None,
    backend: Annotated[str, typer.Option(help="The runtime of that engine.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="The precision of that engine.")] = None,
    clip: Annotated[Path | None, typer.Option(help="An H.264 file of your own instead of the rendered one.")] = None,
    streams: Annotated[list[int] | None, typer.Option(min=1, help="How many side by side. May be repeated.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians are shown.")] = 3,
    burner: Annotated[bool, typer.Option("--burner", help="Another process keeps one core busy meanwhile.")] = False,
) -> None:
    """Measure decoding, inference and the pipeline between them, in turns within one run, and show the ratios."""
    typer.echo(_title(burner))
    typer.echo(f"{'what':44} {'streams':>7} {'fps':>8} {'limit':>8} {'of the limit':>13}")
    with tempfile.TemporaryDirectory() as folder, _burner(burner):
        path = clip or _rendered(Path(folder) / "clip.mp4")
        for count in streams or [1, 4]:
            if engine is None:
                _overhead(path, count, rounds)
            else:
                _road(path, count, rounds, _Engine(engine, backend, precision), Path(folder))
        if engine is None:
            _latency(path)


# ---- the lines of the table


def _overhead(path: Path, count: int, rounds: int) -> None:
    """With a null engine that asks for no pixels and a sink that counts: what the pipeline itself costs."""
    alone, through = _in_turns(rounds, lambda: _decode(path, count), lambda: _null_road(path, count))
    _line("decode alone", count, alone, None)
    _line("pipeline, null engine", count, through, alone)


def _road(path: Path, count: int, rounds: int, engine: _Engine, folder: Path) -> None:
    """1080p file → records with tracks, against what decoding and inference, each alone, would allow."""
    decode, infer, road = _in_turns(
        rounds,
        lambda: _decode(path, count),
        engine.inference,
        lambda: _whole_road(path, count, engine, folder / "records.jsonl"),
    )
    limit = [1 / (1 / d + 1 / i) for d, i in zip(decode, infer, strict=True)]
    _line("decode alone", count, decode, None)
    _line(f"inference alone, {engine.label}", count, infer, None)
    _line("file → tracks → records", count, road, limit)


def _latency(path: Path, count: int = 4) -> None:
    """Decode returned → write returned, for live streams."""
    taken_s = sorted(_live_latencies(path, count))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        what = f"added latency {name}, live at 25 fps, in ms"
        typer.echo(f"{what:44} {count:>7} {_quantile(taken_s, share) * 1e3:>8.2f}")


def _line(what: str, count: int, fps: list[float], limit: list[float] | None) -> None:
    ratio = "" if limit is None else f"{statistics.median(f / one for f, one in zip(fps, limit, strict=True)):.3f}"
    shown = "" if limit is None else f"{statistics.median(limit):.1f}"
    typer.echo(f"{what:44} {count:>7} {statistics.median(fps):>8.1f} {shown:>8} {ratio:>13}")


def _in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Each measure once a round, so that a machine whose speed drifts is fair to all; a first round warms up."""
    figures: list[list[float]] = [[] for _ in measures]
    for number in range(rounds + 1):
        for kept, measure in zip(figures, measures, strict=True):
            figure = measure()
            if number:
                kept.append(figure)
    return figures


# ---- what is measured


def _decode(path: Path, count: int) -> float:
    frames = [0] * count

    def read_all(number: int) -> None:
        source = _file(path, number)
        source.open()
        try:
            while True:
                source.read().picture.release()
                frames[number] += 1
        except EndOfStream:
            source.close()

    threads = [threading.Thread(target=read_all, args=(number,)) for number in range(count)]
    return _timed_fps(lambda: _run_all(threads), lambda: sum(frames))


def _null_road(path: Path, count: int) -> float:
    from streamdet.pipeline.stream import Stream

    detector = _NullDetector()
    return _pipeline_fps([], {f"s{number}": Stream(_file(path, number), (detector,)) for number in range(count)})


def _whole_road(path: Path, count: int, engine: _Engine, records: Path) -> float:
    from streamdet.pipeline.stream import Stream
    from streamdet.sinks.jsonl import Jsonl, JsonlOptions
    from streamdet.tracking.bytetrack import ByteTrackOptions
    from streamdet.tracking.catalogue import make_tracker

    options = ByteTrackOptions()
    streams = {
        f"s{number}": Stream(
            _file(path, number),
            (engine.detector,),
            tracker=lambda previous, gap_s: make_tracker(options, previous=previous, gap_s=gap_s),
        )
        for number in range(count)
    }
    return _pipeline_fps([Jsonl(JsonlOptions(path=records, existing="replace"))], streams)


def _pipeline_fps(sinks: list[Any], streams: dict[str, Any]) -> float:
    """From the first result to the last: what loads and starts before that is not the road."""
    from streamdet.pipeline.pipeline import Pipeline

    stopwatch = _Stopwatch()
    pipeline = Pipeline([*sinks, stopwatch])
    for name, stream in streams.items():
        pipeline.add(name, stream)
    pipeline.run()
    return (len(stopwatch.taken_s) - 1) / (stopwatch.last_s - stopwatch.first_s)


def _live_latencies(path: Path, count: int) -> list[float]:
    from streamdet.pipeline.pipeline import Pipeline
    from streamdet.pipeline.stream import Stream

    sink = _Stopwatch()
    pipeline = Pipeline([sink])
    detector = _NullDetector()
    for number in range(count):
        source = _file(path, number, realtime=True)
        source.live = True
        pipeline.add(f"s{number}", Stream(source, (detector,), max_frames=round(_LIVE_S * _FPS)))
    pipeline.run()
    return sink.taken_s[count * _FPS :]  # the first second opens files and starts threads


class _Engine:
    """An engine for the whole road, and its network alone."""

    def __init__(self, name: str, backend: str, precision: str | None) -> None:
        from streamdet.infer.backends import open_backend
        from streamdet.infer.detector import EngineDetector

        self._backend = open_backend(name, backend, precision)
        self.detector = EngineDetector(self._backend)
        self.label = f"{self.detector.name} on {self._backend.name} {self._backend.precision}"

    def inference(self) -> float:
        """The better of one session of all cores and of one one-thread session per core."""
        cores = len(os.sched_getaffinity(0))
        return max(self._sessions(1, cores), self._sessions(cores, 1))

    def _sessions(self, count: int, threads: int, seconds: float = 3.0) -> float:
        runs = [0] * count
        sessions = [self._backend.session(threads) for _ in range(count)]
        for session in sessions:
            session.run(1)

        def infer(number: int) -> None:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                sessions[number].run(1)
                runs[number] += 1

        workers = [threading.Thread(target=infer, args=(number,)) for number in range(count)]
        fps = _timed_fps(lambda: _run_all(workers), lambda: sum(runs))
        for session in sessions:
            session.close()
        return fps


class _NullDetector:
    """Asks for no pixels and finds nothing: what is left is the pipeline."""

    name = backend_name = "null"
    names: tuple[str, ...] = ("thing",)
    device: Literal["cpu", "cuda"] = "cpu"
    precision = "fp32"
    needs_picture = False
    batch_limit = 1
    score = 0.25
    _nothing = Detections.empty(("thing",))

    def worker(self, threads: int = 1) -> _NullDetector:
        return self

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._nothing] * len(frames)

    def close(self) -> None:
        pass


class _Stopwatch:
    """A sink that notes when results arrive, and how long after its decoding each does."""

    name = "stopwatch"
    accepts: Accepts = "results"
    lossless = True
    needs_picture = False

    def __init__(self) -> None:
        self.taken_s: list[float] = []
        self.first_s = self.last_s = 0.0

    def open(self) -> None:
        pass

    def write(self, item: Result | Event) -> None:
        if isinstance(item, Result):
            self.last_s = time.monotonic()
            self.first_s = self.first_s or self.last_s
            self.taken_s.append(self.last_s - item.frame.decoded_s)

    def close(self) -> None:
        pass


# ---- tools


def _file(path: Path, number: int, **options: Any) -> Any:
    from streamdet.sources.file import FileSource
    from streamdet.sources.options import SourceOptions

    return FileSource(f"s{number}", path, SourceOptions(**options))


def _timed_fps(work: Callable[[], object], frames: Callable[[], int]) -> float:
    began_s = time.perf_counter()
    work()
    return frames() / (time.perf_counter() - began_s)


def _run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _quantile(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


def _rendered(path: Path) -> Path:
    """A moving test card, as an average camera would encode it."""
    import av

    width, height = _SIZE
    card = f"testsrc2=size={width}x{height}:rate={_FPS}:duration={_SECONDS}"
    with av.open(card, format="lavfi") as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=_FPS, options={"preset": "veryfast", "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode())
    return path


@contextmanager
def _burner(wanted: bool) -> Iterator[None]:
    """Another process that never sleeps, pinned to one core."""
    if not wanted:
        yield
        return
    core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _title(burner: bool) -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, 1080p H.264" + (", another process busy on one of them" if burner else "")
