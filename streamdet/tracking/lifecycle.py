"""What happens to one track, compiled: born, matched, lost, ended; and the frame of every update around it."""

from __future__ import annotations

import numpy as np

from streamdet.tracking import columns as c
from streamdet.tracking.columns import F64, I64, Columns, Scratch
from streamdet.tracking.compiled import compiled, inlined
from streamdet.tracking.kernels import assign, begin_filter, correct, height_overlap, iou, move, predict, sides


@compiled
def open_frame(tracks: Columns, work: Scratch, rows: int, steps: float, motion: F64, moved: bool) -> None:
    """Frees what the last update ended, checks the rows, and brings every track to the present."""
    tally = tracks.tally
    for index in range(tally[c.N_ENDED]):
        tracks.lists[c.FREE, tally[c.N_FREE]] = tracks.lists[c.ENDED, index]
        tally[c.N_FREE] += 1
    tally[c.N_STARTED] = tally[c.N_ENDED] = tally[c.N_COASTING] = 0
    for row in range(rows):
        left, top, right, bottom = sides(work.xyxy, row)
        work.row[c.ROW_SLOT, row] = -1
        work.row[c.ROW_USABLE, row] = 0
        if not np.isfinite(left + top + right + bottom + work.score[row]):
            tally[c.NOT_FINITE] += 1
        elif right <= left or bottom <= top:
            tally[c.INVERTED] += 1
        else:
            work.row[c.ROW_USABLE, row] = 1
            tracks.extent[0] = max(tracks.extent[0], right)
            tracks.extent[1] = max(tracks.extent[1], bottom)
    for index in range(tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        tracks.whole[c.FRESH, slot] = 0
        tracks.whole[c.MISSED, slot] += 1
        predict(tracks.real, slot, steps)
        if moved:
            move(tracks.real, slot, motion)


@compiled
def choose_rows(work: Scratch, rows: int, least: float, below: float) -> int:
    """Lists the usable, still unmatched rows with least ≤ level < below; how many there are."""
    count = 0
    for row in range(rows):
        free = work.row[c.ROW_USABLE, row] and work.row[c.ROW_SLOT, row] < 0
        if free and least <= work.level[row] < below:
            work.row[c.CHOSEN, count] = row
            count += 1
    return count


@compiled
def choose_slots(tracks: Columns, work: Scratch, tentative: bool, confirmed: bool, lost: bool) -> int:
    """Lists the live slots without a row that are in one of the states asked for; how many there are."""
    count = 0
    for index in range(tracks.tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        if tracks.whole[c.FRESH, slot] or tracks.whole[c.REASON, slot]:
            continue
        state = tracks.whole[c.STATE, slot]
        if (state == c.TENTATIVE and tentative) or (state == c.CONFIRMED and confirmed) or (state == c.LOST and lost):
            work.slot[c.CHOSEN_SLOT, count] = slot
            count += 1
    return count


@compiled
def pair(
    tracks: Columns, work: Scratch, slots: int, rows: int, floor: float, modulated: bool, fused: bool, by_class: bool
) -> None:
    """Assigns the chosen rows to the chosen slots: the most similarity above `floor`, which is the cost limit."""
    edges = 0
    for index in range(slots):
        slot = work.slot[c.CHOSEN_SLOT, index]
        work.slot[c.EDGE_START, index] = edges
        left, top = tracks.real[c.BOX, slot], tracks.real[c.BOX + 1, slot]
        right, bottom = tracks.real[c.BOX + 2, slot], tracks.real[c.BOX + 3, slot]
        for col in range(rows):
            row = work.row[c.CHOSEN, col]
            left2, top2, right2, bottom2 = sides(work.xyxy, row)
            if right2 <= left or left2 >= right or bottom2 <= top or top2 >= bottom:
                continue
            if by_class and work.row[c.ROW_CLASS, row] != tracks.whole[c.CLASS, slot]:
                continue
            similarity = iou(left, top, right, bottom, left2, top2, right2, bottom2)
            if modulated:
                similarity *= height_overlap(top, bottom, top2, bottom2)
            if fused:
                similarity *= work.level[row]
            if similarity > floor:
                work.edge_col[edges] = col
                work.edge_cost[edges] = floor - similarity
                edges += 1
    work.slot[c.EDGE_START, slots] = edges
    assign(slots, rows, work)


@compiled
def take(tracks: Columns, work: Scratch, slots: int, pts_s: float, min_hits: int, life_s: float) -> None:
    """Carries out an assignment."""
    for index in range(slots):
        col = work.slot[c.SLOT_COL, index]
        if col >= 0:
            match(tracks, work, work.slot[c.CHOSEN_SLOT, index], work.row[c.CHOSEN, col], pts_s, min_hits, life_s)


@inlined
def begin(tracks: Columns, work: Scratch, row: int, pts_s: float, confirmed: bool, life_s: float) -> None:
    """A row that no track claims becomes a track."""
    tally, whole, real = tracks.tally, tracks.whole, tracks.real
    if tally[c.N_FREE] == 0:
        tally[c.NO_ROOM] += 1
        return
    tally[c.N_FREE] -= 1
    slot = tracks.lists[c.FREE, tally[c.N_FREE]]
    tracks.lists[c.LIVE, tally[c.N_LIVE]] = slot
    tally[c.N_LIVE] += 1
    whole[:, slot] = 0
    whole[c.VOTE_CLASS : c.VOTE_CLASS + c.VOTES, slot] = -1
    whole[c.STATE, slot] = c.TENTATIVE
    real[:, slot] = 0.0
    real[c.FIRST_S, slot] = pts_s
    real[c.LIFE_S, slot] = life_s
    real[c.BEST + 1, slot] = -1.0
    left, top, right, bottom = sides(work.xyxy, row)
    begin_filter(real, slot, left, top, right, bottom)
    _see(tracks, work, slot, row, pts_s)
    if confirmed:
        confirm(tracks, slot)


@inlined
def match(tracks: Columns, work: Scratch, slot: int, row: int, pts_s: float, min_hits: int, life_s: float) -> None:
    """A track takes a row: the filter is corrected, and what is known of the object grows."""
    left, top, right, bottom = sides(work.xyxy, row)
    correct(tracks.real, slot, left, top, right, bottom)
    _see(tracks, work, slot, row, pts_s)
    whole = tracks.whole
    if whole[c.STATE, slot] == c.TENTATIVE:
        if whole[c.HITS, slot] >= min_hits:
            confirm(tracks, slot)
    elif whole[c.TRACK_ID, slot] == 0:  # remembered from the epoch before: here it begins
        tracks.real[c.FIRST_S, slot] = pts_s
        tracks.real[c.LIFE_S, slot] = life_s
        confirm(tracks, slot)
    else:
        whole[c.STATE, slot] = c.CONFIRMED


@inlined
def confirm(tracks: Columns, slot: int) -> None:
    """From here on the track is believed, has an id, and is announced."""
    tracks.whole[c.TRACK_ID, slot] = tracks.tally[c.NEXT_ID]
    tracks.tally[c.NEXT_ID] += 1
    tracks.whole[c.STATE, slot] = c.CONFIRMED
    tracks.lists[c.STARTED, tracks.tally[c.N_STARTED]] = slot
    tracks.tally[c.N_STARTED] += 1


@inlined
def lose(tracks: Columns, slot: int) -> None:
    """No row matched: a confirmed track coasts, and its size stands still."""
    if tracks.whole[c.STATE, slot] == c.CONFIRMED:
        tracks.whole[c.STATE, slot] = c.LOST
    tracks.real[c.VELOCITY + 2, slot] = 0.0
    tracks.real[c.VELOCITY + 3, slot] = 0.0


@inlined
def end(tracks: Columns, slot: int, reason: int) -> None:
    """The track is over; `close_frame` takes it out of the list."""
    tracks.whole[c.REASON, slot] = reason


@compiled
def end_overdue(tracks: Columns, pts_s: float) -> None:
    """Ends the tracks that stayed unmatched for longer than their life."""
    for index in range(tracks.tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        unmatched_s = pts_s - tracks.real[c.LAST_S, slot]
        if not tracks.whole[c.REASON, slot] and unmatched_s > tracks.real[c.LIFE_S, slot] + 1e-6:
            end(tracks, slot, c.ENDED_LEFT if _left(tracks, slot) else c.ENDED_LOST)


@inlined
def _left(tracks: Columns, slot: int) -> bool:
    """Whether it was last seen moving out over the edge of all that the stream has shown, or is believed beyond it."""
    real = tracks.real
    for axis in range(2):
        low, high = real[c.SEEN + axis, slot], real[c.SEEN + 2 + axis, slot]
        centre, speed = real[c.POSITION + axis, slot], real[c.VELOCITY + axis, slot]
        edge, near = tracks.extent[axis], 0.1 * (high - low)
        if centre < 0.0 or centre > edge or (low < near and speed < 0.0) or (high > edge - near and speed > 0.0):
            return True
    return False


@compiled
def close_frame(tracks: Columns, work: Scratch, rows: int, out_id: I64, out_smooth: F64, out_state: I64) -> None:
    """Takes out what has ended, lists what coasts, and answers row by row."""
    tally, whole = tracks.tally, tracks.whole
    for row in range(rows):
        slot = work.row[c.ROW_SLOT, row]
        taken = slot >= 0 and whole[c.REASON, slot] == 0
        out_id[row] = whole[c.TRACK_ID, slot] if taken and whole[c.TRACK_ID, slot] > 0 else -1
        out_state[row] = whole[c.STATE, slot] if taken else 0
        for side in range(4):
            out_smooth[row, side] = tracks.real[c.BOX + side, slot] if taken else work.xyxy[row, side]
    kept = 0
    for index in range(tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        if whole[c.REASON, slot]:
            tracks.lists[c.ENDED, tally[c.N_ENDED]] = slot
            tally[c.N_ENDED] += 1
            continue
        tracks.lists[c.LIVE, kept] = slot
        kept += 1
        if whole[c.STATE, slot] == c.LOST and whole[c.TRACK_ID, slot] > 0:
            tracks.lists[c.COASTING, tally[c.N_COASTING]] = slot
            tally[c.N_COASTING] += 1
    tally[c.N_LIVE] = kept


@inlined
def _see(tracks: Columns, work: Scratch, slot: int, row: int, pts_s: float) -> None:
    """Notes all that a matched row tells."""
    whole, real, score = tracks.whole, tracks.real, work.score[row]
    work.row[c.ROW_SLOT, row] = slot
    ring = whole[c.HITS, slot] % c.OBSERVATIONS
    tracks.observed[slot, ring, 0] = pts_s
    for side in range(4):
        real[c.SEEN + side, slot] = work.xyxy[row, side]
        tracks.observed[slot, ring, side + 1] = work.xyxy[row, side]
    whole[c.FRESH, slot] = 1
    whole[c.MISSED, slot] = 0
    whole[c.HITS, slot] += 1
    real[c.LAST_S, slot] = pts_s
    real[c.SCORE, slot] = score
    if score > real[c.BEST + 1, slot]:
        real[c.BEST, slot] = pts_s
        real[c.BEST + 1, slot] = score
        for side in range(4):
            real[c.BEST + 2 + side, slot] = work.xyxy[row, side]
    _vote(whole, real, slot, work.row[c.ROW_CLASS, row], score)
    left, top, right, bottom = sides(work.xyxy, row)
    _walk(tracks, slot, pts_s, (left + right) / 2.0, (top + bottom) / 2.0)


@inlined
def _vote(whole: I64, real: F64, slot: int, class_id: int, score: float) -> None:
    """The class with the most score so far; a newcomer takes the seat, and the weight, of the weakest of four."""
    at, weakest = -1, 0
    for seat in range(c.VOTES):
        if whole[c.VOTE_CLASS + seat, slot] == class_id:
            at = seat
            break
        if real[c.VOTE_WEIGHT + seat, slot] < real[c.VOTE_WEIGHT + weakest, slot]:
            weakest = seat
    if at < 0:
        at = weakest
        whole[c.VOTE_CLASS + at, slot] = class_id
    real[c.VOTE_WEIGHT + at, slot] += score
    leader = 0
    for seat in range(1, c.VOTES):
        if real[c.VOTE_WEIGHT + seat, slot] > real[c.VOTE_WEIGHT + leader, slot]:
            leader = seat
    whole[c.CLASS, slot] = whole[c.VOTE_CLASS + leader, slot]


@inlined
def _walk(tracks: Columns, slot: int, pts_s: float, x: float, y: float) -> None:
    """Adds a point to the path, which is thinned to every second point, and twice the step, when it is full."""
    count, path = tracks.whole[c.PATH_COUNT, slot], tracks.path[slot]
    if count > 0 and pts_s - path[count - 1, 0] < tracks.real[c.PATH_STEP_S, slot]:
        return
    if count == c.PATH_POINTS:
        count = c.PATH_POINTS // 2
        for index in range(count):
            for part in range(3):
                path[index, part] = path[2 * index, part]
        tracks.real[c.PATH_STEP_S, slot] = 2.0 * (path[count - 1, 0] - path[0, 0]) / (2 * count - 2)
    path[count, 0] = pts_s
    path[count, 1] = x
    path[count, 2] = y
    tracks.whole[c.PATH_COUNT, slot] = count + 1
