"""Every engine of a run with its crew: one that several streams use is staffed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from streamdet.errors import StreamdetError
from streamdet.infer.contract import Detector
from streamdet.metrics import Meter
from streamdet.pipeline.batcher import Batcher
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.desk import Desk
from streamdet.pipeline.lane import Ticket
from streamdet.pipeline.reading_crew import ReadingCrew
from streamdet.pipeline.stream import Stream
from streamdet.pipeline.worker import Crew
from streamdet.plates.reader import Reader

_CROPS_AT_ONCE = 8  # for a reader on a GPU


class Crews:
    """Hires a crew when an engine is first asked for; `staff` says how many workers each has."""

    def __init__(
        self,
        clock: Clock,
        meter: Meter,
        cores: int,
        batch_wait_s: float,
        *,
        push: Callable[[Ticket], None],
        on_hopeless: Callable[[StreamdetError], None],
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._cores = cores
        self._batch_wait_s = batch_wait_s
        self._push = push
        self._on_hopeless = on_hopeless
        self._crews: dict[int, Crew] = {}  # by the engine's identity
        self._batchers: dict[int, Batcher] = {}
        self._desks: dict[int, Desk] = {}

    def __iter__(self) -> Iterator[Crew]:
        return iter(tuple(self._crews.values()))

    def of(self, engine: Detector | Reader) -> Crew | None:
        """An engine's crew, if anybody has asked for it."""
        return self._crews.get(id(engine))

    def batcher(self, detector: Detector) -> Batcher:
        """Where all streams bring their frames for that detector."""
        key = id(detector)
        if key not in self._batchers:
            limit = 1 if detector.device == "cpu" else detector.batch_limit
            batcher = Batcher(detector.name, self._clock, self._meter, limit=limit, wait_s=self._batch_wait_s)
            self._batchers[key] = batcher
            self._hire(
                Crew(detector, batcher, self._clock, self._meter, push=self._push, on_hopeless=self._on_hopeless)
            )
        return self._batchers[key]

    def desk(self, reader: Reader) -> Desk:
        """Where all streams bring their crops for that reader."""
        key = id(reader)
        if key not in self._desks:
            limit = 1 if reader.device == "cpu" else _CROPS_AT_ONCE
            desk = self._desks[key] = Desk(reader.name, self._clock, self._meter, limit=limit)
            self._hire(
                ReadingCrew(
                    reader, desk, self._clock, self._meter, push=lambda ticket: None, on_hopeless=self._on_hopeless
                )
            )
        return self._desks[key]

    def _hire(self, crew: Crew) -> None:
        engine = crew.detector
        self._crews[id(engine)] = crew
        self._meter.engine_info.labels(engine.name, engine.backend_name, engine.precision).set(1)

    def staff(self, *, single_live: bool) -> None:
        """As many workers as suit what runs now: one live stream, or more than that."""
        for crew in self:
            crew.staff(self._cores, single_live=single_live)

    def room(self, stream: Stream) -> int:
        """Frames of one stream in flight: enough that no session waits, few enough that memory stays small."""
        batch = max((1 if each.device == "cpu" else 2 * each.batch_limit) for each in stream.detectors)
        return self._cores + batch + 1

    def place(self, stream: str, detectors: Sequence[Detector]) -> int | None:
        """The GPU in whose memory a stream's pictures had best be decoded; None: the host's."""
        for detector in detectors:
            crew = self.of(detector)
            if crew is not None and crew.takes_surfaces:
                return crew.gpus.place(stream)
        return None

    def forget(self, stream: str) -> None:
        """That stream is over."""
        for crew in self:
            crew.gpus.forget(stream)

    @property
    def ready(self) -> bool:
        """A session of every engine has come up."""
        return all(crew.ready for crew in self)
