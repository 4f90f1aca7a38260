"""The arithmetic of tracking, compiled: overlap, cost-limited assignment, and the 2-state Kalman filter.

Each has a plain twin in `twins`, and the tests hold the two equal.
"""

from __future__ import annotations

import numpy as np

from streamdet.tracking.columns import (
    BOX,
    COL_SLOT,
    DISTANCE,
    DONE,
    DUAL,
    EDGE_START,
    F64,
    FRONTIER,
    I32,
    MATCH_COST,
    PARENT,
    PARENT_COST,
    POSITION,
    PP,
    PV,
    SCALE,
    SETTLED,
    SLOT_COL,
    VELOCITY,
    VV,
    Scratch,
)
from streamdet.tracking.compiled import compiled, inlined

POSITION_STD = 1 / 20  # of a box's width or height, per nominal frame (1/30 s) and per measurement
VELOCITY_STD = 1 / 160  # the same, of its change


@inlined
def sides(xyxy: F64, row: int) -> tuple[float, float, float, float]:
    """One box as four numbers; a slice would cost a reference count in the innermost loop."""
    return xyxy[row, 0], xyxy[row, 1], xyxy[row, 2], xyxy[row, 3]


@inlined
def iou(
    left: float, top: float, right: float, bottom: float, left2: float, top2: float, right2: float, bottom2: float
) -> float:
    """Overlap of two boxes over their union; 0 without overlap."""
    width = min(right, right2) - max(left, left2)
    height = min(bottom, bottom2) - max(top, top2)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    inter = width * height
    return inter / ((right - left) * (bottom - top) + (right2 - left2) * (bottom2 - top2) - inter)


@inlined
def height_overlap(top: float, bottom: float, top2: float, bottom2: float) -> float:
    """Overlap of two vertical spans over their union: what HMIoU multiplies IoU by."""
    return max(min(bottom, bottom2) - max(top, top2), 0.0) / (max(bottom, bottom2) - min(top, top2))


@compiled
def assign(rows: int, cols: int, work: Scratch) -> None:
    """The matching of least total cost, where leaving a row or a column alone costs nothing.

    The candidates of row r are `edge_col` and `edge_cost` from EDGE_START[r] to EDGE_START[r + 1], all costs below
    zero: with cost − limit as cost, this is rectangular assignment on min(cost − limit, 0). Shortest augmenting paths
    over the candidates alone, so the price is that of the crowded corners, not of rows × cols. The answer lies in
    SLOT_COL and COL_SLOT, −1 where alone.
    """
    for col in range(cols):
        work.row[COL_SLOT, col] = -1
        work.price[DUAL, col] = 0.0
        work.price[DISTANCE, col] = np.inf
    for row in range(rows):
        work.slot[SLOT_COL, row] = -1
    for row in range(rows):
        if work.slot[EDGE_START, row] < work.slot[EDGE_START, row + 1]:
            _augment(row, work)


@compiled
def _augment(start: int, work: Scratch) -> None:
    """One row more: the cheapest path to a free column, or to a row that is better left alone."""
    distance, dual = work.price[DISTANCE], work.price[DUAL]
    frontier = settled = 0
    row, reached, offset = start, 0.0, 0.0
    end_row, end_distance, end_col = start, 0.0, -1
    while True:
        frontier = _relax(row, reached - offset, frontier, work)
        if reached - offset < end_distance:
            end_row, end_distance = row, reached - offset
        at = _nearest(frontier, work.row[FRONTIER], distance, work.row[COL_SLOT])
        if at < 0 or distance[work.row[FRONTIER, at]] >= end_distance:
            break
        col = work.row[FRONTIER, at]
        frontier -= 1
        work.row[FRONTIER, at] = work.row[FRONTIER, frontier]
        work.row[SETTLED, settled] = col
        work.row[DONE, col] = 1
        settled += 1
        if work.row[COL_SLOT, col] < 0:
            end_col, end_distance = col, distance[col]
            break
        row, reached = work.row[COL_SLOT, col], distance[col]
        offset = work.price[MATCH_COST, col] - dual[col]
    for index in range(settled):
        col = work.row[SETTLED, index]
        dual[col] += distance[col] - end_distance
        distance[col] = np.inf
        work.row[DONE, col] = 0
    for index in range(frontier):
        distance[work.row[FRONTIER, index]] = np.inf
    _flip(start, end_row, end_col, work)


@compiled
def _relax(row: int, reached: float, frontier: int, work: Scratch) -> int:
    """Looks at the candidates of a row; the new length of the frontier."""
    for edge in range(work.slot[EDGE_START, row], work.slot[EDGE_START, row + 1]):
        col = work.edge_col[edge]
        distance = reached + work.edge_cost[edge] - work.price[DUAL, col]
        known = work.price[DISTANCE, col]
        if distance < known and not work.row[DONE, col]:  # rounding must not reopen a settled column
            if known == np.inf:
                work.row[FRONTIER, frontier] = col
                frontier += 1
            work.price[DISTANCE, col] = distance
            work.row[PARENT, col] = row
            work.price[PARENT_COST, col] = work.edge_cost[edge]
    return frontier


@compiled
def _nearest(frontier: int, cols: I32, distance: F64, col_slot: I32) -> int:
    """The place in the frontier of the nearest column, a free one first among equals."""
    best = -1
    best_distance = np.inf
    for at in range(frontier):
        col = cols[at]
        if distance[col] < best_distance or (distance[col] == best_distance and col_slot[col] < 0):
            best, best_distance = at, distance[col]
    return best


