"""A stream's lane: results in order, tracker and emission one frame at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from streamdet.frames import Detections, Event, Frame, Result
from streamdet.metrics import Meter
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.desk import Desk, Errand
from streamdet.pipeline.following import Following
from streamdet.pipeline.joining import class_table, join
from streamdet.pipeline.ledger import Ledger
from streamdet.pipeline.reading import StageReading
from streamdet.pipeline.selection import Selection
from streamdet.pipeline.stream import Stream
from streamdet.plates.reader import Look

log = logging.getLogger(__name__)

Emit = Callable[[Result], None]
EmitEvent = Callable[[Event], None]


class Ticket:
    """A frame's place in its lane, waiting for one answer per detector."""

    __slots__ = (
        "answers",
        "dispatched_s",
        "errands",
        "frame",
        "lane",
        "looks",
        "missing",
        "result",
        "taken_s",
        "unknown_reason",
    )

    def __init__(self, lane: Lane, frame: Frame, detectors: int, dispatched_s: float) -> None:
        self.lane = lane
        self.frame = frame
        self.dispatched_s = dispatched_s
        self.answers: list[Detections | None] = [None] * detectors
        self.missing = set(range(detectors))
        self.unknown_reason: str | None = None
        self.result: Result | None = None  # once it has been tracked
        self.errands: dict[int, Errand] = {}  # by reader: crops that are out to be read
        self.looks: list[tuple[Errand, list[Look | None] | None]] = []  # those that came back


