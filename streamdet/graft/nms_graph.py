"""Greedy suppression as a graph of ordinary operators with fixed shapes.

Candidates are the K best; who suppresses whom is a matrix; the set of the kept is the fixed point of

    kept ← valid and not (some kept, better candidate of the same class overlaps too much)

which is greedy suppression exactly as soon as two iterates are equal (`converged`). After t rounds every candidate
whose chain of suppressors is at most t long is final, so a graph cut off too early errs in long chains only.
Nothing depends on data: it runs in ONNX Runtime, OpenVINO and TensorRT without a plugin and inside a CUDA graph.

    sd_boxes   f32 [B, N, 4]  xyxy in pixels of the input        count     i32  [B]
    sd_scores  f32 [B, N, C]                                     xyxy      f32  [B, D, 4]
    sd_keypoints f32 [B, N, P, 3], sd_masks f32 [B, N, h, w]  →  score     f32  [B, D]
               (where the network has them)                      class_id  i32  [B, D]
                                                                 converged bool [B]
                                                                 truncated i32  [B]  above the floor, yet beyond K
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamdet.graft.writer import GraphWriter, Tensor
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES
from streamdet.manifest import Nms

# TensorRT's importer refuses a TopK of 3840 or more.
TOPK_LIMIT = 3839


@dataclass(frozen=True)
class CutShape:
    """The fixed sizes at the cut."""

    candidates: int  # N
    classes: int  # C
    extras: dict[str, tuple[int, ...]] = field(default_factory=dict)  # keypoints → (P, 3), masks → (h, w)


def write_nms(writer: GraphWriter, shape: CutShape, settings: Nms) -> dict[str, Tensor]:
    """Append the tail to a graph that holds the tensors of the cut; returns meaning → output name."""
    k = min(settings.candidates, shape.candidates, TOPK_LIMIT)
    d = min(settings.max_detections, k)
    best = writer.reduce("ReduceMax", CUT_SCORES, 2)  # [B, N]
    class_id = writer.cast(writer.op("ArgMax", CUT_SCORES, axis=2, keepdims=0), np.int32)
    score, row = writer.op_many("TopK", [best, writer.integers(k)], 2, axis=1, largest=1, sorted=1)  # [B, K] each
    classes = writer.op("GatherElements", class_id, row, axis=1)  # [B, K]
    boxes = _rows(writer, CUT_BOXES, row, 4)  # [B, K, 4]
    better = _better(writer, score, row)
    valid = writer.cast(writer.op("Greater", score, writer.constant(settings.floor)), np.float32)  # [B, K]
    if settings.end_to_end:
        kept, converged = valid, _all_below(writer, writer.op("Sub", valid, valid), "converged")
    else:
        matrix = _suppression(writer, boxes, classes, better, settings.iou)
        kept, converged = _fixed_point(writer, valid, matrix, settings.iterations)
    chosen, held = _choose(writer, kept, better, k, d)
    outputs = {
        "count": writer.cast(writer.reduce("ReduceSum", writer.cast(held, np.float32), 1), np.int32, "count"),
        "xyxy": _pick(writer, boxes, chosen, held, (4,), "xyxy"),
        "score": _pick(writer, score, chosen, held, (), "score"),
        "class_id": _pick(writer, classes, chosen, held, (), "class_id"),
        "converged": converged,
        "truncated": _truncated(writer, best, valid, settings.floor),
    }
    for meaning, dims in shape.extras.items():
        width = int(np.prod(dims))
        flat = writer.reshape(CUT_EXTRAS[meaning], 0, 0, width)
        outputs[meaning] = _pick(writer, _rows(writer, flat, row, width), chosen, held, dims, meaning)
    return outputs


def _rows(writer: GraphWriter, tensor: Tensor, row: Tensor, width: int) -> Tensor:
    """tensor [B, N, width], row [B, M] → [B, M, width]."""
    # Expand broadcasts both ways, so [1, 1, width] leaves the dynamic batch alone.
    index = writer.op("Expand", writer.unsqueeze(row, 2), writer.integers(1, 1, width))
    return writer.op("GatherElements", tensor, index, axis=1)


def _across(writer: GraphWriter, column: Tensor) -> Tensor:
    """[B, K, 1] → [B, 1, K]."""
    return writer.op("Transpose", column, perm=[0, 2, 1])


def _better(writer: GraphWriter, score: Tensor, row: Tensor) -> Tensor:
    """Bool [B, K, K]: candidate i comes before j, by score, and of equal scores the earlier row."""
    # TopK leaves the order of equal scores open, and OpenVINO's differs from ONNX Runtime's: so it is never relied on.
    score, row = writer.unsqueeze(score, 2), writer.unsqueeze(writer.cast(row, np.int32), 2)
    higher = writer.op("Greater", score, _across(writer, score))
    equal = writer.op("Equal", score, _across(writer, score))
    earlier = writer.op("Less", row, _across(writer, row))
    return writer.op("Or", higher, writer.op("And", equal, earlier))


def _suppression(writer: GraphWriter, boxes: Tensor, classes: Tensor, better: Tensor, limit: float) -> Tensor:
    """M [B, K, K] as 0 or 1: candidate i, if kept, suppresses candidate j."""
    edges = [writer.column(boxes, i) for i in range(4)]  # [B, K, 1] each
    across = [_across(writer, edge) for edge in edges]  # [B, 1, K] each
    zero = writer.constant(0.0)

    def side(low: Tensor, high: Tensor) -> Tensor:
        return writer.op("Max", writer.op("Sub", high, low), zero)

    width = side(writer.op("Max", edges[0], across[0]), writer.op("Min", edges[2], across[2]))
    height = side(writer.op("Max", edges[1], across[1]), writer.op("Min", edges[3], across[3]))
    inter = writer.op("Mul", width, height)  # [B, K, K]
    size = writer.op("Mul", side(edges[0], edges[2]), side(edges[1], edges[3]))  # [B, K, 1]
    union = writer.op("Sub", writer.op("Add", size, _across(writer, size)), inter)
    # No division (0/0), and classes compared as such: shifting boxes apart by class costs them their last bits.
    overlap = writer.op("Greater", inter, writer.op("Mul", writer.constant(limit), union))
    class_column = writer.unsqueeze(classes, 2)
    same = writer.op("Equal", class_column, _across(writer, class_column))
    return writer.cast(writer.op("And", writer.op("And", overlap, same), better), np.float32)


def _fixed_point(writer: GraphWriter, valid: Tensor, matrix: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """The kept candidates as 0 or 1, [B, K], and whether the last two rounds agree, [B]."""
    valid = writer.unsqueeze(valid, 1)  # [B, 1, K]
    half = writer.constant(0.5)
    kept = before = valid
    for _ in range(iterations):
        before = kept
        suppressors = writer.op("MatMul", kept, matrix)  # [B, 1, K], whole numbers
        kept = writer.op("Mul", valid, writer.cast(writer.op("Less", suppressors, half), np.float32))
    change = writer.op("Abs", writer.op("Sub", kept, before))
    return writer.squeeze(kept, 1), _all_below(writer, writer.squeeze(change, 1), "converged")


def _all_below(writer: GraphWriter, tensor: Tensor, name: str) -> Tensor:
    """[B, K] → bool [B]: no entry reaches a half."""
    return writer.op("Less", writer.reduce("ReduceMax", tensor, 1), writer.constant(0.5), name=name)


def _choose(writer: GraphWriter, kept: Tensor, better: Tensor, k: int, d: int) -> tuple[Tensor, Tensor]:
    """Where the first D kept candidates stand, i64 [B, D], and which of those places hold one, bool [B, D]."""
    rank = writer.reduce("ReduceSum", writer.cast(better, np.float32), 1)  # [B, K]: how many are better
    key = writer.op("Mul", kept, writer.op("Sub", writer.constant(float(k)), rank))  # 1 and more, without ties
    keys, chosen = writer.op_many("TopK", [key, writer.integers(d)], 2, axis=1, largest=1, sorted=1)
    return chosen, writer.op("Greater", keys, writer.constant(0.5))


def _pick(
    writer: GraphWriter, tensor: Tensor, chosen: Tensor, held: Tensor, dims: tuple[int, ...], name: str
) -> Tensor:
    """[B, K, …] → [B, D, …]: the chosen rows, zero where none is held."""
    if not dims:
        zero = writer.constant(0, np.int32) if name == "class_id" else writer.constant(0.0)
        return writer.op("Where", held, writer.op("GatherElements", tensor, chosen, axis=1), zero, name=name)
    rows = _rows(writer, tensor, chosen, int(np.prod(dims)))
    held = writer.unsqueeze(held, 2)
    if len(dims) == 1:
        return writer.op("Where", held, rows, writer.constant(0.0), name=name)
    return writer.reshape(writer.op("Where", held, rows, writer.constant(0.0)), 0, 0, *dims, name=name)


def _truncated(writer: GraphWriter, best: Tensor, valid: Tensor, floor: float) -> Tensor:
    """How many candidates above the floor did not fit into K, i32 [B]."""
    above = writer.cast(writer.op("Greater", best, writer.constant(floor)), np.float32)
    beyond = writer.op("Sub", writer.reduce("ReduceSum", above, 1), writer.reduce("ReduceSum", valid, 1))
    return writer.cast(beyond, np.int32, "truncated")
