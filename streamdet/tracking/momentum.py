"""OC-SORT's update, compiled: overlap and direction, a second look where it was last seen, and the filter re-run.

SORT is the same without the three.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from streamdet.tracking import columns as c
from streamdet.tracking.columns import F64, I64, Columns, Scratch
from streamdet.tracking.compiled import compiled, inlined
from streamdet.tracking.kernels import assign, correct, iou, move_filter, predict, sides
from streamdet.tracking.lifecycle import (
    begin,
    choose_rows,
    choose_slots,
    close_frame,
    end_overdue,
    lose,
    match,
    open_frame,
)

MOST_REPLAYED = 60  # steps of a re-run; a longer loss takes longer ones


class MomentumRules(NamedTuple):
    """The options of OC-SORT and SORT as the kernel takes them."""

    score: float
    floor: float
    inertia: float
    look_back_s: float
    recover: bool
    rerun: bool
    by_class: bool
    min_hits: int
    life_s: float


@compiled
def momentum(
    tracks: Columns,
    work: Scratch,
    rules: MomentumRules,
    rows: int,
    pts_s: float,
    steps: float,
    motion: F64,
    moved: bool,
    instant: bool,
    out_id: I64,
    out_smooth: F64,
    out_state: I64,
) -> None:
    """One frame; the answer goes to the three columns at the end."""
    open_frame(tracks, work, rows, steps, motion, moved)
    if moved:
        _move_memory(tracks, motion)
    _stage(tracks, work, rules, rows, pts_s, False)
    if rules.recover:
        _stage(tracks, work, rules, rows, pts_s, True)
    for index in range(choose_slots(tracks, work, True, True, True)):
        lose(tracks, work.slot[c.CHOSEN_SLOT, index])
    for index in range(choose_rows(work, rows, rules.score, np.inf)):
        confirmed = instant or rules.min_hits <= 1
        row = work.row[c.CHOSEN, index]
        begin(tracks, work, row, pts_s, confirmed, rules.life_s)
        _keep(tracks.real, work.row[c.ROW_SLOT, row])
    end_overdue(tracks, pts_s)
    close_frame(tracks, work, rows, out_id, out_smooth, out_state)


@compiled
def _stage(tracks: Columns, work: Scratch, rules: MomentumRules, rows: int, pts_s: float, recovering: bool) -> None:
    """Every track takes from the rows: by its predicted box, or, recovering, by the box where it was last seen."""
    chosen = choose_rows(work, rows, rules.score, np.inf)
    slots = choose_slots(tracks, work, True, True, True)
    _pair(tracks, work, rules, slots, chosen, pts_s, recovering)
    for index in range(slots):
        col = work.slot[c.SLOT_COL, index]
        if col >= 0:
            slot, row = work.slot[c.CHOSEN_SLOT, index], work.row[c.CHOSEN, col]
            if rules.rerun and tracks.whole[c.MISSED, slot] > 1:
                _rerun(tracks, work, slot, row, pts_s)
            match(tracks, work, slot, row, pts_s, rules.min_hits, rules.life_s)
            _keep(tracks.real, slot)


@compiled
def _pair(
    tracks: Columns, work: Scratch, rules: MomentumRules, slots: int, rows: int, pts_s: float, recovering: bool
) -> None:
    """Assigns rows to slots: the most overlap and agreement of direction, among pairs that overlap enough."""
    edges = 0
    for index in range(slots):
        slot = work.slot[c.CHOSEN_SLOT, index]
        work.slot[c.EDGE_START, index] = edges
        left, top = tracks.real[c.BOX, slot], tracks.real[c.BOX + 1, slot]
        right, bottom = tracks.real[c.BOX + 2, slot], tracks.real[c.BOX + 3, slot]
        last = (tracks.whole[c.HITS, slot] - 1) % c.OBSERVATIONS
        if recovering:
            left, top = tracks.observed[slot, last, 1], tracks.observed[slot, last, 2]
            right, bottom = tracks.observed[slot, last, 3], tracks.observed[slot, last, 4]
        for col in range(rows):
            row = work.row[c.CHOSEN, col]
            left2, top2, right2, bottom2 = sides(work.xyxy, row)
            if right2 <= left or left2 >= right or bottom2 <= top or top2 >= bottom:
                continue
            if rules.by_class and work.row[c.ROW_CLASS, row] != tracks.whole[c.CLASS, slot]:
                continue
            overlap = iou(left, top, right, bottom, left2, top2, right2, bottom2)
            if overlap >= rules.floor:
                bonus = 0.0
                if rules.inertia > 0.0 and not recovering:
                    bonus = rules.inertia * work.level[row] * _agreement(tracks, slot, last, work, row, pts_s, rules)
                work.edge_col[edges] = col
                work.edge_cost[edges] = -(overlap + bonus)
                edges += 1
    work.slot[c.EDGE_START, slots] = edges
    assign(slots, rows, work)


@compiled
def _agreement(
    tracks: Columns, slot: int, last: int, work: Scratch, row: int, pts_s: float, rules: MomentumRules
) -> float:
    """How well the way to a row agrees with the way the track has come: 0.5 the same, −0.5 the opposite."""
    seen = tracks.observed
    hits = tracks.whole[c.HITS, slot]
    origin = _look_back(seen, slot, hits, seen[slot, last, 0] - rules.look_back_s)
    if origin == last:
        return 0.0
    from_x, from_y = _centre(seen, slot, origin)
    at_x, at_y = _centre(seen, slot, last)
    before_x, before_y = _centre(seen, slot, _look_back(seen, slot, hits, pts_s - rules.look_back_s))
    left, top, right, bottom = sides(work.xyxy, row)
    along_x, along_y = at_x - from_x, at_y - from_y
    way_x, way_y = (left + right) / 2.0 - before_x, (top + bottom) / 2.0 - before_y
    length = (math.hypot(along_x, along_y) + 1e-6) * (math.hypot(way_x, way_y) + 1e-6)
    cosine = (along_x * way_x + along_y * way_y) / length
    return 0.5 - math.acos(min(max(cosine, -1.0), 1.0)) / math.pi


@inlined
def _centre(seen: F64, slot: int, ring: int) -> tuple[float, float]:
    return (seen[slot, ring, 1] + seen[slot, ring, 3]) / 2.0, (seen[slot, ring, 2] + seen[slot, ring, 4]) / 2.0


@inlined
def _look_back(seen: F64, slot: int, hits: int, since_s: float) -> int:
    """The place of the oldest observation not older than `since_s`; the last one where all are."""
    place = (hits - 1) % c.OBSERVATIONS
    for back in range(2, min(hits, c.OBSERVATIONS) + 1):
        earlier = (hits - back) % c.OBSERVATIONS
        if seen[slot, earlier, 0] < since_s - 1e-6:
            break
        place = earlier
    return place


@inlined
def _keep(real: F64, slot: int) -> None:
    """Notes the filter as it stands after a match."""
    if slot >= 0:
        for row in range(c.FILTER_ROWS):
            real[c.AS_SEEN + row, slot] = real[c.POSITION + row, slot]


@compiled
def _rerun(tracks: Columns, work: Scratch, slot: int, row: int, pts_s: float) -> None:
    """Found again: runs the filter anew from before the loss, along the straight line to where the object is now."""
    real = tracks.real
    last = (tracks.whole[c.HITS, slot] - 1) % c.OBSERVATIONS
    elapsed = (pts_s - real[c.LAST_S, slot]) * c.NOMINAL_FPS
    count = min(max(round(elapsed), 1), MOST_REPLAYED)
    for place in range(c.FILTER_ROWS):
        real[c.POSITION + place, slot] = real[c.AS_SEEN + place, slot]
    left, top, right, bottom = sides(work.xyxy, row)
    left0, top0 = tracks.observed[slot, last, 1], tracks.observed[slot, last, 2]
    right0, bottom0 = tracks.observed[slot, last, 3], tracks.observed[slot, last, 4]
    for step in range(1, count):
        share = step / count
        predict(real, slot, elapsed / count)
        correct(
            real,
            slot,
            left0 + share * (left - left0),
            top0 + share * (top - top0),
            right0 + share * (right - right0),
            bottom0 + share * (bottom - bottom0),
        )
    predict(real, slot, elapsed / count)


@compiled
def _move_memory(tracks: Columns, motion: F64) -> None:
    """The camera moved: what was seen before it did is moved along."""
    for index in range(tracks.tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        move_filter(tracks.real, c.AS_SEEN, slot, motion)
        for ring in range(c.OBSERVATIONS):
            for corner in (1, 3):
                x, y = tracks.observed[slot, ring, corner], tracks.observed[slot, ring, corner + 1]
                tracks.observed[slot, ring, corner] = motion[0, 0] * x + motion[0, 1] * y + motion[0, 2]
                tracks.observed[slot, ring, corner + 1] = motion[1, 0] * x + motion[1, 1] * y + motion[1, 2]
