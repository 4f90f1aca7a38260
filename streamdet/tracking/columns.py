"""What a tracker remembers: a column per property and a place (a slot) per track; no object per track.

Columns of one type are the rows of one matrix, so that a kernel is handed a few arrays and not sixty. They grow by
doubling and are never given back: a stream's tracker allocates nothing once it has seen its crowd.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]

TENTATIVE, CONFIRMED, LOST = 1, 2, 3  # TrackState as plain numbers, for the kernels

# Why a track ended; 0 while it lives.
REASONS = ("", "lost", "left", "duplicate", "time_gap", "epoch_end")
ENDED_LOST, ENDED_LEFT, ENDED_DUPLICATE, ENDED_GAP, ENDED_EPOCH = range(1, 6)

NOMINAL_FPS = 30.0  # noise and velocities are per nominal frame, and elapsed time is counted in these

PATH_POINTS = 64  # a path longer than this is thinned to every second point
VOTES = 4  # classes that a track's vote holds apart
OBSERVATIONS = 16  # OC-SORT looks back a tenth of a second: enough up to 160 frames per second

# Places in `tally`: lengths of the lists, the next id, and rows refused.
N_LIVE, N_FREE, N_STARTED, N_ENDED, N_COASTING, NEXT_ID, NOT_FINITE, INVERTED, NO_ROOM = range(9)

# Rows of `lists`. LIVE is oldest first; what ENDED holds is freed by the next update.
LIVE, FREE, STARTED, ENDED, COASTING = range(5)

# Rows of `whole`.
TRACK_ID = 0  # 0: not yet confirmed, or remembered from the epoch before and not seen in this one
CONTINUES = 1  # the id in the epoch before, 0: none
STATE = 2
REASON = 3
FRESH = 4  # 1: matched or begun by this update
HITS = 5  # rows matched
CLASS = 6  # by vote
PATH_COUNT = 7
MISSED = 8  # updates since the last match
VOTE_CLASS = 9  # … VOTES rows, −1: none yet
WHOLE_ROWS = VOTE_CLASS + VOTES

# Rows of `real`. Those of four are centre x, centre y, width, height, or the sides of a box.
POSITION = 0  # 4
VELOCITY = 4  # 4, per nominal frame
PP = 8  # 4, variance of position
PV = 12  # 4, covariance of position and velocity
VV = 16  # 4, variance of velocity
FILTER_ROWS = 20  # POSITION … VV
SCALE = 20  # 2, width and height at the last match: what the noise is a share of
BOX = 22  # 4, the predicted xyxy, then the smoothed one
SEEN = 26  # 4, xyxy of the last row matched
FIRST_S = 30
LAST_S = 31  # the last match
LIFE_S = 32  # how long it may stay unmatched
SCORE = 33  # of the last row matched
BEST = 34  # 6, pts_s, score and xyxy of the best frame
PATH_STEP_S = 40  # the least time between two points of the path
VOTE_WEIGHT = 41  # VOTES
AS_SEEN = VOTE_WEIGHT + VOTES  # FILTER_ROWS, POSITION … VV as they stood after the last match
REAL_ROWS = AS_SEEN + FILTER_ROWS


class Columns(NamedTuple):
    """The tracks of one stream; C slots."""

    tally: I64  # [9]
    extent: F64  # [2], the furthest right and bottom edges that any box has had
    lists: I32  # [5, C]
    whole: I64  # [WHOLE_ROWS, C]
    real: F64  # [REAL_ROWS, C]
    path: F64  # [C, PATH_POINTS, 3], pts_s and centre
    observed: F64  # [C, OBSERVATIONS, 5], a ring of pts_s and xyxy

    @property
    def capacity(self) -> int:
        """How many tracks fit."""
        return int(self.lists.shape[1])


# Rows of `Scratch.row` and `Scratch.slot`.
ROW_CLASS, ROW_SLOT, ROW_USABLE, CHOSEN, COL_SLOT, PARENT, FRONTIER, SETTLED, DONE = range(9)
CHOSEN_SLOT, SLOT_COL, EDGE_START = range(3)
DUAL, DISTANCE, PARENT_COST, MATCH_COST = range(4)


class Scratch(NamedTuple):
    """Room to work in: N rows (columns of an assignment), C slots, E candidate pairs."""

    xyxy: F64  # [N, 4]
    score: F64  # [N] as the engine gave it: what events tell, what classes are voted with
    level: F64  # [N] the score on the scale of the tracker's settings
    row: I32  # [9, N]: class, slot (−1: none), usable, the rows of a stage, and what the assignment needs
    price: F64  # [4, N], of the assignment
    slot: I32  # [3, C + 1]: the slots of a stage, the column of each (−1: none), where its candidates begin
    edge_col: I32  # [E]
    edge_cost: F64  # [E]


def make_columns(capacity: int) -> Columns:
    """Empty columns with room for `capacity` tracks."""
    columns = Columns(
        tally=np.zeros(9, np.int64),
        extent=np.zeros(2, np.float64),
        lists=np.zeros((5, capacity), np.int32),
        whole=np.zeros((WHOLE_ROWS, capacity), np.int64),
        real=np.zeros((REAL_ROWS, capacity), np.float64),
        path=np.zeros((capacity, PATH_POINTS, 3), np.float64),
        observed=np.zeros((capacity, OBSERVATIONS, 5), np.float64),
    )
    columns.lists[FREE] = np.arange(capacity - 1, -1, -1)
    columns.tally[N_FREE] = capacity
    columns.tally[NEXT_ID] = 1
    return columns


def grown_columns(old: Columns, capacity: int) -> Columns:
    """The same tracks in the same slots, with room for `capacity` of them."""
    new = make_columns(capacity)
    before, free = old.capacity, int(old.tally[N_FREE])
    new.tally[:] = old.tally
    new.extent[:] = old.extent
    for name in ("lists", "whole", "real"):
        getattr(new, name)[:, :before] = getattr(old, name)
    new.path[:before] = old.path
    new.observed[:before] = old.observed
    added = capacity - before
    new.lists[FREE, :added] = np.arange(capacity - 1, before - 1, -1)
    new.lists[FREE, added : added + free] = old.lists[FREE, :free]
    new.tally[N_FREE] = added + free
    return new


def make_scratch(rows: int, slots: int, pairs: int) -> Scratch:
    """Room for an update of so many rows, slots and candidate pairs."""
    return Scratch(
        xyxy=np.zeros((rows, 4), np.float64),
        score=np.zeros(rows, np.float64),
        level=np.zeros(rows, np.float64),
        row=np.zeros((9, rows), np.int32),
        price=np.zeros((4, rows), np.float64),
        slot=np.zeros((3, slots + 1), np.int32),
        edge_col=np.zeros(pairs, np.int32),
        edge_cost=np.zeros(pairs, np.float64),
    )
