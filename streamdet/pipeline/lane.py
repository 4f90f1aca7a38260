"""A stream's lane: results in order, tracker and emission one frame at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from streamdet.frames import Detections, Event, Frame, Result
from streamdet.metrics import Meter
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.following import Following
from streamdet.pipeline.joining import class_table, join
from streamdet.pipeline.ledger import Ledger
from streamdet.pipeline.selection import Selection
from streamdet.pipeline.stream import Stream

log = logging.getLogger(__name__)

Emit = Callable[[Result], None]
EmitEvent = Callable[[Event], None]


class Ticket:
    """A frame's place in its lane, waiting for one answer per detector."""

    __slots__ = ("answers", "dispatched_s", "frame", "lane", "missing", "taken_s", "unknown_reason")

    def __init__(self, lane: Lane, frame: Frame, detectors: int, dispatched_s: float) -> None:
        self.lane = lane
        self.frame = frame
        self.dispatched_s = dispatched_s
        self.answers: list[Detections | None] = [None] * detectors
        self.missing = set(range(detectors))
        self.unknown_reason: str | None = None


class Lane:
    """Takes answers from any worker in any order and lets results out in the order of admission.

    Whoever brings the answer that the head of the lane was waiting for does the lane's work, for as many frames as are
    ready; others leave their answer and go. So a lane needs no thread, and its tracker never meets two at once.
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
        self._following = Following(name, stream, clock, meter, emit_event)
        self._offsets, self._names = class_table(stream.detectors)
        self._filter = Selection(stream, self._names)
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

    def expire(self) -> None:
        """Give up on answers that are overdue: their frames are unknown."""
        self._give_up_before(self._clock.now() - self._stream.answer_deadline_s, "answer_deadline")

    def give_up(self) -> int:
        """The drain's time is over: whatever has no answer yet is unknown; returns how many frames."""
        return self._give_up_before(float("inf"), "stopped")

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

    # ---- by one thread at a time

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._tickets or self._tickets[0].missing:
                    self._working = False
                    return
                ticket = self._tickets[0]
            try:
                self._complete(ticket)
            finally:
                with self._lock:
                    was_full = not self.has_room
                    self._tickets.popleft()
                if was_full:
                    self._on_room()

    def _complete(self, ticket: Ticket) -> None:
        frame = ticket.frame
        started_s = self._clock.now()
        self._detect_seconds.observe(started_s - ticket.dispatched_s)
        result = self._result(ticket)
        now = self._clock.now()
        self._track_seconds.observe(now - started_s)
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
            return Result(frame, None, None, ticket.unknown_reason)
        try:
            found = self._filter.before_tracking(join(ticket.answers, self._offsets, self._names))
            tracks = self._following.update(frame, found)
            shown, tracks = self._filter.for_records(found, tracks)
        except Exception as error:  # a detector of the user's own may answer what nobody can index
            log.exception("stream %s: an answer could not be used: %s", self.name, error)
            return Result(frame, None, None, "invalid_answer")
        self._detections_total.inc(len(shown))
        return Result(frame, shown, tracks)
