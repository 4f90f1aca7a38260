"""Whether detections are those that a set of candidates must give: matched by place and class, never by row.

Two runtimes round differently, so decisions on a knife's edge may fall either way: a score beside the threshold, an
overlap beside the limit, two rivals with the same score, two classes with the same score. Such candidates are *open*:
they may be found or not, and are counted as left out. Everything else must be found, and nothing else may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet import boxes
from streamdet.graft.reference import Candidates, Found, suppress
from streamdet.manifest import Nms

_GONE, _KEPT, _OPEN = 0, 1, 2


@dataclass(frozen=True)
class Tolerance:
    """How far apart two numbers may be and still count as the same."""

    box_px: float = 0.05  # per edge; boxes beyond 1000 px in proportion
    score: float = 1e-3
    margin: float = 1e-3  # a decision nearer than this to its threshold is open


@dataclass(frozen=True)
class Agreement:
    """The outcome over some pictures."""

    pictures: int = 0
    compared: int = 0  # detections that had to be found
    left_out: int = 0  # open candidates
    missing: int = 0
    surplus: int = 0
    worst_px: float = 0.0
    worst_score: float = 0.0

    def holds(self, share: float = 0.0) -> bool:
        """Nothing missing and nothing too many, or no more than that share of what had to be found."""
        allowed = share * self.compared
        return self.missing <= allowed and self.surplus <= allowed

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.pictures + other.pictures,
            self.compared + other.compared,
            self.left_out + other.left_out,
            self.missing + other.missing,
            self.surplus + other.surplus,
            max(self.worst_px, other.worst_px),
            max(self.worst_score, other.worst_score),
        )

    def __str__(self) -> str:
        return (
            f"{self.compared} detections in {self.pictures} pictures compared, {self.left_out} on the edge left out, "
            f"{self.missing} missing, {self.surplus} too many, off by at most {self.worst_px:.3g} px "
            f"and {self.worst_score:.2g} in score"
        )


def agreement(
    candidates: Candidates, found: Found, nms: Nms, tolerance: Tolerance | None = None, above: float | None = None
) -> Agreement:
    """Hold detections of one picture, those scored higher than `above`, against the candidates behind them."""
    tolerance = tolerance or Tolerance()
    above = nms.floor if above is None else above
    rows, state, unsure = _decide(candidates, nms, tolerance.margin, above)
    score, class_id = candidates.best()
    alive = state != _GONE
    rows, state, unsure = rows[alive], state[alive], unsure[alive]
    xyxy, score, class_id = candidates.xyxy[rows], score[rows], class_id[rows]
    free = np.ones(len(rows), bool)
    surplus, worst_px, worst_score = 0, 0.0, 0.0
    for box, its_score, its_class in zip(found.xyxy, found.score, found.class_id, strict=True):
        apart = np.abs(xyxy - box).max(axis=1, initial=0.0)
        reach = tolerance.box_px * max(1.0, float(np.abs(box).max()) / 1000)
        off = np.abs(score - its_score)
        same = free & (apart <= reach) & (off <= tolerance.score) & ((class_id == its_class) | unsure)
        if not same.any():
            # Right beside the threshold it may have been left out of the candidates.
            surplus += int(its_score > above + tolerance.margin)
            continue
        match = int(np.argmin(np.where(same, apart + (state == _OPEN) * reach, np.inf)))
        free[match] = False
        worst_px, worst_score = max(worst_px, float(apart[match])), max(worst_score, float(off[match]))
    needed = state == _KEPT
    return Agreement(
        1, int(needed.sum()), int((~needed).sum()), int((needed & free).sum()), surplus, worst_px, worst_score
    )


def _decide(
    candidates: Candidates, nms: Nms, margin: float, above: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Rows that could be found, best first; what greedy suppression does to each; and whose class is open."""
    score, class_id = candidates.best()
    order = np.argsort(-score, kind="stable")
    last = score[order[nms.candidates - 1]] if len(order) > nms.candidates else -np.inf
    order = order[(score[order] > above - margin) & (score[order] >= last - margin)]
    xyxy, score, class_id = candidates.xyxy[order], score[order], class_id[order]
    unsure = _class_is_open(candidates.scores[order], margin)
    same = (class_id[:, None] == class_id[None]) | unsure[:, None] | unsure[None]
    sure_class = same & ~unsure[:, None] & ~unsure[None]
    overlap = boxes.iou(xyxy, xyxy)
    edge = (score <= above + margin) | (score <= last + margin) | unsure
    state = np.full(len(order), _OPEN)
    if nms.end_to_end:
        overlap = np.zeros_like(overlap)
    place = np.arange(len(order))
    for i in place:
        rivals = same[i] & (overlap[i] > nms.iou - margin) & (place != i)
        before = place < i
        surely = rivals & sure_class[i] & (state == _KEPT) & (score > score[i] + margin)
        surely &= overlap[i] > nms.iou + margin
        possibly = rivals & (state != _GONE) & (before | (score >= score[i] - margin))
        ahead = before & (score > score[i] + margin) & (state == _KEPT)
        could_be_ahead = (place != i) & (score >= score[i] - margin) & (state != _GONE)
        if surely.any() or ahead.sum() >= nms.max_detections:
            state[i] = _GONE
        elif not (possibly.any() or edge[i] or could_be_ahead.sum() >= nms.max_detections):
            state[i] = _KEPT
    return order, state, unsure


def _class_is_open(scores: npt.NDArray[np.float32], margin: float) -> npt.NDArray[np.bool_]:
    """[N, C] → [N]: whether the two best classes are as good as equal."""
    if scores.shape[1] < 2 or not len(scores):
        return np.zeros(len(scores), bool)
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0] <= margin)


def resemblance(
    candidates: Candidates, found: Found, nms: Nms, overlap: float, margin: float, above: float
) -> Agreement:
    """The same for a less precise twin of a network, whose scores wander.

    A detection of the reference that clears the threshold by `margin` must overlap one that was found, of its class,
    by at least `overlap`; and each one found so clearly must overlap a candidate of the reference. On both sides, the
    other may score as little as `margin` below the threshold.
    """
    found = found.above(above - margin)
    reference = suppress(candidates.above(above - margin), nms)
    needed = reference.score > above + margin
    clear = found.score > above + margin
    near = (boxes.iou(reference.xyxy, found.xyxy) >= overlap) & (reference.class_id[:, None] == found.class_id[None])
    pool = candidates.above(above - margin)
    backed = (boxes.iou(pool.xyxy, found.xyxy) >= overlap) & (pool.best()[1][:, None] == found.class_id[None])
    apart = np.abs(reference.xyxy[:, None] - found.xyxy[None]).max(axis=2)
    off = np.abs(reference.score[:, None] - found.score[None])
    return Agreement(
        1,
        int(needed.sum()),
        int((~needed).sum()),
        int((needed & ~near.any(axis=1)).sum()),
        int((clear & ~backed.any(axis=0)).sum()),
        float(_nearest(apart, near, needed)),
        float(_nearest(off, near, needed)),
    )


def _nearest(distance: npt.NDArray[np.float32], near: npt.NDArray[np.bool_], needed: npt.NDArray[np.bool_]) -> float:
    """The largest of the distances between each needed row and its best match."""
    best = np.where(near, distance, np.inf).min(axis=1, initial=np.inf)[needed]
    return float(best[np.isfinite(best)].max(initial=0.0))
