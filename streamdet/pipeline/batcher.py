"""One batcher per engine: picks frames fairly across streams and closes a batch when it is full or due."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from streamdet.frames import Frame
from streamdet.metrics import Meter
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.inlet import Inlet
from streamdet.pipeline.lane import Lane, Ticket
from streamdet.pipeline.ledger import DropReason
from streamdet.pipeline.stream import Stream


@dataclass(slots=True)
class Feed:
    """A stream as this batcher sees it."""

    lane: Lane
    stream: Stream
    position: int  # which of the stream's detectors this batcher is
    room: int  # frames that the stream may have in flight
    inlet: Inlet | None  # only at the stream's first detector; the others are handed tickets
    gpu: int | None = None  # where its pictures lie, save those that found no room there
    tickets: deque[Ticket] = field(default_factory=deque)
    turn: float = 0.0  # stride scheduling: the smallest goes first

    @property
    def share(self) -> int:
        """Frames that it can have in one batch."""
        return 1 if self.stream.source.live else self.room

    @property
    def ready(self) -> bool:
        """Something can be taken now."""
        return bool(self.tickets) or (self.inlet is not None and len(self.inlet) > 0 and self.lane.has_room)


class Batcher:
    """Frames in by `put`, batches of tickets out by `take`; all waiting happens in here.

    A batch closes at `limit` frames, or when the streams alive have no more to give, or when its oldest frame has
    waited `wait_s`. Streams take turns, `priority` of them at a time.
    """

    def __init__(self, engine: str, clock: Clock, meter: Meter, *, limit: int, wait_s: float) -> None:
        self.limit = limit
        self._wait_s = wait_s
        self._clock = clock
        self._changed = threading.Condition()
        self._feeds: dict[str, Feed] = {}
        self._turn = 0.0
        self._closed = False
        self._gpus: tuple[int, ...] = ()  # in service; where there are several each takes what lies on it
        self._batch_frames = meter.batch_frames.labels(engine)
        self._batch_wait_seconds = meter.batch_wait_seconds.labels(engine)
        self._depth_gauge = meter.queue_depth.labels(f"batcher:{engine}")

    # ---- streams come and go

    def join(self, feed: Feed) -> None:
        """A stream begins."""
        with self._changed:
            feed.turn = self._turn
            self._feeds[feed.lane.name] = feed

    def leave(self, stream: str) -> None:
        """A stream is over; nothing of it waits here any more."""
        with self._changed:
            self._feeds.pop(stream, None)
            self._changed.notify_all()

    # ---- frames come

    def put(self, stream: str, frame: Frame) -> None:
        """A captured frame of a stream whose first detector this is."""
        with self._changed:
            feed = self._feeds[stream]
            assert feed.inlet is not None
            self._wake_turn(feed)
            feed.inlet.put(frame)
            self._notify_of(feed, frame)

    def push(self, ticket: Ticket) -> None:
        """A frame that already has its place in the lane, for a further detector."""
        with self._changed:
            feed = self._feeds[ticket.lane.name]
            self._wake_turn(feed)
            feed.tickets.append(ticket)
            self._notify_of(feed, ticket.frame)

    def _notify_of(self, feed: Feed, frame: Frame) -> None:
        if frame.picture.device is not None:
            feed.gpu = frame.picture.device
        if feed.gpu is None or len(self._gpus) < 2:
            self._changed.notify()
        else:  # not every worker may take it
            self._changed.notify_all()

    def serve(self, gpus: tuple[int, ...]) -> None:
        """These GPUs are in service; what lies on any other is for all of them."""
        with self._changed:
            self._gpus = gpus
            self._changed.notify_all()

    def poke(self) -> None:
        """A lane has room again, or a worker should look at its own fate."""
        with self._changed:
            self._changed.notify_all()

    def clear(self, stream: str, reason: DropReason) -> int:
        """Drop what a stream has waiting without a ticket."""
        with self._changed:
            feed = self._feeds.get(stream)
            return feed.inlet.clear(reason) if feed is not None and feed.inlet is not None else 0

    def waiting(self, stream: str) -> int:
        """How many frames of a stream wait here."""
        with self._changed:
            feed = self._feeds.get(stream)
            return 0 if feed is None else len(feed.tickets) + (0 if feed.inlet is None else len(feed.inlet))

    def close(self) -> None:
        """Workers leave once nothing is ready."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # ---- batches go

    def take(self, wanted: Wanted) -> list[tuple[Ticket, int]] | None:
        """The next batch, (ticket, which of its detectors) each; None when the worker should go home."""
        batch: list[tuple[Ticket, int]] = []
        with self._changed:
            while True:
                now = self._clock.now()
                if wanted.gone and not batch:
                    return None
                feeds = self._feeds_for(wanted)
                self._collect(batch, feeds, now)
                if batch and self._complete(batch, feeds, now):
                    self._note(batch, now)
                    return batch
                if self._closed and not batch:
                    return None
                due_s = None if not batch else batch[0][0].frame.decoded_s + self._wait_s - now
                self._clock.wait(self._changed, due_s)

    def _feeds_for(self, wanted: Wanted) -> list[Feed]:
        """Those whose pictures a worker may take."""
        feeds = list(self._feeds.values())
        if len(self._gpus) < 2:
            return feeds
        return [feed for feed in feeds if feed.gpu == wanted.gpu or feed.gpu not in self._gpus]

    def _complete(self, batch: list[tuple[Ticket, int]], feeds: list[Feed], now: float) -> bool:
        return (
            len(batch) >= min(self.limit, sum(feed.share for feed in feeds))
            or self._closed
            or now - batch[0][0].frame.decoded_s >= self._wait_s
        )

    def _collect(self, batch: list[tuple[Ticket, int]], feeds: list[Feed], now: float) -> None:
        while len(batch) < self.limit:
            ready = [feed for feed in feeds if feed.ready]
            if not ready:
                return
            feed = min(ready, key=_turn_of)
            ticket = self._next_of(feed, now)
            if ticket is None:
                continue  # what waited there was stale
            self._turn = feed.turn
            feed.turn += 1.0 / feed.stream.priority
            batch.append((ticket, feed.position))

    def _next_of(self, feed: Feed, now: float) -> Ticket | None:
        if feed.tickets:
            return feed.tickets.popleft()
        assert feed.inlet is not None
        frame = feed.inlet.take(now)
        return None if frame is None else feed.lane.admit(frame)

    def _wake_turn(self, feed: Feed) -> None:
        if not feed.ready:
            # A stream that was quiet does not get to catch up on the turns it did not take.
            feed.turn = max(feed.turn, self._turn)

    def _note(self, batch: list[tuple[Ticket, int]], now: float) -> None:
        self._batch_frames.observe(len(batch))
        for ticket, _ in batch:
            self._batch_wait_seconds.observe(max(now - ticket.frame.decoded_s, 0.0))

    def depth(self) -> int:
        """Frames waiting, all streams together."""
        with self._changed:
            depth = sum(
                len(feed.tickets) + (0 if feed.inlet is None else len(feed.inlet)) for feed in self._feeds.values()
            )
        self._depth_gauge.set(depth)
        return depth


class Wanted:
    """Whether a worker is still wanted, and where it works; `Batcher.take` looks at it."""

    gone = False
    gpu: int | None = None


def _turn_of(feed: Feed) -> float:
    return feed.turn