@compiled
def _flip(start: int, end_row: int, end_col: int, work: Scratch) -> None:
    """Hands the columns along the path found."""
    col = end_col
    if col < 0:
        if end_row == start:
            return
        col = work.slot[SLOT_COL, end_row]
        work.slot[SLOT_COL, end_row] = -1
    while True:
        row = work.row[PARENT, col]
        following = work.slot[SLOT_COL, row]
        work.slot[SLOT_COL, row] = col
        work.row[COL_SLOT, col] = row
        work.price[MATCH_COST, col] = work.price[PARENT_COST, col]
        if row == start:
            return
        col = following


@inlined
def predict(real: F64, slot: int, steps: float) -> None:
    """The filter, `steps` nominal frames on: four independent filters of position and velocity.

    The process noise is the sum over `steps` whole frames, a polynomial that holds between them too: predicting over
    a + b equals predicting over a, then b. Its scale is the box at the last match, which prediction does not alter.
    """
    below = steps * (steps - 1.0)
    for axis in range(4):
        size = real[SCALE + (axis & 1), slot]
        q = (POSITION_STD * size) ** 2
        r = (VELOCITY_STD * size) ** 2
        pv, vv = real[PV + axis, slot], real[VV + axis, slot]
        real[POSITION + axis, slot] += steps * real[VELOCITY + axis, slot]
        real[PP + axis, slot] += (
            2.0 * steps * pv + steps * steps * vv + steps * q + r * below * (2.0 * steps - 1.0) / 6.0
        )
        real[PV + axis, slot] += steps * vv + r * below / 2.0
        real[VV + axis, slot] += steps * r
    place(real, slot)


@inlined
def place(real: F64, slot: int) -> None:
    """Writes the filter's box as xyxy; a side never shrinks below a tenth of its last measured length."""
    for axis in range(2):
        half = max(real[POSITION + 2 + axis, slot], 0.1 * real[SCALE + axis, slot]) / 2.0
        real[BOX + axis, slot] = real[POSITION + axis, slot] - half
        real[BOX + 2 + axis, slot] = real[POSITION + axis, slot] + half


@inlined
def correct(real: F64, slot: int, left: float, top: float, right: float, bottom: float) -> None:
    """The filter, given a measured box."""
    measured = ((left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top)
    for axis in range(4):
        noise = (POSITION_STD * real[SCALE + (axis & 1), slot]) ** 2
        residual = measured[axis] - real[POSITION + axis, slot]
        pp, pv = real[PP + axis, slot], real[PV + axis, slot]
        gain, gain_velocity = pp / (pp + noise), pv / (pp + noise)
        real[POSITION + axis, slot] += gain * residual
        real[VELOCITY + axis, slot] += gain_velocity * residual
        real[VV + axis, slot] -= gain_velocity * pv
        real[PV + axis, slot] -= gain * pv
        real[PP + axis, slot] -= gain * pp
    real[SCALE, slot] = right - left
    real[SCALE + 1, slot] = bottom - top
    place(real, slot)


@inlined
def doubt(real: F64, slot: int, steps: float, share: float) -> None:
    """As if the centre's velocity, `steps` nominal frames ago, had been unsure by `share` of the size per frame more.

    With much doubt, the next correction takes position and velocity from the last two measurements.
    """
    variance = share * share * real[SCALE, slot] * real[SCALE + 1, slot]
    for axis in range(2):
        real[PP + axis, slot] += steps * steps * variance
        real[PV + axis, slot] += steps * variance
        real[VV + axis, slot] += variance


@inlined
def begin_filter(real: F64, slot: int, left: float, top: float, right: float, bottom: float) -> None:
    """The filter of a box seen for the first time."""
    measured = ((left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top)
    real[SCALE, slot] = right - left
    real[SCALE + 1, slot] = bottom - top
    for axis in range(4):
        size = real[SCALE + (axis & 1), slot]
        real[POSITION + axis, slot] = measured[axis]
        real[VELOCITY + axis, slot] = 0.0
        real[PP + axis, slot] = (2.0 * POSITION_STD * size) ** 2
        real[PV + axis, slot] = 0.0
        real[VV + axis, slot] = (10.0 * VELOCITY_STD * size) ** 2
    place(real, slot)


@inlined
def move(real: F64, slot: int, motion: F64) -> None:
    """The filter after the camera moved: `motion` [2, 3] maps where things were onto where they are now."""
    zoom = move_filter(real, 0, slot, motion)
    real[SCALE, slot] *= zoom
    real[SCALE + 1, slot] *= zoom
    place(real, slot)


@inlined
def move_filter(real: F64, base: int, slot: int, motion: F64) -> float:
    """Moves the filter that stands in the rows from `base` on; the zoom.

    Squaring the entries of the motion onto the variances keeps the four filters independent.
    """
    a, b, c, d = motion[0, 0], motion[0, 1], motion[1, 0], motion[1, 1]
    zoom = np.sqrt(abs(a * d - b * c))
    for block in (base + POSITION, base + VELOCITY):
        x, y = real[block, slot], real[block + 1, slot]
        real[block, slot] = a * x + b * y
        real[block + 1, slot] = c * x + d * y
        real[block + 2, slot] *= zoom
        real[block + 3, slot] *= zoom
    real[base + POSITION, slot] += motion[0, 2]
    real[base + POSITION + 1, slot] += motion[1, 2]
    for block in (base + PP, base + PV, base + VV):
        across, down = real[block, slot], real[block + 1, slot]
        real[block, slot] = a * a * across + b * b * down
        real[block + 1, slot] = c * c * across + d * d * down
        real[block + 2, slot] *= zoom * zoom
        real[block + 3, slot] *= zoom * zoom
    return float(zoom)
