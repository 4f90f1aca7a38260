"""Pipeline: streams in, results out; the one place that starts and joins threads."""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata

from streamdet.errors import ConfigError, StreamdetError
from streamdet.frames import Event, Result
from streamdet.infer.contract import Detector
from streamdet.metrics import Meter
from streamdet.pipeline import memory
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.crews import Crews
from streamdet.pipeline.lane import Ticket
from streamdet.pipeline.ledger import DropReason
from streamdet.pipeline.outlet import Outlet, SinkBalance
from streamdet.pipeline.receipts import Receipts
from streamdet.pipeline.road import Road
from streamdet.pipeline.stream import Stream
from streamdet.pipeline.turns import OnDone, Queued, Turns
from streamdet.sinks.contract import Sink, StreamStatus

log = logging.getLogger(__name__)

_TICK_S = 0.1
_DROPS_EVENT_S = 10.0
_TRIM_S = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The pipeline's own patience and room."""

    drain_s: float = 10.0  # from `stop` to the end, at most
    give_up_s: float = 30.0  # a sink that fails, or hangs, for so long is detached
    inference_deadline_s: float = 5.0  # a batch that runs for longer is unknown, its session replaced
    batch_wait_s: float = 0.01  # a batch that is not full leaves after so long
    sink_queue: int = 256  # items waiting for one sink
    picture_queue: int = 16  # the same for a sink that keeps pictures alive


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended."""

    streams: tuple[StreamStatus, ...]
    sinks: dict[str, SinkBalance]
    failed_streams: tuple[str, ...] = ()
    failed_sinks: tuple[str, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)  # frames given up because the drain's time was over, by stream
    stuck_threads: int = 0
    error: StreamdetError | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 3 a required source failed for good (or no engine could run), 4 a sink failed."""
        if self.error is not None or self.failed_streams:
            return 3
        return 4 if self.failed_sinks else 0