class Lane:
    """Takes answers from any worker in any order and lets results out in the order of admission.

    Whoever brings the answer that the head of the lane was waiting for does the lane's work, for as many frames as are
    ready; others leave their answer and go. So a lane needs no thread, and its tracker never meets two at once.

    A frame is tracked, its due crops go to the readers, and when they are back, or late, the vote is taken and the
    result let out. The next frame is tracked only then: which crops are due depends on what the last ones said.
    """

    def __init__(
        self,
        name: str,
        stream: Stream,
        clock: Clock,
        meter: Meter,
        ledger: Ledger,
        *,
        window: int,
        emit: Emit,
        emit_event: EmitEvent,
        on_room: Callable[[], None],
        desks: Sequence[Desk] = (),  # one per reader of the stream
    ) -> None:
        self.name = name
        self._stream = stream
        self._clock = clock
        self._ledger = ledger
        self._emit = emit
        self._emit_event = emit_event
        self._lock = threading.Lock()
        self._tickets: deque[Ticket] = deque()
        self._working = False
        self._window = window
        self._on_room = on_room
        self._following = Following(name, stream, clock, meter, self._announce)
        self._offsets, self._names = class_table(stream.detectors)
        self._readings = [StageReading(name, stage, self._names, meter, emit_event) for stage in stream.read]
        self._desks = tuple(desks)
        self._filter = Selection(stream, self._names)
        self._read_seconds = meter.stage_seconds.labels(name, "read") if stream.read else None
        self._track_seconds = meter.stage_seconds.labels(name, "track")
        self._detect_seconds = meter.stage_seconds.labels(name, "detect")
        self._to_result_seconds = meter.capture_to_result_seconds.labels(name)
        self._detections_total = meter.detections.labels(name)
        self.latencies_s: deque[float] = deque(maxlen=64)
        self.emitted_at_s: deque[float] = deque(maxlen=64)
        self.position_s: float | None = None

    @property
    def tracks(self) -> int:
        """Tracks alive."""
        return self._following.active

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def has_room(self) -> bool:
        """Fewer frames than the window are inside; the rest waits where it can still be superseded."""
        return len(self._tickets) < self._window

    def admit(self, frame: Frame) -> Ticket:
        """The next place in the lane; the caller sees to it that every detector answers."""
        ticket = Ticket(self, frame, len(self._stream.detectors), self._clock.now())
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    def answer(self, ticket: Ticket, detector: int, found: Detections | None, reason: str | None = None) -> None:
        """One detector's answer, None where it has none; a second answer to the same question is ignored."""
        with self._lock:
            if detector not in ticket.missing:
                return
            ticket.missing.discard(detector)
            ticket.answers[detector] = found
            if found is None:
                ticket.unknown_reason = reason or "unknown"
            if ticket.missing or self._working:
                return
            self._working = True
        self._work()

    def read(self, errand: Errand, looks: list[Look | None] | None) -> None:
        """A reader's answer, None where it has none; a second answer to the same errand is ignored."""
        ticket = errand.ticket
        with self._lock:
            if ticket.errands.pop(errand.stage, None) is None:
                return
            errand.given_up = looks is None
            ticket.looks.append((errand, looks))
            if ticket.errands or self._working:
                return
            self._working = True
        self._work()

    def expire(self) -> None:
        """Give up on answers that are overdue: their frames are unknown, and texts stay as they were."""
        now = self._clock.now()
        self._give_up_before(now - self._stream.answer_deadline_s, "answer_deadline")
        self._read_without(
            lambda errand: self._desks[errand.stage].waited_s(errand, now) > self._stream.read[errand.stage].deadline_s
        )

    def give_up(self) -> int:
        """The drain's time is over: whatever has no answer yet is unknown; returns how many frames."""
        lost = self._give_up_before(float("inf"), "stopped")
        self._read_without(lambda errand: True)
        return lost

    def _read_without(self, late: Callable[[Errand], bool]) -> None:
        with self._lock:
            out = [errand for ticket in tuple(self._tickets)[:1] for errand in ticket.errands.values()]
        for errand in filter(late, out):
            self.read(errand, None)

    def _give_up_before(self, dispatched_s: float, reason: str) -> int:
        with self._lock:
            late = [ticket for ticket in self._tickets if ticket.missing and ticket.dispatched_s < dispatched_s]
        for ticket in late:
            for detector in tuple(ticket.missing):
                self.answer(ticket, detector, None, reason)
        return len(late)

    def finish(self) -> None:
        """The stream is over: end its tracks. No frame follows."""
        self._following.finish()
        for reading in self._readings:
            reading.finish()

    def _announce(self, event: Event) -> None:
        """A track's event, and what its end says of its plate."""
        self._emit_event(event)
        if event.kind == "track_ended":
            for reading in self._readings:
                reading.track_ended(event)

    # ---- by one thread at a time

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._tickets or self._tickets[0].missing or self._tickets[0].errands:
                    self._working = False
                    return
                ticket = self._tickets[0]
            if ticket.result is None:
                self._follow(ticket)
                if self._send_crops(ticket):
                    continue
            try:
                self._complete(ticket)
            finally:
                with self._lock:
                    was_full = not self.has_room
                    self._tickets.popleft()
                if was_full:
                    self._on_room()

    def _follow(self, ticket: Ticket) -> None:
        started_s = self._clock.now()
        self._detect_seconds.observe(started_s - ticket.dispatched_s)
        ticket.result = self._result(ticket)
        self._track_seconds.observe(self._clock.now() - started_s)

    def _send_crops(self, ticket: Ticket) -> bool:
        """What is due goes to the readers; False where nothing is."""
        result = ticket.result
        if result is None or not self._readings:
            return False
        errands = []
        for stage, reading in enumerate(self._readings):
            rows, views = reading.due(result)
            if rows:
                errands.append(Errand(self, ticket, stage, ticket.frame, views, rows, self._clock.now()))
        with self._lock:
            ticket.errands = {errand.stage: errand for errand in errands}
        for errand in errands:
            self._desks[errand.stage].put(errand)
        return bool(errands)

    def _complete(self, ticket: Ticket) -> None:
        frame, result = ticket.frame, ticket.result
        assert result is not None
        for errand, looks in ticket.looks:
            if self._read_seconds is not None:
                self._read_seconds.observe(self._clock.now() - errand.asked_s)
            self._readings[errand.stage].take(result, errand.rows, looks)
        for reading in self._readings:
            reading.write(result)
        now = self._clock.now()
        # The books first: a receipt may come back, and be looked at, before `emit` returns.
        self._ledger.emit(known=result.detections is not None)
        self._emit(result)
        self.position_s = frame.pts_s
        latency_s = now - frame.decoded_s
        self.latencies_s.append(latency_s)
        self.emitted_at_s.append(now)
        self._to_result_seconds.observe(latency_s)
        frame.picture.release()

    def _result(self, ticket: Ticket) -> Result:
        frame = ticket.frame
        if ticket.unknown_reason is not None:
            return self._hidden(Result(frame, None, None, ticket.unknown_reason), None)
        try:
            found = self._filter.before_tracking(join(ticket.answers, self._offsets, self._names))
            tracks = self._following.update(frame, found)
            shown, tracks = self._filter.for_records(found, tracks)
        except Exception as error:  # a detector of the user's own may answer what nobody can index
            log.exception("stream %s: an answer could not be used: %s", self.name, error)
            return self._hidden(Result(frame, None, None, "invalid_answer"), None)
        self._detections_total.inc(len(shown))
        return self._hidden(Result(frame, shown, tracks), found)

    def _hidden(self, result: Result, found: Detections | None) -> Result:
        """With what nobody may see marked as such, where it is not to be shown."""
        for reading in self._readings:
            reading.hide(result, found)
        return result
