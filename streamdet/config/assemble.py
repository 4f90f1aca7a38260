"""RunOptions → a Pipeline ready to run: engines loaded, sources made, sinks named."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from streamdet.config.models import DetectOptions, NoTracker, ReadOptions, RunOptions, StreamOptions
from streamdet.config.overwriting import refuse_overwriting
from streamdet.errors import ConfigError, EngineNotFound, ManifestInvalid, StreamdetError
from streamdet.frames import Detections
from streamdet.infer.contract import Detector, least_deadline_s
from streamdet.infer.shelf import Shelf, Suite
from streamdet.pipeline.joining import class_table
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.selection import thresholds
from streamdet.pipeline.stream import Motion, ReadStage, Stream, TrackerFactory
from streamdet.pipeline.turns import Queued
from streamdet.plates.privacy import Veil, veil
from streamdet.plates.reader import Reader, load_reader
from streamdet.plates.vote import VoteOptions
from streamdet.sinks.catalogue import sink_from
from streamdet.sinks.contract import Sink, StreamStatus
from streamdet.sinks.options import SinkOptions
from streamdet.sources.catalogue import expand, make_source
from streamdet.suites.detector import open_detector
from streamdet.tracking.bytetrack import ByteTrackOptions
from streamdet.tracking.catalogue import make_tracker

LoadDetector = Callable[[DetectOptions], Detector]
LoadReader = Callable[[ReadOptions], Reader]
Place = Callable[[str, Sequence[Detector]], int | None]  # a stream and its engines → where its pictures shall lie


def assemble(options: RunOptions, *, loop: Sink | None = None, keep_open: bool = False) -> Pipeline:
    """Everything that the options name, wired up; nothing is opened yet but the engines."""
    refuse_overwriting(options)
    statuses: list[Pipeline] = []

    def status() -> list[StreamStatus]:
        return statuses[0].status() if statuses else []

    sinks = [sink_from(sink, status) for sink in with_names(options.sinks)]
    limits = options.limits
    workshop = Streams(options)
    pipeline = Pipeline(
        sinks,
        loop=loop,
        limits=Limits(
            drain_s=limits.drain_s, give_up_s=limits.give_up_s, inference_deadline_s=limits.inference_deadline_s
        ),
        keep_open=keep_open,
        on_finished=workshop.close,
    )
    statuses.append(pipeline)
    workshop.place = pipeline.place
    try:
        _fill(pipeline, workshop, options)
    except StreamdetError:
        workshop.close()
        raise
    return pipeline


def _fill(pipeline: Pipeline, workshop: Streams, options: RunOptions) -> None:
    """Streams that run from the start, and the queue of those that wait for their turn."""
    queue: list[tuple[Queued, Path]] = []
    for name, stream in options.streams.items():
        files = expand(stream.source)
        if len(files) == 1 and files[0] == stream.source:
            pipeline.add(name, workshop.make(name, stream, stream.source))
        else:
            queue += workshop.playlist(name, stream, files)
    if queue:
        journal = Journal(options.resume)
        paths = {entry.name: path for entry, path in queue}
        pipeline.queue(
            (entry for entry, path in queue if not journal.has(path)),
            options.limits.files_at_once,
            lambda name, status: journal.note(paths[name], status),
        )


def with_names(sinks: Sequence[SinkOptions]) -> Iterator[SinkOptions]:
    """Sinks with a name of their own each: the second jsonl is jsonl-2."""
    seen: Counter[str] = Counter()
    for sink in sinks:
        name = sink.name or str(getattr(sink, "kind", "sink"))
        seen[name] += 1
        yield sink.model_copy(update={"name": name if seen[name] == 1 else f"{name}-{seen[name]}"})


@dataclass(slots=True)
class Streams:
    """Makes the streams of a run; an engine that several of them use is loaded once."""

    options: RunOptions
    load: LoadDetector = field(default_factory=lambda: load_engine)
    place: Place = lambda name, detectors: None
    load_reader: LoadReader = field(default_factory=lambda: open_reader)
    _detectors: dict[DetectOptions, Detector] = field(default_factory=dict)
    _readers: dict[tuple[str, str, str | None], Reader] = field(default_factory=dict)
    _veil: Veil | None = None
    _warm: set[object] = field(default_factory=set)

    def make(self, name: str, stream: StreamOptions, uri: str) -> Stream:
        """One stream, its own options before those of the run."""
        run = self.options
        classes = stream.classes or run.classes
        class_scores = {**run.class_scores, **stream.class_scores}
        score = stream.score if stream.score is not None else run.score
        detectors = self.detectors_of(name, stream)
        return Stream(
            make_source(name, uri, stream, lambda: self.place(name, detectors)),
            detectors,
            tracker=self._tracker(stream, thresholds(detectors, score, class_scores)),
            read=self.read_of(name, stream, detectors),
            motion=_camera_motion if stream.camera_motion else None,
            priority=stream.priority,
            max_fps=stream.max_fps,
            max_frames=stream.max_frames,
            stale_s=stream.stale_s,
            required=stream.required,
            score=score,
            class_scores=class_scores,
            classes=None if classes is None else frozenset(classes),
            ignore=stream.ignore or run.ignore,
            frozen_s=stream.frozen_s,
            answer_deadline_s=max(stream.answer_deadline_s, 2 * max(map(least_deadline_s, detectors))),
        )

    def playlist(self, name: str, stream: StreamOptions, files: Sequence[str]) -> list[tuple[Queued, Path]]:
        """A glob's videos, each a stream named after its file; a name that comes twice is numbered."""
        if not files:
            raise ConfigError(f"stream {name!r}: nothing matches", got=stream.source)
        self.detectors_of(name, stream)  # what is wrong for every file is said once, and before the first
        seen: Counter[str] = Counter()
        entries: list[tuple[Queued, Path]] = []
        for file in files:
            stem = Path(file).stem
            seen[stem] += 1
            own = stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"
            make = partial(self.make, own, stream, file)
            entries.append((Queued(own, make, stream.required), Path(file)))
        return entries

    def close(self) -> None:
        """The run is over: let its engines go."""
        while self._detectors:
            self._detectors.popitem()[1].close()
        while self._readers:
            self._readers.popitem()[1].close()

    def detectors_of(self, name: str, stream: StreamOptions) -> tuple[Detector, ...]:
        """A stream's engines, loaded; they know the classes that it asks for."""
        run = self.options
        detect = stream.detect or run.detect
        if not detect:
            raise ConfigError(f"stream {name!r} has no engine", hint="name one with --engine, or under `detect:`")
        detectors = tuple(self._detector(options) for options in detect)
        known = set(class_table(detectors)[1]).union(*(detector.names for detector in detectors))
        wanted = {*(stream.classes or run.classes or ()), *run.class_scores, *stream.class_scores}
        for unknown in sorted(wanted - known):
            shown = sorted(known)
            raise ConfigError(
                f"stream {name!r} asks for a class that its engine does not know",
                got=unknown,
                expected=", ".join(shown[:40]) + (" …" if len(shown) > 40 else ""),
            )
        return detectors

    def read_of(self, name: str, stream: StreamOptions, detectors: Sequence[Detector]) -> tuple[ReadStage, ...]:
        """A stream's readers, loaded: those named for it or for the run, or else those of its suites."""
        run = self.options
        read = stream.read if stream.read is not None else run.read
        if read is None:
            read = tuple(part for detect in stream.detect or run.detect or () if (part := _of_suite(detect)))
        known = {name for detector in detectors for name in detector.names}
        stages = []
        for options in read:
            unknown = sorted(set(options.on) - known - set(class_table(detectors)[1]))
            if unknown:
                raise ConfigError(
                    f"stream {name!r} reads a class that its engine does not know",
                    expected=", ".join(sorted(known)[:40]),
                    got=", ".join(unknown),
                )
            vote = _changed(_changed(options.vote, run.vote), stream.vote)
            on = frozenset(options.on or known)
            stages.append(
                ReadStage(self._reader(options), on, vote, self._hidden(), options.crops_per_frame, options.deadline_s)
            )
        return tuple(stages)

    def _hidden(self) -> Veil:
        if self._veil is None:
            self._veil = veil(self.options.privacy, self.options.privacy_key_file)
        return self._veil

    def _reader(self, options: ReadOptions) -> Reader:
        key = options.engine, options.backend, options.precision
        if key not in self._readers:
            self._readers[key] = self.load_reader(options)
        return self._readers[key]

    def _detector(self, options: DetectOptions) -> Detector:
        if options not in self._detectors:
            self._detectors[options] = self.load(options)
        return self._detectors[options]

    def _tracker(self, stream: StreamOptions, scores: npt.NDArray[np.float32]) -> TrackerFactory | None:
        options = stream.track or self.options.track or ByteTrackOptions()
        if isinstance(options, NoTracker):
            return None
        if options not in self._warm:
            # The first update loads compiled kernels, or compiles them: not while a frame waits in a lane.
            self._warm.add(options)
            make_tracker(options).update(Detections.empty(), 0.0)
        return lambda previous, gap_s: make_tracker(options, previous=previous, gap_s=gap_s, thresholds=scores.tolist())