class Pipeline:
    """Runs streams through their detectors and trackers into the sinks.

        pipeline = Pipeline(sinks=[...])
        pipeline.add("gate", Stream(source, (detector,)))
        report = pipeline.run()

    `run` returns when every stream has ended, or after `stop`. Streams may be added and removed while it runs, from
    any thread. A pipeline runs once.
    """

    def __init__(
        self,
        sinks: Sequence[Sink] = (),
        *,
        loop: Sink | None = None,  # the caller's own loop over results: however long it takes, it is not given up
        meter: Meter | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        cores: int | None = None,
        keep_open: bool = False,
        on_finished: Callable[[], None] = lambda: None,  # no session of any engine runs any more
    ) -> None:
        self.meter = meter or Meter()
        self.limits = limits or Limits()
        self._clock = clock or Clock()
        self._on_finished = on_finished
        self._keep_open = keep_open  # run on without streams, until `stop`
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._roads: dict[str, Road] = {}
        self._removed: deque[StreamStatus] = deque(maxlen=1000)  # remembered for the report
        self._crews = Crews(
            self._clock,
            self.meter,
            cores or len(os.sched_getaffinity(0)),
            self.limits.batch_wait_s,
            push=self._push,
            on_hopeless=self.fail,
        )
        self._turns = Turns(self.add, self.remove)
        self._started = self._stopping = False
        self._error: StreamdetError | None = None
        self.meter.build_info.labels(metadata.version("streamdet"), platform.python_version()).set(1)
        self._outlets = [self._outlet(sink) for sink in sinks]
        if loop is not None:
            self._outlets.append(Outlet(loop, self._clock, self.meter, give_up_s=float("inf"), queue_limit=2))
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervising = True

    # ---- streams

    def add(self, name: str, stream: Stream) -> None:
        """A new stream; it starts at once where the pipeline runs."""
        with self._lock:
            if name in self._roads:
                raise ConfigError(f"there is a stream {name!r} already", hint="give each stream a name of its own")
            if not stream.detectors:
                raise ConfigError(f"stream {name!r} has no detector")
            engines = [detector.name for detector in stream.detectors]
            if len(set(engines)) < len(engines):
                raise ConfigError(f"stream {name!r} has the same engine twice", got=", ".join(engines))
            if self._stopping:
                raise ConfigError("the pipeline is stopping and takes no streams")
            road = Road(
                name,
                stream,
                tuple(self._crews.batcher(detector) for detector in stream.detectors),
                self._clock,
                self.meter,
                in_flight=self._crews.room(stream),
                emit=self._emit,
                emit_event=self._emit_event,
                on_end=self._on_end,
                desks=tuple(self._crews.desk(stage.reader) for stage in stream.read),
            )
            self._roads[name] = road
            if self._started:
                self._staff()
                road.shell.start()

    def queue(self, entries: Iterable[Queued], at_once: int, on_done: OnDone = lambda name, status: None) -> None:
        """Streams to play so many at a time, each made when its turn comes, `on_done` called when all of it is written.

        The run goes on until the last of them is done.
        """
        self._turns.queue(entries, at_once, on_done)

    def remove(self, name: str) -> None:
        """Take a stream out: what is under way is finished, what waits is dropped and counted."""
        with self._lock:
            road = self._roads.get(name)
        if road is None:
            raise ConfigError(f"there is no stream {name!r}", expected=", ".join(sorted(self._roads)) or "no streams")
        road.shell.stop()
        road.give_up("removed")
        until = self._clock.now() + self.limits.drain_s
        self._join(road.shell.thread, until, road.shell.stuck)
        road.give_up("removed")
        self._drain(road, until, "removed")
        road.take_down()
        with self._lock:
            if self._roads.pop(name, None) is None:
                return  # another thread took it out at the same time
            self._removed.append(road.status())
            self._staff()
            self._changed.notify_all()
        self.meter.forget_stream(name)

    def status(self) -> list[StreamStatus]:
        """The live table, one line a stream."""
        with self._lock:
            roads = list(self._roads.values())
        return [road.status() for road in roads]

    @property
    def ready(self) -> tuple[bool, dict[str, str]]:
        """Every engine runs and every required stream is healthy; and the state of each stream."""
        with self._lock:
            roads = list(self._roads.values())
            running = self._started and self._crews.ready
        states = {road.name: road.status().state for road in roads}
        return running and all(road.shell.healthy or not road.stream.required for road in roads), states

    def sink_balances(self) -> dict[str, SinkBalance]:
        """The books of every sink."""
        return {outlet.name: outlet.balance() for outlet in self._outlets}

    def place(self, stream: str, detectors: Sequence[Detector]) -> int | None:
        """The GPU in whose memory a stream's pictures had best be decoded; None: the host's."""
        with self._lock:
            return self._crews.place(stream, detectors)

    # ---- the run

    def run(self) -> Report:
        """Start unless started, wait for the end of every stream or for `stop`, drain, and report."""
        if not self._started:
            self.start()
        while not self._stopping:
            self._turns.turn(self._roads.__getitem__)
            with self._changed:
                if not self._keep_open and self._turns.over and not self._roads_alive():
                    break
                # In short waits: a signal handler of the main thread runs between them.
                self._clock.wait(self._changed, _TICK_S)
        return self.finish()

    def start(self) -> None:
        """Open the sinks, start the workers, let the sources begin. A sink that does not open is an error here."""
        for outlet in self._outlets:
            outlet.start()
        for outlet in self._outlets:
            outlet.tried.wait(self.limits.give_up_s)
            if outlet.detached is not None:
                self._close_outlets()
                self._on_finished()
                raise outlet.detached
        with self._lock:
            self._started = True
            self._staff()
            for road in self._roads.values():
                road.shell.start()
        self._supervisor.start()

    def stop(self) -> None:
        """Begin to drain; `run` returns soon. May be called from any thread, also from a signal handler."""
        self._stopping = True

    def fail(self, error: StreamdetError) -> None:
        """End the run: without this nothing can go on."""
        with self._lock:
            if self._error is None:
                self._error = error
                log.error("%s", error.line)
        self.stop()

    def finish(self) -> Report:
        """Stop the sources, drain within the deadline, close everything, and say what was lost."""
        self._stopping = True
        until = self._clock.now() + self.limits.drain_s
        with self._lock:
            roads = list(self._roads.values())
        for road in roads:
            road.shell.stop()
        for road in roads:
            self._join(road.shell.thread, until, road.shell.stuck)
        lost = {road.name: dropped for road in roads if (dropped := self._drain(road, until, "stopped"))}
        for road in roads:
            road.take_down()
        for crew in self._crews:
            crew.close()
        for crew in self._crews:
            for thread in crew.threads:
                self._join(thread, until)
        self._close_outlets(until)
        stuck = sum(
            (
                *(crew.stuck for crew in self._crews),
                *(road.shell.stuck for road in roads),
                *(outlet.stuck and outlet.thread.is_alive() for outlet in self._outlets),
            )
        )
        self._supervising = False
        self._join(self._supervisor, self._clock.now() + 1.0)
        if not stuck:
            self._on_finished()
        return self._report(lost, stuck)

    # ---- the supervisor

    def _supervise(self) -> None:
        told_s = trimmed_s = self._clock.now()
        wake = threading.Condition()
        while self._supervising:
            with wake:
                self._clock.wait(wake, _TICK_S)
            now = self._clock.now()
            tell_drops = now - told_s >= _DROPS_EVENT_S
            if tell_drops:
                told_s = now
            if now - trimmed_s >= _TRIM_S:
                trimmed_s = now
                memory.give_back()
            try:
                self._look_after(tell_drops)
            except Exception:
                log.exception("the supervisor stumbled and goes on")

    def _look_after(self, tell_drops: bool) -> None:
        with self._lock:
            roads = list(self._roads.values())
            crews = tuple(self._crews)
        for crew in crews:
            crew.watch(self.limits.inference_deadline_s)
            crew.batcher.depth()
        for road in roads:
            road.shell.watch()
            road.lane.expire()
            road.ledger.balance()
            if road.over:
                road.take_down()
            if tell_drops:
                road.tell_drops()
        for outlet in self._outlets:
            outlet.watch()
            outlet.balance()

    # ---- wiring

    def _outlet(self, sink: Sink) -> Outlet:
        limit = self.limits.picture_queue if sink.needs_picture else self.limits.sink_queue
        return Outlet(sink, self._clock, self.meter, give_up_s=self.limits.give_up_s, queue_limit=limit)

    def _staff(self) -> None:
        roads = [road for road in self._roads.values() if not road.over]
        self._crews.staff(single_live=len(roads) == 1 and roads[0].live)

    def _push(self, ticket: Ticket) -> None:
        road = self._roads.get(ticket.lane.name)
        if road is not None:
            road.push(ticket)

    def _emit(self, road: Road, result: Result) -> None:
        takers = [outlet for outlet in self._outlets if outlet.takes_results]
        waited_for = [outlet for outlet in takers if outlet.lossless]
        receipt = None if road.live else Receipts(len(waited_for), road.credits.give_back)
        for outlet in takers:
            outlet.offer(result, receipt if outlet.lossless else None)

    def _emit_event(self, event: Event) -> None:
        for outlet in self._outlets:
            if outlet.takes_events:
                outlet.offer(event)

    def _on_end(self, road: Road) -> None:
        self._crews.forget(road.name)
        with self._changed:
            road.ended = True
            self._changed.notify_all()

    def _roads_alive(self) -> bool:
        return any(not road.settled for road in self._roads.values())

    # ---- the end of things

    def _drain(self, road: Road, until: float, reason: DropReason) -> int:
        """Wait until the stream is empty; what is left when time is over is given up. Returns how many."""
        pause = threading.Condition()
        while road.holding() and self._clock.now() < until:
            with pause:
                self._clock.wait(pause, 0.005)
        return road.give_up(reason) + road.lane.give_up()

    def _join(self, thread: threading.Thread, until: float, stuck: bool = False) -> None:
        pause = threading.Condition()
        while thread.is_alive() and not stuck and thread is not threading.current_thread():
            if self._clock.now() >= until:
                return
            thread.join(0.002)
            if thread.is_alive():
                with pause:
                    self._clock.wait(pause, 0.005)

    def _close_outlets(self, until: float | None = None) -> None:
        until = self._clock.now() + 1.0 if until is None else max(until, self._clock.now() + 1.0)
        for outlet in self._outlets:
            outlet.close()
        for outlet in self._outlets:
            self._join(outlet.thread, until, outlet.stuck)
            if outlet.thread.is_alive() and not outlet.stuck:
                outlet.abandon()
                self._join(outlet.thread, self._clock.now() + 1.0)

    def _report(self, lost: dict[str, int], stuck: int) -> Report:
        roads = list(self._roads.values())
        return Report(
            streams=(*self._removed, *(road.status() for road in roads)),
            sinks=self.sink_balances(),
            failed_streams=(
                *self._turns.failed,
                *(road.name for road in roads if road.shell.state == "failed" and road.stream.required),
            ),
            failed_sinks=tuple(outlet.name for outlet in self._outlets if outlet.detached is not None),
            lost=lost,
            stuck_threads=stuck,
            error=self._error,
        )
