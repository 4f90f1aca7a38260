"""The shell around a source: opens, reads, counts, backs off and opens again, in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from streamdet.errors import LOSS_CAUSES, EndOfStream, SourceLost, StreamdetError
from streamdet.frames import Frame
from streamdet.metrics import Meter
from streamdet.pipeline.backoff import Backoff
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.inlet import Credits
from streamdet.pipeline.ledger import Ledger
from streamdet.pipeline.stream import Stream
from streamdet.sources.frozen import FrozenWatch

if TYPE_CHECKING:
    from prometheus_client import Gauge

log = logging.getLogger(__name__)

State = Literal[
    "connecting",  # open() is under way
    "waiting",  # open, no frame yet
    "running",  # frames arrive
    "stalled",  # a live source is silent
    "backoff",  # lost; will be opened again
    "ended",  # finished for good
    "failed",  # lost for good
]
STATES: tuple[State, ...] = get_args(State)

_QUIET_S = 2.0  # a live source is called stalled after so long without a frame, unless its deadline is shorter

_BROKEN_S = 60.0

# kind of change, fields of the event
Announce = Callable[[str, dict[str, object]], None]


class Shell:
    """Turns a source that may break at any call into frames that go on, or a state that says why not."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        clock: Clock,
        meter: Meter,
        ledger: Ledger,
        credits: Credits,
        *,
        deliver: Callable[[Frame], None],
        announce: Announce,
        on_end: Callable[[], None],
    ) -> None:
        self.name = name
        self.state: State = "connecting"
        self.error: StreamdetError | None = None
        self.last_frame_s: float | None = None
        self.frozen = False
        self._stream = stream
        self._source = stream.source
        self._clock = clock
        self._meter = meter
        self._ledger = ledger
        self._credits = credits
        self._deliver = deliver
        self._announce = announce
        self._on_end = on_end
        self._stopping = False
        self._changed = threading.Condition()
        self._calling_since_s: float | None = None
        self._given_up = False
        self._epoch = -1
        self._source_epoch = 0
        self._last_pts_s = float("-inf")
        self._last_kept_s = float("-inf")
        self._frames = 0
        self._backoff = Backoff()
        self._frozen_watch = FrozenWatch(stream.frozen_s)
        self._read_seconds = meter.stage_seconds.labels(name, "decode")
        self._suspects_total = meter.frames_suspect.labels(name, "quarantined")
        self._epochs_total = meter.epochs.labels(name)
        self.thread = threading.Thread(target=self._run, name=f"source:{name}", daemon=True)
        # Every series of the stream is made now and kept: a counter that appears with its first count hides that count
        # from increase(), and a series looked up after the stream was removed would come back.
        self._age_gauge = meter.last_frame_age_seconds.labels(name)
        self._offset_gauge: Gauge | None = None
        self._decoder: str | None = None
        self._frozen_gauge = meter.stream_frozen.labels(name)
        self._lost_totals = {cause: meter.reconnects.labels(name, cause) for cause in LOSS_CAUSES}
        self._state_gauges = {state: meter.stream_state.labels(name, state) for state in STATES}
        self._state_gauges[self.state].set(1)
        meter.stream_required.labels(name).set(stream.required)

    @property
    def healthy(self) -> bool:
        """Frames arrive, or came to their proper end."""
        return self.state in ("running", "ended") and not self.frozen

    def start(self) -> None:
        """Begin reading."""
        self.thread.start()

    def stop(self) -> None:
        """End after the read under way; does not wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._credits.close()
        if math.isinf(self._source.deadline_s):
            self._call(self._source.close)  # nothing else would end a read that waits for the user's own program

    def watch(self) -> None:
        """Called now and then by the supervisor: notice silence, and native code that broke its promise to return."""
        now = self._clock.now()
        since = self._calling_since_s
        source = self._source
        if self.last_frame_s is not None:
            self._age_gauge.set(max(now - self.last_frame_s, 0.0))
        if since is None or self._given_up:
            return
        silent_s = now - since
        if source.live and self.state == "running" and silent_s > min(_QUIET_S, source.deadline_s):
            self._enter("stalled", f"no frame for {silent_s:.1f} s")
        # Far beyond its deadline, and beyond a long wait for a key frame: the promise is broken, not just late.
        if silent_s > 2 * source.deadline_s + _BROKEN_S:
            self._return_credit()  # the thread that holds it never will
            self._given_up = True
            self._fail(
                SourceLost(
                    "stalled",
                    f"stream {self.name}: its decoder does not return and cannot be interrupted",
                    expected=f"an answer within {source.deadline_s:g} s",
                    hint="set `isolate: true` on this stream, so that its decoder can be killed",
                )
            )
            self._on_end()

    @property
    def stuck(self) -> bool:
        """The thread hangs in native code and was given up."""
        return self._given_up and self.thread.is_alive()

    # ---- the thread

    def _run(self) -> None:
        try:
            while not self._stopping and self._play():
                pass
        finally:
            self._call(self._count_suspects)
            self._call(self._source.close)
            if not self._given_up:
                self._on_end()

    def _play(self) -> bool:
        """One connection, from open to its end; False when no other shall follow."""
        opened_s = self._clock.now()
        try:
            self._enter("connecting")
            self._timed(self._source.open)
            self._source_epoch, self._last_pts_s = -1, float("-inf")
            self._enter("waiting")
            while not self._stopping and (self._source.live or self._credits.take()):
                if not self._read():
                    return False
            return False
        except EndOfStream:
            self._enter("ended")
            return False
        except Exception as error:  # noqa: BLE001 - whatever a source raises is its loss, not the pipeline's
            return self._lost(_as_loss(self.name, error), self._clock.now() - opened_s)

    def _read(self) -> bool:
        """One frame; False when the stream has had enough of them."""
        started_s = self._clock.now()
        try:
            self._count_suspects()
            frame = self._timed(self._source.read)
        except BaseException:
            self._return_credit()
            raise
        now = self._clock.now()
        self._read_seconds.observe(now - started_s)
        if self._stopping or self._given_up:
            frame.picture.release()
            self._return_credit()
            return False
        try:
            self._place(frame, now)
            if self._source.live:
                self._look(frame, now)
        except Exception:
            frame.picture.release()
            self._return_credit()
            raise
        if self.state != "running":
            self._enter("running")
            self._note_decoder()
        self._frames += 1
        self._ledger.capture()
        if self._too_soon(frame):
            frame.picture.release()
            self._ledger.drop("max_fps")
            self._return_credit()
        else:
            self._deliver(frame)
        if self._stream.max_frames is not None and self._frames >= self._stream.max_frames:
            self._enter("ended")
            return False
        return True

    def _note_decoder(self) -> None:
        """With the first frame after each opening: only then is it known that the GPU took the stream."""
        decoder = getattr(self._source, "decoder", None)
        if decoder is None or decoder == self._decoder:
            return
        if self._decoder is not None:
            self._meter.stream_decoder.labels(self.name, self._decoder).set(0)
        self._decoder = decoder
        self._meter.stream_decoder.labels(self.name, decoder).set(1)

    def _return_credit(self) -> None:
        if not self._source.live and not self._given_up:
            self._credits.give_back()

    def _count_suspects(self) -> None:
        suspects = self._source.suspects()
        if suspects:
            self._suspects_total.inc(suspects)

    def _timed(self, call: Callable[[], Frame | None]) -> Frame:
        self._calling_since_s = self._clock.now()
        try:
            return call()  # type: ignore[return-value] # open returns None and nobody looks at it
        finally:
            self._calling_since_s = None

    def _place(self, frame: Frame, now: float) -> None:
        """Make the frame the stream's own: name, epoch, and time that only moves forward within one."""
        frame.stream = self.name
        if frame.epoch != self._source_epoch or frame.pts_s <= self._last_pts_s:
            self._source_epoch = frame.epoch
            self._epoch += 1
            self._last_kept_s = float("-inf")
            self._epochs_total.inc()
        frame.epoch = self._epoch
        self._last_pts_s = frame.pts_s
        frame.decoded_s = self.last_frame_s = now

    def _look(self, frame: Frame, now: float) -> None:
        if frame.clock_offset_s is not None:
            if self._offset_gauge is None:  # made when there is an offset: 0 would say that the clocks agree
                self._offset_gauge = self._meter.clock_offset_seconds.labels(self.name)
            self._offset_gauge.set(frame.clock_offset_s)
        frozen = self._frozen_watch.see(frame, now)
        if frozen != self.frozen:
            self.frozen = frozen
            self._frozen_gauge.set(frozen)
            self._announce("stream_frozen" if frozen else "stream_thawed", {})

    def _too_soon(self, frame: Frame) -> bool:
        if self._stream.max_fps is None:
            return False
        # A tenth of tolerance: a camera that jitters around the very rate asked for must not be halved.
        if frame.pts_s - self._last_kept_s < 0.9 / self._stream.max_fps:
            return True
        self._last_kept_s = frame.pts_s
        return False

    def _lost(self, loss: SourceLost, after_s: float) -> bool:
        if self._given_up or self._stopping:
            return False
        self._lost_totals[loss.cause].inc()
        self._call(self._count_suspects)
        self._call(self._source.close)
        if not self._source.live:
            self._fail(loss)
            return False
        wait_s = self._backoff.next_s(loss.cause, healthy_for_s=after_s if self.state in ("running", "stalled") else 0)
        self.error = loss
        self._enter("backoff", loss.line, cause=loss.cause, retry_in_s=round(wait_s, 3))
        log.warning(
            "stream %s lost (%s), trying again in %.1f s: %s",
            self.name,
            loss.cause,
            wait_s,
            loss.line,
            extra={"cause": f"source:{self.name}:{loss.cause}"},
        )
        until = self._clock.now() + wait_s
        with self._changed:
            while not self._stopping and (left_s := until - self._clock.now()) > 0:
                self._clock.wait(self._changed, left_s)
        return not self._stopping

    def _fail(self, loss: SourceLost) -> None:
        self.error = loss
        log.error("stream %s failed: %s", self.name, loss.line)
        self._enter("failed", loss.line, cause=loss.cause)

    def _enter(self, state: State, detail: str = "", **fields: object) -> None:
        if state == self.state and state != "backoff":
            return
        if state == "running":
            self.error = None
        self._state_gauges[self.state].set(0)
        self._state_gauges[state].set(1)
        self.state = state
        if detail:
            fields["detail"] = detail
        self._announce("stream_state", {"state": state, **fields})

    def _call(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - it is being closed; what is left is to say so
            log.error("stream %s did not close: %s", self.name, _as_loss(self.name, error).line)

    @property
    def epoch(self) -> int:
        """The epoch that the stream is in."""
        return max(self._epoch, 0)


def _as_loss(name: str, error: Exception) -> SourceLost:
    if isinstance(error, SourceLost):
        return error
    text = str(error) if isinstance(error, StreamdetError) else f"{type(error).__name__}: {error}"
    loss = SourceLost("failed", f"the source of stream {name} failed: {text}")
    loss.__cause__ = error
    return loss