def load_engine(options: DetectOptions) -> Detector:
    """An engine or a suite by name."""
    return open_detector(options.engine, options.backend, options.precision, all_gpus=True)


def open_reader(options: ReadOptions) -> Reader:
    """A reader by name."""
    return load_reader(options.engine, options.backend, options.precision)


def _of_suite(detect: DetectOptions) -> ReadOptions | None:
    """The reader that comes with a detector, where that was named by a suite."""
    try:
        found = Shelf().open(detect.engine)
    except EngineNotFound:
        return None  # a detector that was not loaded from the shelf
    if not isinstance(found, Suite) or found.manifest.read is None:
        return None
    manifest = found.manifest
    try:
        vote = VoteOptions.model_validate(manifest.vote or {})
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestInvalid(
            f"the suite's vote is invalid: {first['msg']}",
            where=found.folder / "manifest.json",
            got=".".join(str(part) for part in first["loc"]),
        ) from error
    folder = found.folder.parent / str(manifest.read)
    return ReadOptions(engine=str(folder), on=manifest.on, backend=detect.backend, vote=vote)


def _changed(vote: VoteOptions, changes: VoteOptions | None) -> VoteOptions:
    """With what somebody has said of it."""
    if changes is None:
        return vote
    return vote.model_copy(update={name: getattr(changes, name) for name in changes.model_fields_set})


def _camera_motion() -> Motion:
    from streamdet.tracking.motion import CameraMotion  # only moving cameras need it

    return CameraMotion()


class Journal:
    """The list of finished files: a file counts as done as long as it is the same one, by size and time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._done: set[str] = set()
        if path is not None and path.is_file():
            self._done = set(path.read_text(encoding="utf-8").splitlines())

    def has(self, file: Path) -> bool:
        """That file was finished by an earlier run."""
        return self._path is not None and self._line(file) in self._done

    def note(self, file: Path, status: StreamStatus) -> None:
        """A file's results are all written: remember it, unless it broke off."""
        if self._path is None or status.state != "ended":
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as journal:
            journal.write(self._line(file) + "\n")

    @staticmethod
    def _line(file: Path) -> str:
        try:
            found = os.stat(file)
        except OSError:
            return ""
        return json.dumps({"file": str(file.resolve()), "bytes": found.st_size, "modified_ns": found.st_mtime_ns})
