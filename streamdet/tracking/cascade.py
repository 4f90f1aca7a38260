"""ByteTrack's update, compiled: high scores first, then the tracks left take from the low ones, and within reach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamdet.tracking import columns as c
from streamdet.tracking.columns import F64, I64, Columns, Scratch
from streamdet.tracking.compiled import compiled
from streamdet.tracking.kernels import iou
from streamdet.tracking.lifecycle import (
    begin,
    choose_rows,
    choose_slots,
    close_frame,
    end,
    end_overdue,
    lose,
    open_frame,
    pair,
    take,
)
from streamdet.tracking.reach import FIRST_DOUBT, doubt_velocity, pair_within_reach


class CascadeRules(NamedTuple):
    """The options of ByteTrack as the kernel takes them."""

    score_high: float
    score_low: float
    score_new: float
    floor_first: float
    floor_second: float
    floor_tentative: float
    reach: float
    duplicate_iou: float
    modulated: bool
    fused: bool
    by_class: bool
    min_hits: int
    life_s: float


@compiled
def cascade(
    tracks: Columns,
    work: Scratch,
    rules: CascadeRules,
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
    _first_stage(tracks, work, rules, rows, pts_s)
    _second_stage(tracks, work, rules, rows, pts_s)
    _tentative_stage(tracks, work, rules, rows, pts_s)
    _last_stage(tracks, work, rules, rows, pts_s, steps)
    for index in range(choose_rows(work, rows, rules.score_new, np.inf)):
        confirmed = instant or rules.min_hits <= 1
        begin(tracks, work, work.row[c.CHOSEN, index], pts_s, confirmed, rules.life_s)
    end_overdue(tracks, pts_s)
    _end_duplicates(tracks, rules.duplicate_iou)
    close_frame(tracks, work, rows, out_id, out_smooth, out_state)


@compiled
def _first_stage(tracks: Columns, work: Scratch, rules: CascadeRules, rows: int, pts_s: float) -> None:
    """Confirmed and lost tracks take from the rows of high score."""
    high = choose_rows(work, rows, rules.score_high, np.inf)
    slots = choose_slots(tracks, work, False, True, True)
    pair(tracks, work, slots, high, rules.floor_first, rules.modulated, rules.fused, rules.by_class)
    _take(tracks, work, rules, slots, pts_s)


@compiled
def _second_stage(tracks: Columns, work: Scratch, rules: CascadeRules, rows: int, pts_s: float) -> None:
    """Confirmed tracks that are still without a row take from those of low score; the rest is lost."""
    low = choose_rows(work, rows, rules.score_low, rules.score_high)
    slots = choose_slots(tracks, work, False, True, False)
    pair(tracks, work, slots, low, rules.floor_second, False, False, rules.by_class)
    _take(tracks, work, rules, slots, pts_s)
    for index in range(slots):
        if work.slot[c.SLOT_COL, index] < 0:
            lose(tracks, work.slot[c.CHOSEN_SLOT, index])


@compiled
def _tentative_stage(tracks: Columns, work: Scratch, rules: CascadeRules, rows: int, pts_s: float) -> None:
    """Tracks not yet confirmed take from what is left of the high scores."""
    high = choose_rows(work, rows, rules.score_high, np.inf)
    slots = choose_slots(tracks, work, True, False, False)
    pair(tracks, work, slots, high, rules.floor_tentative, rules.modulated, rules.fused, rules.by_class)
    _take(tracks, work, rules, slots, pts_s)


@compiled
def _last_stage(tracks: Columns, work: Scratch, rules: CascadeRules, rows: int, pts_s: float, steps: float) -> None:
    """All that the frame before saw takes from the high scores within reach; still unconfirmed, it is forgotten."""
    high = choose_rows(work, rows, rules.score_high, np.inf)
    if rules.reach > 0.0 and high > 0:
        slots = pair_within_reach(tracks, work, rules.reach, steps, high, rules.by_class)
        doubt_velocity(tracks, work, slots, pts_s, rules.reach, False)
        take(tracks, work, slots, pts_s, rules.min_hits, rules.life_s)
    for index in range(choose_slots(tracks, work, True, False, False)):
        end(tracks, work.slot[c.CHOSEN_SLOT, index], c.ENDED_LOST)


@compiled
def _take(tracks: Columns, work: Scratch, rules: CascadeRules, slots: int, pts_s: float) -> None:
    """Carries out an assignment; a second observation tells a newborn track's velocity almost alone."""
    doubt_velocity(tracks, work, slots, pts_s, FIRST_DOUBT, True)
    take(tracks, work, slots, pts_s, rules.min_hits, rules.life_s)


@compiled
def _end_duplicates(tracks: Columns, duplicate_iou: float) -> None:
    """Where a lost and a present track cover each other, the one with the shorter life ends."""
    real, whole, live = tracks.real, tracks.whole, tracks.lists[c.LIVE]
    count = tracks.tally[c.N_LIVE]
    for at in range(count):
        lost = live[at]
        if whole[c.STATE, lost] != c.LOST or whole[c.REASON, lost]:
            continue
        left, top = real[c.BOX, lost], real[c.BOX + 1, lost]
        right, bottom = real[c.BOX + 2, lost], real[c.BOX + 3, lost]
        lived_s = real[c.LAST_S, lost] - real[c.FIRST_S, lost]
        for index in range(count):
            other = live[index]
            if whole[c.STATE, other] != c.CONFIRMED or whole[c.REASON, other]:
                continue
            left2, top2 = real[c.BOX, other], real[c.BOX + 1, other]
            right2, bottom2 = real[c.BOX + 2, other], real[c.BOX + 3, other]
            if iou(left, top, right, bottom, left2, top2, right2, bottom2) <= duplicate_iou:
                continue
            if whole[c.TRACK_ID, lost] == 0 or real[c.LAST_S, other] - real[c.FIRST_S, other] > lived_s:
                end(tracks, lost, c.ENDED_DUPLICATE)
                break
            end(tracks, other, c.ENDED_DUPLICATE)
