"""One stream's road through the pipeline: shell → inlet → lane, with its books."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable

from streamdet.frames import Event, Frame, Result
from streamdet.metrics import Meter
from streamdet.pipeline.batcher import Batcher, Feed
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.desk import Desk
from streamdet.pipeline.inlet import Credits, Inlet
from streamdet.pipeline.lane import Lane, Ticket
from streamdet.pipeline.ledger import DropReason, Ledger
from streamdet.pipeline.shell import Shell
from streamdet.pipeline.stream import Stream
from streamdet.sinks.contract import StreamStatus

_RATE_WINDOW_S = 3.0


class Road:
    """Everything that belongs to one stream, wired together; `Pipeline` puts it up and takes it down."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        batchers: tuple[Batcher, ...],  # one per detector of the stream, in order
        clock: Clock,
        meter: Meter,
        *,
        in_flight: int,
        emit: Callable[[Road, Result], None],
        emit_event: Callable[[Event], None],
        on_end: Callable[[Road], None],
        desks: tuple[Desk, ...] = (),  # one per reader of the stream
    ) -> None:
        self.name = name
        self.stream = stream
        self.ledger = Ledger(name, meter)
        self.credits = Credits(in_flight, clock)  # of use while the source is a recording
        self.ended = False  # the source will hand over no more
        self._lock = threading.Lock()
        self._down = False
        self._told_drops: dict[str, int] = {}
        self._clock = clock
        self._batchers = batchers
        self._emit_event = emit_event
        self.lane = Lane(
            name,
            stream,
            clock,
            meter,
            self.ledger,
            window=in_flight,
            emit=lambda result: emit(self, result),
            emit_event=emit_event,
            on_room=batchers[0].poke,
            desks=desks,
        )
        inlet = Inlet(stream, self.ledger)
        for position, batcher in enumerate(batchers):
            batcher.join(Feed(self.lane, stream, position, in_flight, inlet if position == 0 else None))
        self.shell = Shell(
            name,
            stream,
            clock,
            meter,
            self.ledger,
            self.credits,
            deliver=self._deliver,
            announce=self._announce,
            on_end=lambda: on_end(self),
        )

    @property
    def live(self) -> bool:
        """Whether frames may be passed over; some sources know only once they are open."""
        return self.stream.source.live

    def push(self, ticket: Ticket) -> None:
        """Hand a frame that has its ticket to the stream's further detectors."""
        for batcher in self._batchers[1:]:
            batcher.push(ticket)

    def waiting(self) -> int:
        """Frames that no detector has taken yet."""
        return self._batchers[0].waiting(self.name)

    def holding(self) -> int:
        """Frames that are really here: what the ledger calls in flight."""
        return self.waiting() + len(self.lane)

    def give_up(self, reason: DropReason) -> int:
        """Drop what waits without a ticket; returns how many."""
        return self._batchers[0].clear(self.name, reason)

    @property
    def over(self) -> bool:
        """No frame will follow, and none is left."""
        return self.ended and not self.holding()

    @property
    def settled(self) -> bool:
        """Over, and every sink that must have its results has taken them."""
        return self.over and (self.live or self.credits.all_home)

    def tell_drops(self) -> None:
        """What was dropped since the last time, as one event instead of thousands."""
        told, self._told_drops = self._told_drops, self.ledger.balance().dropped
        new = {why: count - told.get(why, 0) for why, count in self._told_drops.items() if count > told.get(why, 0)}
        if new:
            self._announce("frames_dropped", {"dropped": new})

    def take_down(self) -> None:
        """The stream is over and its lane empty: end its tracks and leave the batchers. A second call does nothing."""
        with self._lock:
            if self._down:
                return
            self._down = True
        self.lane.finish()
        for batcher in self._batchers:
            batcher.leave(self.name)

    def status(self) -> StreamStatus:
        """One line of the live table."""
        balance = self.ledger.balance()
        latencies_s = list(self.lane.latencies_s)
        source, shell = self.stream.source, self.shell
        return StreamStatus(
            stream=self.name,
            state="frozen" if shell.frozen and shell.state == "running" else shell.state,
            live=self.live,
            captured=balance.captured,
            emitted=balance.emitted,
            unknown=balance.unknown,
            dropped=sum(balance.dropped.values()),
            fps=self._rate(),
            latency_s=statistics.median(latencies_s) if latencies_s else None,
            tracks=self.lane.tracks,
            position_s=self.lane.position_s,
            duration_s=None if self.live else source.duration_s,
            detail="" if shell.error is None else shell.error.line,
        )

    def _rate(self) -> float:
        now = self._clock.now()
        recent = [moment for moment in self.lane.emitted_at_s if now - moment <= _RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        # Up to now rather than to the last result: a stream that stopped is seen to slow down.
        span_s = recent[-1] - recent[0]
        return (len(recent) - 1) / max(span_s, (now - recent[0]) * 0.5, 1e-9)

    def _deliver(self, frame: Frame) -> None:
        self._batchers[0].put(self.name, frame)

    def _announce(self, kind: str, fields: dict[str, object]) -> None:
        self._emit_event(Event(kind, self.name, self.shell.epoch, None, self._clock.wall(), fields))
