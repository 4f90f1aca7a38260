"""One reader of one stream: which crops are due, the vote on what they said, and what the records show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from streamdet.boxes import Boxes
from streamdet.frames import Detections, Event, Frame, Readings, Result
from streamdet.metrics import Meter
from streamdet.pipeline.stream import ReadStage
from streamdet.plates.reader import Look, PlateView
from streamdet.plates.vote import OUTCOMES, PlateEvent, Voting

log = logging.getLogger(__name__)

_HIDDEN_FROM = 0.1  # score from which what may be a plate is blurred
_HIDDEN_MARGIN = 0.1  # of its box, on each side
_DAMAGED = 0.5  # what a look at a damaged picture is worth, beside one at a good one


class StageReading:
    """Used by the lane's thread alone."""

    def __init__(
        self, stream: str, stage: ReadStage, names: tuple[str, ...], meter: Meter, emit_event: Callable[[Event], None]
    ) -> None:
        self._stream = stream
        self._stage = stage
        self._emit_event = emit_event
        # Where several engines know a class it goes by engine/class in the table.
        self._wanted = np.array([not stage.on.isdisjoint((name, name.rpartition("/")[2])) for name in names], np.bool_)
        outcomes = {outcome: meter.reads.labels(stream, outcome) for outcome in OUTCOMES}
        self._failures = meter.inference_failures.labels(stage.reader.name, "vote_failed")
        self._voting = Voting(
            stage.vote,
            stage.reader.alphabet,
            stage.veil,
            count=lambda outcome: outcomes[outcome].inc(),
            observe_height=meter.plate_height_px.labels(stream).observe,
            observe_agreement=meter.plate_agreement.labels(stream).observe,
        )
        self._last: Frame | None = None
        self._alone: Readings | None = None  # of a frame without tracks

    def due(self, result: Result) -> tuple[list[int], list[PlateView]]:
        """Rows of the result that shall be read, and where they are."""
        try:
            return self._due(result)
        except Exception as error:  # noqa: BLE001 - a detector of the user's own may give points that are none
            self._failed(error)
            return [], []

    def _failed(self, error: Exception) -> None:
        self._failures.inc()
        # The kind alone: a message may quote what was read.
        log.error("stream %s: a reading could not be counted: %s", self._stream, type(error).__name__)

    def _due(self, result: Result) -> tuple[list[int], list[PlateView]]:
        self._begin(result.frame)
        found = result.detections
        if found is None or not len(found):
            return [], []
        rows = np.flatnonzero(self._wanted[found.class_id]).tolist()
        views = [
            PlateView.of(found.xyxy[row], None if found.keypoints is None else found.keypoints[row]) for row in rows
        ]
        track_ids = [-1] * len(rows) if result.tracks is None else result.tracks.track_id[rows].tolist()
        most = self._stage.crops_per_frame
        if result.tracks is None:
            chosen = self._voting.readable(views, most)
        else:
            chosen = self._voting.due(track_ids, views, result.frame.pts_s, most)
        return [rows[each] for each in chosen], [views[each] for each in chosen]

    def hide(self, result: Result, found: Detections | None) -> None:
        """Mark what may be a plate, however unsure; all of the picture, where nobody could tell."""
        if not self._stage.veil.blurs:
            return
        parts = [np.zeros((0, 4), np.float32)] if result.private_xyxy is None else [result.private_xyxy]
        if found is None:
            width, height = result.frame.size
            parts.append(np.array([[0, 0, width, height]], np.float32))
        else:
            parts.append(_widened(found.xyxy[self._wanted[found.class_id] & (found.score >= _HIDDEN_FROM)]))
        if result.tracks is not None:
            coasting = result.tracks.coasting
            parts.append(_widened(coasting.xyxy[self._wanted[coasting.class_id]]))
        result.private_xyxy = np.concatenate(parts)

    def _begin(self, frame: Frame) -> None:
        """In a new epoch no track of the old one lives, and its times mean nothing."""
        if self._last is not None and frame.epoch != self._last.epoch:
            self._tell(self._voting.finish(), self._last)
            self._voting.forget_times()
        self._last, self._alone = frame, None

    def take(self, result: Result, rows: Sequence[int], looks: list[Look | None] | None) -> None:
        """What the reader said of those rows; None: it failed, or was late."""
        frame, tracks, found = result.frame, result.tracks, result.detections
        assert found is not None
        given = looks if looks is not None else [None] * len(rows)
        if frame.quality != "good":
            given = [
                None if look is None else replace(look, corner_score=look.corner_score * _DAMAGED) for look in given
            ]
        try:
            if tracks is None:
                self._alone = self._voting.alone(dict(zip(rows, given, strict=True)), len(found))
                return
            for row, look in zip(rows, given, strict=True):
                events = self._voting.add(int(tracks.track_id[row]), look, frame.index, frame.pts_s)
                self._tell(events, frame)
        except Exception as error:  # noqa: BLE001 - a look of a reader of the user's own may be anything
            self._failed(error)

    def write(self, result: Result) -> None:
        """The texts of this frame's rows; of rows that another reader has spoken for, that one's."""
        found = result.detections
        if found is None:
            return
        if result.tracks is None:
            mine = self._alone
        else:
            mine = self._voting.readings(
                [
                    int(track) if self._wanted[kind] else -1
                    for track, kind in zip(result.tracks.track_id, found.class_id, strict=True)
                ]
            )
        if mine is not None:
            result.readings = mine if result.readings is None else _merged(result.readings, mine)
        elif result.readings is None:
            nobody = len(found)
            result.readings = Readings((None,) * nobody, np.zeros(nobody, np.float32), (None,) * nobody)

    def track_ended(self, event: Event) -> None:
        """What that track's plate has come to."""
        track_id = event.fields.get("track_id")
        if isinstance(track_id, int):
            for told in self._voting.ended(track_id):
                self._emit(told, event.epoch, event.pts_s, event.captured_at)

    def finish(self) -> None:
        """The stream is over."""
        if self._last is not None:
            self._tell(self._voting.finish(), self._last)

    def _tell(self, events: Sequence[PlateEvent], frame: Frame) -> None:
        for event in events:
            self._emit(event, frame.epoch, frame.pts_s, frame.captured_at)

    def _emit(self, event: PlateEvent, epoch: int, pts_s: float | None, captured_at: float | None) -> None:
        at = None if captured_at is None or pts_s is None else captured_at + (event.pts_s - pts_s)
        self._emit_event(Event(event.kind, self._stream, epoch, event.pts_s, at, event.fields))


def _merged(first: Readings, second: Readings) -> Readings:
    taken = [text is not None for text in first.text]
    return Readings(
        tuple(a if a is not None else b for a, b in zip(first.text, second.text, strict=True)),
        np.where(taken, first.score, second.score).astype(np.float32),
        tuple(a if a is not None else b for a, b in zip(first.state, second.state, strict=True)),
    )


def _widened(xyxy: Boxes) -> Boxes:
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * _HIDDEN_MARGIN
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1).astype(np.float32)
