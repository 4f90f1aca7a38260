"""A stream's tracker through its epochs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamdet.frames import Detections, Event, Frame, Tracks
from streamdet.metrics import Meter
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.stream import Motion, Stream
from streamdet.tracking.contract import Tracker

log = logging.getLogger(__name__)


class Following:
    """A new tracker for each epoch, and none for the rest of an epoch in which it failed."""

    def __init__(
        self, name: str, stream: Stream, clock: Clock, meter: Meter, emit_event: Callable[[Event], None]
    ) -> None:
        self._name = name
        self._make = stream.tracker
        self._make_motion = stream.motion
        self._clock = clock
        self._emit_event = emit_event
        self._tracker: Tracker | None = None
        self._motion: Motion | None = None
        self._epoch = -1
        self._last: Frame | None = None
        self._last_seen_s = 0.0
        self._active_gauge = meter.tracks_active.labels(name)
        self._started_total = meter.tracks_started.labels(name)
        self._failures = meter.inference_failures.labels("tracker", "tracker_failed")

    @property
    def active(self) -> int:
        """Tracks alive."""
        return 0 if self._tracker is None else self._tracker.active

    def update(self, frame: Frame, found: Detections) -> Tracks | None:
        """The tracks of this frame; None where nothing is tracked."""
        if self._make is None or frame.path is not None:
            return None
        try:
            if frame.epoch != self._epoch:
                self._begin(frame)
            tracker = self._tracker
            if tracker is None:
                return None
            motion = None if self._motion is None else self._motion.measure(frame.picture, found.xyxy)
            tracks = tracker.update(found, frame.pts_s, motion)
        except Exception as error:
            # Ids must not repeat within an epoch, so a tracker that failed is not replaced before the next one.
            self._tracker = None
            self._failures.inc()
            log.exception("stream %s: the tracker failed; no tracks until the next epoch: %s", self._name, error)
            return None
        self._last, self._last_seen_s = frame, self._clock.now()
        self._active_gauge.set(tracker.active)
        for event in tracks.events:
            self._announce(event.kind, event.pts_s, {"track_id": event.track_id, **event.fields})
        return tracks

    def _begin(self, frame: Frame) -> None:
        previous, self._tracker = self._tracker, None
        if previous is not None:
            self._end(previous)
        self._epoch = frame.epoch
        gap_s = None if previous is None else self._clock.now() - self._last_seen_s
        assert self._make is not None
        self._tracker = self._make(previous, gap_s)
        self._motion = None if self._make_motion is None else self._make_motion()

    def _end(self, tracker: Tracker) -> None:
        for event in tracker.finish():
            self._announce(event.kind, event.pts_s, {"track_id": event.track_id, **event.fields})

    def _announce(self, kind: str, pts_s: float, fields: dict[str, object]) -> None:
        if kind == "track_started":
            self._started_total.inc()
        captured_at = None
        if self._last is not None and self._last.captured_at is not None:
            captured_at = self._last.captured_at + (pts_s - self._last.pts_s)
        self._emit_event(Event(kind, self._name, self._epoch, pts_s, captured_at, fields))

    def finish(self) -> None:
        """End every track."""
        tracker, self._tracker = self._tracker, None
        if tracker is None:
            return
        try:
            self._end(tracker)
        except Exception as error:
            self._failures.inc()
            log.exception("stream %s: the tracker failed while finishing: %s", self._name, error)
        self._active_gauge.set(0)
