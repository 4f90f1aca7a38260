"""The last stage of matching: objects that moved further than their boxes overlap. Plates are small, flat and fast.

A box seen once has no velocity, and a flat one that turns or brakes leaves its own outline within a frame. What the
frame before saw takes from the rows left over within its reach: both boxes are grown by what the object may have moved,
and their shapes must agree. What another object may hide is not looked for elsewhere: in a crowd a row left over is
far more often a newcomer.
"""

from __future__ import annotations

import numpy as np

from streamdet.tracking import columns as c
from streamdet.tracking.columns import Columns, Scratch
from streamdet.tracking.compiled import compiled, inlined
from streamdet.tracking.kernels import assign, doubt, iou, sides

MOST_REACH = 1.5  # of an object's size (the root of its area): after a long pause everything would be in reach
FLOOR = 0.3  # least agreement of shape times overlap of the grown boxes
HIDDEN = 0.2  # share of a box under another object's, from which on it may be hidden
FIRST_DOUBT = 0.1  # of its size per nominal frame: how fast an object seen once may be, for all the filter knows


@compiled
def pair_within_reach(tracks: Columns, work: Scratch, reach: float, steps: float, cols: int, by_class: bool) -> int:
    """Assigns the chosen rows to the tracks left, `steps` nominal frames after the frame before; how many slots."""
    chosen = _choose(tracks, work)
    edges = 0
    for index in range(chosen):
        slot = work.slot[c.CHOSEN_SLOT, index]
        work.slot[c.EDGE_START, index] = edges
        size = np.sqrt(tracks.real[c.SCALE, slot] * tracks.real[c.SCALE + 1, slot])
        margin = min(reach * steps, MOST_REACH) * size
        for col in range(cols):
            row = work.row[c.CHOSEN, col]
            if by_class and work.row[c.ROW_CLASS, row] != tracks.whole[c.CLASS, slot]:
                continue
            similarity = _within_reach(tracks, work, slot, row, margin)
            if similarity > FLOOR:
                work.edge_col[edges] = col
                work.edge_cost[edges] = FLOOR - similarity
                edges += 1
    work.slot[c.EDGE_START, chosen] = edges
    assign(chosen, cols, work)
    return chosen


@compiled
def doubt_velocity(tracks: Columns, work: Scratch, slots: int, pts_s: float, share: float, newborn: bool) -> None:
    """Before `take`: the velocity of the tracks matched, or only of the newborn among them, may be wrong."""
    for index in range(slots):
        slot = work.slot[c.CHOSEN_SLOT, index]
        if work.slot[c.SLOT_COL, index] >= 0 and (tracks.whole[c.HITS, slot] == 1 or not newborn):
            doubt(tracks.real, slot, (pts_s - tracks.real[c.LAST_S, slot]) * c.NOMINAL_FPS, share)


@compiled
def _choose(tracks: Columns, work: Scratch) -> int:
    """Lists the tracks that the frame before saw, this one not yet, and that nothing may hide."""
    count = 0
    for index in range(tracks.tally[c.N_LIVE]):
        slot = tracks.lists[c.LIVE, index]
        waiting = tracks.whole[c.MISSED, slot] == 1 and not tracks.whole[c.REASON, slot]
        if waiting and tracks.whole[c.HITS, slot] > 0 and not _hidden(tracks, slot):
            work.slot[c.CHOSEN_SLOT, count] = slot
            count += 1
    return count


@inlined
def _within_reach(tracks: Columns, work: Scratch, slot: int, row: int, margin: float) -> float:
    """Overlap of both boxes grown by `margin`, times how well their widths and heights agree."""
    left, top, right, bottom = sides(work.xyxy, row)
    left -= margin
    top -= margin
    right += margin
    bottom += margin
    left2, top2 = tracks.real[c.BOX, slot] - margin, tracks.real[c.BOX + 1, slot] - margin
    right2, bottom2 = tracks.real[c.BOX + 2, slot] + margin, tracks.real[c.BOX + 3, slot] + margin
    if right2 <= left or left2 >= right or bottom2 <= top or top2 >= bottom:
        return 0.0
    both = 2.0 * margin
    width, height = right - left - both, bottom - top - both
    width2, height2 = right2 - left2 - both, bottom2 - top2 - both
    shape = min(width, width2) * min(height, height2) / (max(width, width2) * max(height, height2))
    return float(shape * iou(left, top, right, bottom, left2, top2, right2, bottom2))


@compiled
def _hidden(tracks: Columns, slot: int) -> bool:
    """Whether an object that this frame saw covers a good part of where the track is believed to be."""
    real = tracks.real
    left, top = real[c.BOX, slot], real[c.BOX + 1, slot]
    right, bottom = real[c.BOX + 2, slot], real[c.BOX + 3, slot]
    enough = HIDDEN * (right - left) * (bottom - top)
    for index in range(tracks.tally[c.N_LIVE]):
        other = tracks.lists[c.LIVE, index]
        if tracks.whole[c.FRESH, other]:
            width = min(right, real[c.BOX + 2, other]) - max(left, real[c.BOX, other])
            height = min(bottom, real[c.BOX + 3, other]) - max(top, real[c.BOX + 1, other])
            if width > 0.0 and height > 0.0 and width * height > enough:
                return True
    return False
