"""The library: `run` yields results, `load` gives a detector for single pictures."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamdet.errors import SinkLost, StreamdetError
from streamdet.frames import Event, Result

if TYPE_CHECKING:
    from streamdet.config.models import MetricsOptions
    from streamdet.infer.detector import PictureDetector
    from streamdet.pipeline.pipeline import Pipeline, Report
    from streamdet.sinks.contract import Accepts


def run(
    *sources: str, engine: str | None = None, pictures: bool = True, config: str | None = None, **options: Any
) -> Iterator[Result]:
    """Results of every stream as they come, until the last stream ends or the loop is left, which stops everything.

    `options` are those of the configuration's top level and of a stream, by name: `score=0.4`, `realtime=True`,
    `track="none"`. Each result's picture is the loop's own copy; `pictures=False` saves the copying. A recorded stream
    waits for the loop; of a live stream the loop gets what it is fast enough for. After the last result a required
    stream or a sink that failed is raised.
    """
    from pathlib import Path

    from streamdet.config.assemble import assemble
    from streamdet.config.flags import Flags
    from streamdet.config.models import RunOptions, StreamOptions
    from streamdet.config.validation import read_options

    top = {name: value for name, value in options.items() if name in RunOptions.model_fields}
    each_stream = {name: value for name, value in options.items() if name not in top}
    flags = Flags(sources, () if engine is None else (engine,), None, top, each_stream)
    unknown = each_stream.keys() - StreamOptions.model_fields.keys()
    if unknown:
        raise TypeError(f"run() got unknown options: {', '.join(sorted(unknown))}")
    sink = _Window(pictures=pictures)
    read = read_options(Path(config) if config is not None else None, flags.applied)
    return _results(assemble(read, loop=sink), sink, read.metrics)


def _results(pipeline: Pipeline, sink: _Window, metrics: MetricsOptions | None) -> Iterator[Result]:
    server = None
    if metrics is not None:
        from streamdet.serve.health import HealthServer

        server = HealthServer(pipeline.meter, lambda: pipeline.ready, port=metrics.port, host=metrics.host)
    outcome: list[Report | BaseException] = []

    def work() -> None:
        try:
            outcome.append(pipeline.run())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the user's loop is
            outcome.append(error)
        finally:
            sink.end()

    thread = threading.Thread(target=work, name="pipeline")
    thread.start()
    try:
        while (result := sink.next()) is not None:
            yield result
    finally:
        sink.leave()
        pipeline.stop()
        thread.join()
        if server is not None:
            server.close()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    _raise_failure(outcome[0])


def _raise_failure(report: Report) -> None:
    """What makes the command line's exit code 3 or 4 is an error here."""
    if report.error is not None:
        raise report.error
    for stream in report.failed_streams:
        details = [status.detail for status in report.streams if status.stream == stream]
        raise StreamdetError(f"stream {stream} failed", got=details[0] if details else None)
    for sink in report.failed_sinks:
        raise SinkLost(f"sink {sink} was given up", hint="the log says why")


def load(engine: str, *, backend: str = "auto", precision: Any = None) -> PictureDetector:
    """A detector for single pictures: `load("plate-detector")(picture)`, with an RGB array uint8 [H, W, 3].

    Of a suite it is the one that detects: texts need tracks, and so a `run`.
    """
    from streamdet.suites.detector import open_detector

    return open_detector(engine, backend, precision)


class _Window:
    """The sink between the pipeline and the user's loop: one result waits, the pipeline waits for the loop."""

    name = "loop"
    accepts: Accepts = "results"
    lossless = True

    def __init__(self, *, pictures: bool) -> None:
        self.needs_picture = pictures
        self._results: queue.Queue[Result | None] = queue.Queue(maxsize=1)
        self._left = threading.Event()

    def open(self) -> None:
        """Nothing to open."""

    def write(self, item: Result | Event) -> None:
        """Hand one result over, once the loop has room for it."""
        assert isinstance(item, Result)
        if self.needs_picture:
            item = replace(item, frame=replace(item.frame, picture=item.frame.picture.host()))
        self._offer(item)

    def close(self) -> None:
        """Nothing to close."""

    def end(self) -> None:
        """No result follows."""
        self._offer(None)

    def leave(self) -> None:
        """The loop was left: nobody waits for it any more."""
        self._left.set()

    def next(self) -> Result | None:
        """The next result, None after the last."""
        return self._results.get()

    def _offer(self, item: Result | None) -> None:
        placed = False
        while not placed and not self._left.is_set():
            with suppress(queue.Full):
                self._results.put(item, timeout=0.1)
                placed = True
