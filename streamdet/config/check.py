"""The dry run: every source, engine and sink of a configuration tried by itself, all findings at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streamdet.config.assemble import Streams, with_names
from streamdet.config.models import RunOptions
from streamdet.errors import ConfigError, EndOfStream, StreamdetError, redact
from streamdet.sources.catalogue import expand, make_source


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing tried; `error` None: it works."""

    what: str
    error: StreamdetError | None = None


Try = tuple[str, Callable[[], str]]  # what is tried; → what to say when it works


def check_run(options: RunOptions, *more: Try) -> list[Finding]:
    """Open each source and read one frame, start each engine once, look whether each sink's place can be written."""
    tries = [*_sources(options), *_engines(options), *_sinks(options), *more]
    # Cameras answer slowly and all at the same time.
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(_tried, tries))


def _tried(attempt: Try) -> Finding:
    what, action = attempt
    try:
        said = action()
    except StreamdetError as error:
        return Finding(what, error)
    return Finding(f"{what}: {said}" if said else what)


def _sources(options: RunOptions) -> Iterator[Try]:
    for name, stream in options.streams.items():
        what = f"stream {name} ({redact(stream.source)})"

        def attempt(name: str = name, uri: str = stream.source) -> str:
            files = expand(uri)
            if not files:
                raise ConfigError("nothing matches", got=uri)
            source = make_source(name, files[0], options.streams[name])
            try:
                source.open()
                frame = source.read()
                width, height = frame.size
                frame.picture.release()
            except EndOfStream as error:
                raise ConfigError("it holds not a single frame", where=files[0]) from error
            finally:
                source.close()
            more = f", the first of {len(files)} files" if len(files) > 1 else ""
            return f"{width}x{height} {frame.picture.format}{more}"

        yield what, attempt


def _engines(options: RunOptions) -> Iterator[Try]:
    workshop = Streams(options)
    for name, stream in options.streams.items():

        def attempt(name: str = name) -> str:
            detectors = workshop.detectors_of(name, options.streams[name])
            for detector in detectors:
                detector.worker().close()
            stages = workshop.read_of(name, options.streams[name], detectors)
            for stage in stages:
                stage.reader.worker().close()
            engines = [(each.name, each.backend_name, each.precision) for each in detectors]
            engines += [(stage.reader.name, stage.reader.backend_name, stage.reader.precision) for stage in stages]
            return ", ".join(f"{engine} on {backend}, {precision}" for engine, backend, precision in engines)

        if stream.detect or name == next(iter(options.streams)):
            yield f"engine of {name}" if stream.detect else "engine", attempt


def _sinks(options: RunOptions) -> Iterator[Try]:
    for sink in with_names(options.sinks):
        path = getattr(sink, "path", None)
        if path is not None:
            yield f"sink {sink.name} ({path})", lambda path=path: _writable(path)  # type: ignore[misc]


def _writable(path: Path) -> str:
    place = path
    while not place.exists():
        place = place.parent
    if place != path and not place.is_dir():
        raise ConfigError("a file stands where a folder is needed", where=place)
    if not os.access(place, os.W_OK):
        raise ConfigError("this user may not write there", where=place)
    return ""
