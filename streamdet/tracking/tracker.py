"""What all trackers share in Python: the clock, the columns and their growth, and the events that leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streamdet.frames import Coasting, Detections, TrackEvent, Tracks
from streamdet.tracking import columns as c
from streamdet.tracking.contract import Tracker
from streamdet.tracking.levels import Levels
from streamdet.tracking.options import LifeOptions
from streamdet.tracking.path import simplified

FIRST_CAPACITY = 72  # 64 and 8, always: rows that lie a power of two apart would fight for the same cache lines


Step = Callable[..., None]  # (tracks, work, rules, rows, pts_s, steps, motion, moved, instant, ids, smooth, states)


class ColumnTracker:
    """A tracker whose tracks live in columns and whose update is one compiled step.

    `refused` counts what was not taken as it came: rows `not_finite`, `inverted`, `beyond_limit` or without room, and
    times that stood still, ran backwards, jumped, or were no numbers; such an update still answers every row.
    """

    def __init__(
        self,
        options: LifeOptions,
        step: Step,
        rules: object,
        *,
        previous: Tracker | None = None,
        gap_s: float | None = None,
        thresholds: Sequence[float] = (),
    ) -> None:
        self.active = 0
        self._levels = Levels(thresholds)
        self._options = options
        self._step = step
        self._rules = rules
        self._names: tuple[str, ...] = ()
        self._now_s: float | None = None
        self._instant = options.instant_first_frame
        self._time_refused = dict.fromkeys(("time_standing", "time_backwards", "time_gap", "time_not_finite"), 0)
        self._motion_refused = 0
        self._beyond = 0
        self._remembered = 0
        self._still = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
        self._moved = self._still.copy()
        self._columns = c.make_columns(FIRST_CAPACITY)
        self._scratch = c.make_scratch(FIRST_CAPACITY, FIRST_CAPACITY, FIRST_CAPACITY**2)
        self._warm()
        if isinstance(previous, ColumnTracker) and gap_s is not None and 0 <= gap_s <= options.reassociate_s:
            self._remember(previous, gap_s)

    @property
    def refused(self) -> Mapping[str, int]:
        """What was not taken as it came, by reason, since the beginning."""
        tally = self._columns.tally
        return {
            "not_finite": int(tally[c.NOT_FINITE]),
            "inverted": int(tally[c.INVERTED]),
            "beyond_limit": self._beyond,
            "no_room": int(tally[c.NO_ROOM]),
            "motion": self._motion_refused,
            **self._time_refused,
        }

    def update(self, detections: Detections, pts_s: float, motion: npt.NDArray[np.float32] | None = None) -> Tracks:
        """Follows the rows of one frame; see the contract."""
        self._names = detections.names
        if len(detections) > self._options.max_rows:
            return self._update_best(detections, pts_s, motion)
        steps, gone = self._tick(pts_s)
        rows = len(detections)
        self._make_room(rows)
        work = self._scratch
        work.xyxy[:rows] = detections.xyxy
        work.score[:rows] = detections.score
        work.level[:rows] = self._levels.of(detections.score, detections.class_id)
        work.row[c.ROW_CLASS, :rows] = detections.class_id
        answer = Tracks(np.empty(rows, np.int64), np.empty((rows, 4), np.float32), np.empty(rows, np.uint8))
        moved = motion is not None and self._accept(motion)
        self._step(
            self._columns,
            work,
            self._rules,
            rows,
            self._now_s or 0.0,
            steps,
            self._moved if moved else self._still,
            moved,
            self._instant,
            answer.track_id,
            answer.smooth_xyxy,
            answer.state,
        )
        self._instant = False
        self._report(answer, gone)
        return answer

    def finish(self) -> tuple[TrackEvent, ...]:
        """Ends every live track; a second call has nothing left to end."""
        return self._end_all(c.ENDED_EPOCH)

    def _update_best(self, detections: Detections, pts_s: float, motion: npt.NDArray[np.float32] | None) -> Tracks:
        """Too many rows: the best are followed, the rest answered with no track."""
        limit = self._options.max_rows
        self._beyond += len(detections) - limit
        best = np.sort(np.argsort(-detections.score, kind="stable")[:limit])
        part = self.update(
            Detections(detections.xyxy[best], detections.score[best], detections.class_id[best], detections.names),
            pts_s,
            motion,
        )
        whole = Tracks(
            np.full(len(detections), -1, np.int64),
            np.array(detections.xyxy, np.float32),
            np.zeros(len(detections), np.uint8),
            part.coasting,
            part.events,
        )
        whole.track_id[best], whole.smooth_xyxy[best], whole.state[best] = part.track_id, part.smooth_xyxy, part.state
        return whole

    def _tick(self, pts_s: float) -> tuple[float, tuple[TrackEvent, ...]]:
        """Nominal frames since the last update, and the ends that a jump of time brings."""
        now = self._now_s
        if not math.isfinite(pts_s):
            self._time_refused["time_not_finite"] += 1
            return 0.0, ()
        self._now_s = float(pts_s)
        if now is None:
            if self._remembered:
                slots = self._columns.lists[c.LIVE, : self._remembered]
                self._columns.real[c.LAST_S, slots] += self._now_s
            return 0.0, ()
        elapsed = self._now_s - now
        if 0 < elapsed <= self._options.max_gap_s:
            return elapsed * c.NOMINAL_FPS, ()
        if elapsed <= 0:
            self._time_refused["time_backwards" if elapsed < 0 else "time_standing"] += 1
            if elapsed >= -self._options.max_gap_s:
                self._now_s = now
                return 0.0, ()
        else:
            self._time_refused["time_gap"] += 1
        self._instant = self._options.instant_first_frame
        return 0.0, self._end_all(c.ENDED_GAP)

    def _accept(self, motion: npt.NDArray[np.float32]) -> bool:
        """Takes the camera's motion over, unless it is nonsense."""
        if motion.shape == (2, 3):
            self._moved[:] = motion
            area = abs(self._moved[0, 0] * self._moved[1, 1] - self._moved[0, 1] * self._moved[1, 0])
            if np.isfinite(self._moved).all() and 0.01 < area < 100:
                return True
        self._motion_refused += 1
        return False

    def _make_room(self, rows: int) -> None:
        """Grows columns and scratch by doubling, so that the step never runs out."""
        tally = self._columns.tally
        capacity = self._columns.capacity
        # What ended in the last update is freed at the beginning of this one.
        while capacity - int(tally[c.N_LIVE]) < rows and capacity < 4 * self._options.max_rows:
            capacity = 2 * capacity - 8
        if capacity > self._columns.capacity:
            self._columns = c.grown_columns(self._columns, capacity)
        work = self._scratch
        pairs = rows * int(tally[c.N_LIVE])
        if rows > len(work.score) or capacity >= work.slot.shape[1] or pairs > len(work.edge_col):
            self._scratch = c.make_scratch(
                _doubled(len(work.score), rows), capacity, _doubled(len(work.edge_col), pairs)
            )

    def _report(self, answer: Tracks, gone: tuple[TrackEvent, ...]) -> None:
        """Reads what the step listed: tracks that coast, began and ended."""
        tracks = self._columns
        live, coasting = int(tracks.tally[c.N_LIVE]), int(tracks.tally[c.N_COASTING])
        started, ended = int(tracks.tally[c.N_STARTED]), int(tracks.tally[c.N_ENDED])
        self.active = live
        if self._remembered:
            slots = tracks.lists[c.LIVE, :live]
            unseen = (tracks.whole[c.TRACK_ID, slots] == 0) & (tracks.whole[c.STATE, slots] == c.LOST)
            self._remembered = int(unseen.sum())
            self.active -= self._remembered
        if coasting:
            slots = tracks.lists[c.COASTING, :coasting]
            answer.coasting = Coasting(
                tracks.whole[c.TRACK_ID, slots],
                tracks.real[c.BOX : c.BOX + 4, slots].T.astype(np.float32, order="C"),
                tracks.whole[c.CLASS, slots].astype(np.int32),
                ((self._now_s or 0.0) - tracks.real[c.LAST_S, slots]).astype(np.float32),
            )
        if gone or started or ended:
            begun = tuple(self._started(int(slot)) for slot in tracks.lists[c.STARTED, :started])
            answer.events = (*gone, *begun, *self._all_ended(tracks.lists[c.ENDED, :ended]))

    def _end_all(self, reason: int) -> tuple[TrackEvent, ...]:
        tracks = self._columns
        live = int(tracks.tally[c.N_LIVE])
        slots = tracks.lists[c.LIVE, :live]
        tracks.whole[c.REASON, slots] = reason
        ended = int(tracks.tally[c.N_ENDED])
        tracks.lists[c.ENDED, ended : ended + live] = slots
        tracks.tally[c.N_ENDED] += live
        tracks.tally[c.N_LIVE] = 0
        self.active = 0
        return self._all_ended(slots)

    def _all_ended(self, slots: c.I32) -> tuple[TrackEvent, ...]:
        """Only a track that had begun can end; one that was never confirmed goes without a word."""
        state, track_id = self._columns.whole[c.STATE], self._columns.whole[c.TRACK_ID]
        return tuple(self._ended(int(slot)) for slot in slots if state[slot] != c.TENTATIVE and track_id[slot] > 0)

    def _started(self, slot: int) -> TrackEvent:
        tracks = self._columns
        fields: dict[str, object] = {
            "first_s": float(tracks.real[c.FIRST_S, slot]),
            **self._class(slot),
            "score": round(float(tracks.real[c.SCORE, slot]), 4),
            "xyxy": tracks.real[c.SEEN : c.SEEN + 4, slot].round(2).tolist(),
        }
        if tracks.whole[c.CONTINUES, slot]:
            fields["continues"] = int(tracks.whole[c.CONTINUES, slot])
        return TrackEvent("track_started", int(tracks.whole[c.TRACK_ID, slot]), self._now_s or 0.0, fields)

    def _ended(self, slot: int) -> TrackEvent:
        tracks = self._columns
        best = tracks.real[c.BEST : c.BEST + 6, slot]
        fields: dict[str, object] = {
            "reason": c.REASONS[tracks.whole[c.REASON, slot]],
            "first_s": float(tracks.real[c.FIRST_S, slot]),
            "last_s": float(tracks.real[c.LAST_S, slot]),
            "frames": int(tracks.whole[c.HITS, slot]),
            **self._class(slot),
            "best": {"pts_s": float(best[0]), "score": round(float(best[1]), 4), "xyxy": best[2:].round(2).tolist()},
            "path": self._path(slot),
        }
        if tracks.whole[c.CONTINUES, slot]:
            fields["continues"] = int(tracks.whole[c.CONTINUES, slot])
        return TrackEvent("track_ended", int(tracks.whole[c.TRACK_ID, slot]), self._now_s or 0.0, fields)

    def _class(self, slot: int) -> dict[str, object]:
        class_id = int(self._columns.whole[c.CLASS, slot])
        name = self._names[class_id] if 0 <= class_id < len(self._names) else str(class_id)
        return {"class_id": class_id, "class": name}

    def _path(self, slot: int) -> list[list[float]]:
        """Time and centre, to a fiftieth of the object's size."""
        tracks = self._columns
        seen = tracks.real[c.SEEN : c.SEEN + 4, slot]
        last = [tracks.real[c.LAST_S, slot], (seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2]
        points = np.vstack([tracks.path[slot, : tracks.whole[c.PATH_COUNT, slot]], [last]])
        kept = simplified(points, float(np.hypot(*tracks.real[c.SCALE : c.SCALE + 2, slot])) / 50)
        return [[round(float(t), 3), round(float(x), 1), round(float(y), 1)] for t, x, y in kept]

    def _warm(self) -> None:
        """Runs the step once on nothing, so that compiling happens here and not in front of a live stream."""
        none = np.empty(0, np.int64), np.empty((0, 4), np.float32), np.empty(0, np.uint8)
        self._step(self._columns, self._scratch, self._rules, 0, 0.0, 0.0, self._still, False, False, *none)

    def _remember(self, previous: ColumnTracker, gap_s: float) -> None:
        """Takes over the tracks with which the epoch before ended, as lost ones without an id, `gap_s` older.

        Their times are set once the first update tells when this epoch begins. What moved is believed to have moved
        on for no longer than a lost track would live: nothing goes straight for ever.
        """
        from streamdet.tracking.kernels import predict

        old = previous._columns
        ended, live = int(old.tally[c.N_ENDED]), int(old.tally[c.N_LIVE])
        candidates = [*old.lists[c.ENDED, :ended], *old.lists[c.LIVE, :live]]
        reasons = old.whole[c.REASON]
        kept = [slot for slot in candidates if reasons[slot] in (0, c.ENDED_EPOCH) and old.whole[c.TRACK_ID, slot] > 0]
        kept = [slot for slot in kept if old.whole[c.STATE, slot] != c.TENTATIVE]
        self._make_room(len(kept))
        new, now_s = self._columns, previous._now_s or 0.0
        steps = min(gap_s, self._options.max_lost_s) * c.NOMINAL_FPS
        for slot in kept:
            new.tally[c.N_FREE] -= 1
            place = int(new.lists[c.FREE, new.tally[c.N_FREE]])
            new.lists[c.LIVE, new.tally[c.N_LIVE]] = place
            new.tally[c.N_LIVE] += 1
            new.whole[:, place] = old.whole[:, slot]
            new.real[:, place] = old.real[:, slot]
            new.whole[[c.TRACK_ID, c.REASON, c.HITS, c.PATH_COUNT], place] = 0
            new.whole[c.CONTINUES, place] = old.whole[c.TRACK_ID, slot]
            new.whole[c.STATE, place] = c.LOST
            new.observed[place, -1, 1:] = old.real[c.SEEN : c.SEEN + 4, slot]
            new.real[c.VELOCITY + 2 : c.VELOCITY + 4, place] = 0.0
            new.real[c.BEST + 1, place] = -1.0
            new.real[c.PATH_STEP_S, place] = 0.0
            new.real[c.LIFE_S, place] = self._options.reassociate_s
            new.real[c.LAST_S, place] -= now_s + gap_s
            predict(new.real, place, steps)
        self._remembered = len(kept)


def _doubled(size: int, needed: int) -> int:
    while size < needed:
        size *= 2
    return size
