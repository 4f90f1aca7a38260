"""The tail behind the cut, on the CPU: from a network's boxes and class scores to a detector's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import InferenceFailed
from streamdet.infer.compiled import kernels_or_twins
from streamdet.manifest import Nms

Arrays = dict[str, npt.NDArray[Any]]

CUT_BOXES = "sd_boxes"  # f32 [B, N, 4], xyxy in pixels of the input
CUT_SCORES = "sd_scores"  # f32 [B, N, C], final: one number per class
CUT_EXTRAS = {"keypoints": "sd_keypoints", "masks": "sd_masks"}  # [B, N, …], rows that follow their box


class Tail:
    """The graph's static suppression as one kernel: same candidates, same order, same result. One per thread.

    Best class per candidate → those above the floor → the `candidates` best (ties: lower row first) → greedy
    suppression within a class, at an overlap strictly above `iou` → the `max_detections` best. Greedy is the fixed
    point that the graph iterates towards, so `converged` is always true here.
    """

    def __init__(self, nms: Nms, batch: int) -> None:
        self._nms = nms
        self._floor_bits = int(np.float32(nms.floor).view(np.int32))
        self._kernel: Callable[..., None] = kernels_or_twins().tail
        rows = nms.max_detections
        self._out: Arrays = {
            "count": np.zeros(batch, np.int32),
            "xyxy": np.zeros((batch, rows, 4), np.float32),
            "score": np.zeros((batch, rows), np.float32),
            "class_id": np.zeros((batch, rows), np.int32),
            "converged": np.ones(batch, np.bool_),
            "truncated": np.zeros(batch, np.int32),
        }
        self._index = np.zeros((batch, rows), np.int32)
        self._broken = np.zeros(batch, np.int32)

    def run(self, cut: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """The tensors of the cut by name → the detector's arrays by meaning, valid until the next run."""
        boxes, scores = cut[CUT_BOXES], cut[CUT_SCORES]
        n = len(boxes)
        out = {meaning: array[:n] for meaning, array in self._out.items()}
        self._kernel(
            boxes,
            scores.view(np.int32),
            min(self._nms.candidates, boxes.shape[1]),
            np.float32(self._nms.iou),
            self._floor_bits,
            not self._nms.end_to_end,
            out["count"],
            out["xyxy"],
            out["score"].view(np.int32),
            out["class_id"],
            self._index[:n],
            out["truncated"],
            self._broken[:n],
        )
        if self._broken[:n].any():
            raise InferenceFailed(
                "the network's scores are not numbers",
                where=f"{CUT_SCORES}, {int(self._broken[:n].sum())} candidates",
                expected="finite scores",
                got="NaN",
                hint="the model or its precision is broken: streamdet engine check NAME",
            )
        for meaning, name in CUT_EXTRAS.items():
            if name in cut:
                out[meaning] = self._gather(cut[name], out["count"])
        return out

    def _gather(self, extra: npt.NDArray[Any], count: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
        """[B, N, …] → [B, D, …], the rows kept."""
        n = len(extra)
        kept = extra[np.arange(n)[:, None], self._index[:n]]
        for picture in range(n):
            kept[picture, count[picture] :] = 0
        return kept
