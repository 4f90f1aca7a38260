"""The shell around a sink: its queue, its thread, its second chances and its books."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamdet.errors import SinkLost, StreamdetError
from streamdet.frames import Event, Result
from streamdet.metrics import Meter
from streamdet.pipeline.backoff import Backoff
from streamdet.pipeline.clock import Clock
from streamdet.sinks.contract import Sink

log = logging.getLogger(__name__)

Receipt = Callable[[], None]

_STRIKES = 2


@dataclass(frozen=True, slots=True)
class SinkBalance:
    """offered = written + failed + dropped + queued, at every moment."""

    offered: int
    written: int
    failed: int
    dropped: int
    queued: int

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing counted twice."""
        return self.queued >= 0 and self.offered == self.written + self.failed + self.dropped + self.queued


@dataclass(slots=True)
class _Entry:
    item: Result | Event
    receipt: Receipt | None  # called once, when the sink has taken the item or never will
    strikes: int = 0  # times that it made the sink raise what no sink should


class Outlet:
    """Feeds one sink from a bounded queue, so that it can be slow, fail and come back without anybody noticing.

    `offer` never blocks, and never refuses what comes with a receipt: the stream waits for that receipt. A sink that
    fails is closed and opened again, and what it refused is written again; after `give_up_s` of failing, or of hanging
    in one call, it is detached for good. So is one that does not open in the first place: that is a mistake to be told
    now, not an outage to be waited for. An item that makes the sink raise anything but SinkLost twice is counted failed
    and passed over.

    A recorded stream stands still for as long as that, on a full disk too: nothing of it is lost meanwhile, whereas
    records that were not waited for are missing for good, and disks are often cleared in a moment. The first line
    about it says what to do. Live streams never wait.
    """

    def __init__(self, sink: Sink, clock: Clock, meter: Meter, *, give_up_s: float, queue_limit: int) -> None:
        self.sink = sink
        self.name = sink.name
        self.lossless = sink.lossless
        self.needs_picture = sink.needs_picture
        self.takes_results = sink.accepts in ("results", "both")
        self.takes_events = sink.accepts in ("events", "both")
        self.detached: StreamdetError | None = None
        self.stuck = False  # detached inside a call that never returned
        self.tried = threading.Event()  # the first attempt to open it is over
        self._clock = clock
        self._give_up_s = give_up_s
        self._queue_limit = queue_limit
        self._changed = threading.Condition()
        self._queue: deque[_Entry] = deque()
        self._writing: _Entry | None = None
        self._busy_since: float | None = None  # inside a call of the sink
        self._failing_since: float | None = None
        self._loss: StreamdetError | None = None
        self._closing = False
        self._hurry = False
        self._offered = self._written = self._failed = self._dropped = 0
        self._written_total = meter.sink_records.labels(self.name, "written")
        self._failed_total = meter.sink_records.labels(self.name, "failed")
        self._dropped_total = meter.sink_records.labels(self.name, "dropped")
        self._errors_total = meter.sink_errors.labels(self.name)
        self._detached_gauge = meter.sink_detached.labels(self.name)
        self._depth_gauge = meter.queue_depth.labels(f"sink:{self.name}")
        self.thread = threading.Thread(target=self._run, name=f"sink:{self.name}", daemon=True)

    def start(self) -> None:
        """Open the sink, in its own thread."""
        self.thread.start()

    def offer(self, item: Result | Event, receipt: Receipt | None = None) -> None:
        """Queue an item; where it cannot be taken it is counted dropped and its receipt given at once."""
        entry = _Entry(item, receipt)
        with self._changed:
            self._offered += 1
            refused = self.detached is not None or self._closing or (receipt is None and self._is_full())
            if refused:
                self._dropped += 1
            else:
                if self.needs_picture and isinstance(item, Result):
                    item.frame.picture.hold()
                self._queue.append(entry)
                self._changed.notify()
        if refused:
            self._dropped_total.inc()
            if receipt is not None:
                receipt()

    def _is_full(self) -> bool:
        """No room for one more live item; those of recorded streams are bounded by their credit, and not counted."""
        limit = self._queue_limit
        return len(self._queue) >= limit and sum(entry.receipt is None for entry in self._queue) >= limit

    def balance(self) -> SinkBalance:
        """All figures, taken at one moment; an item being written counts as queued."""
        with self._changed:
            queued = len(self._queue) + (self._writing is not None)
            self._depth_gauge.set(queued)
            return SinkBalance(self._offered, self._written, self._failed, self._dropped, queued)

    def watch(self) -> None:
        """Called now and then by the supervisor: detach a sink that hangs in one call."""
        since = self._busy_since
        if since is not None and self._clock.now() - since > self._give_up_s:
            hang = SinkLost(f"sink {self.name} did not return from one call", got=f"{self._give_up_s:g} s")
            self._detach(hang, hangs=True)

    def close(self) -> None:
        """Write what is queued, then close the sink and end the thread; does not wait."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """The drain's time is over: give up what is queued."""
        with self._changed:
            self._closing = self._hurry = True
            dropped = self._empty_queue()
            self._changed.notify_all()
        self._settle_dropped(dropped)

    # ---- the thread

    def _run(self) -> None:
        backoff = Backoff(cap_s=5.0)
        opened = self._try(self.sink.open)
        if not opened and self._loss is not None:
            self._detach(self._loss)
        self.tried.set()
        while (entry := self._next()) is not None:
            opened = opened or self._try(self.sink.open)
            if opened and self._try(self.sink.write, entry.item, entry=entry):
                self._failing_since = None
                backoff = Backoff(cap_s=5.0)
                self._finish_entry(entry, "written")
                continue
            opened = False
            self._close_sink()
            if entry.strikes >= _STRIKES:
                self._finish_entry(entry, "failed")
            elif self._pause(backoff.next_s()):
                self._put_back(entry)
            else:
                self._finish_entry(entry, "failed")
        self._close_sink()

    def _try(self, action: Callable[..., None], *arguments: object, entry: _Entry | None = None) -> bool:
        self._busy_since = self._clock.now()
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a sink raises is its loss, not the pipeline's
            if entry is not None and not isinstance(error, SinkLost):
                entry.strikes += 1
            self._lost(_as_loss(self.name, error))
            return False
        finally:
            self._busy_since = None
        return True

    def _next(self) -> _Entry | None:
        with self._changed:
            while not self._queue:
                if self._closing or self.detached is not None:
                    return None
                self._clock.wait(self._changed)
            self._writing = self._queue.popleft()
            return self._writing

    def _put_back(self, entry: _Entry) -> None:
        with self._changed:
            if self._writing is entry:
                self._writing = None
                self._queue.appendleft(entry)

    def _finish_entry(self, entry: _Entry, outcome: str) -> None:
        with self._changed:
            if self._writing is not entry:
                return  # detached meanwhile: the books are closed on it
            self._writing = None
            if outcome == "written":
                self._written += 1
            else:
                self._failed += 1
        (self._written_total if outcome == "written" else self._failed_total).inc()
        self._settle(entry)

    def _lost(self, loss: StreamdetError) -> None:
        now = self._clock.now()
        if self._failing_since is None:
            self._failing_since = now
        self._loss = loss
        self._errors_total.inc()
        if self.tried.is_set():
            log.warning("sink %s: %s", self.name, loss.line, extra={"cause": f"sink:{self.name}"})
        if now - self._failing_since >= self._give_up_s:
            self._detach(loss)

    def _pause(self, wait_s: float) -> bool:
        """Wait before the next try; False once the sink was given up or the run is over."""
        until = self._clock.now() + wait_s
        with self._changed:
            while self.detached is None and not self._hurry:
                left_s = until - self._clock.now()
                if left_s <= 0:
                    return True
                self._clock.wait(self._changed, left_s)
            return False

    def _detach(self, error: StreamdetError, *, hangs: bool = False) -> None:
        with self._changed:
            if self.detached is not None:
                return
            self.detached = error
            self.stuck = hangs
            dropped = self._empty_queue()
            refused, self._writing = self._writing, None
            self._failed += refused is not None
            self._changed.notify_all()
        self._detached_gauge.set(1)
        if self.tried.is_set():  # otherwise whoever starts the run tells it
            # Without the hint, which is for as long as writing is tried: the warnings before had it.
            log.error("sink %s is given up: %s", self.name, error.what)
        if refused is not None:
            self._failed_total.inc()
            # Where the call hangs, the sink may still be reading the picture: it stays held.
            self._settle(refused, release=not hangs)
        self._settle_dropped(dropped)

    def _empty_queue(self) -> list[_Entry]:
        entries, self._queue = list(self._queue), deque()
        self._dropped += len(entries)
        return entries

    def _settle_dropped(self, entries: list[_Entry]) -> None:
        self._dropped_total.inc(len(entries))
        for entry in entries:
            self._settle(entry)

    def _settle(self, entry: _Entry, *, release: bool = True) -> None:
        if release and self.needs_picture and isinstance(entry.item, Result):
            entry.item.frame.picture.release()
        if entry.receipt is not None:
            entry.receipt()

    def _close_sink(self) -> None:
        if not self._try(self.sink.close) and self._closing and self.detached is None:
            self._detach(SinkLost(f"sink {self.name} could not be finished properly"))


def _as_loss(name: str, error: Exception) -> StreamdetError:
    if isinstance(error, StreamdetError):
        return error
    loss = SinkLost(f"sink {name} failed: {type(error).__name__}: {error}")
    loss.__cause__ = error
    return loss
