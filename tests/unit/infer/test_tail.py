"""The tail behind the cut: the kernel against plain greedy suppression, ONNX Runtime's operator and OpenCV's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from streamdet.boxes import greedy_nms, xyxy_to_xywh
from streamdet.errors import InferenceFailed
from streamdet.infer import twins
from streamdet.infer.tail import Tail
from streamdet.manifest import Nms

Scene = tuple[np.ndarray, np.ndarray]  # boxes [N, 4], scores [N, C]

OUTSIDE_SCENES = 2000
GREEDY_SCENES = 250


def random_scene(seed: int, most: int = 300) -> Scene:
    """Crowds, sparse scenes, none at all; one class, a few, eighty; ties of score and of overlap in every third."""
    random = np.random.default_rng(seed)
    n = int(random.choice([0, 1, 2, most // 10, most // 2, most]))
    classes = int(random.choice([1, 2, 80]))
    centres = random.uniform(0, 400, (max(int(random.integers(1, 12)), 1), 2))
    middle = centres[random.integers(0, len(centres), n)] + random.normal(0, random.choice([3, 15, 80]), (n, 2))
    half = random.uniform(4, 60, (n, 2)) if random.random() < 0.5 else 30 * random.uniform(0.9, 1.1, (n, 2))
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    scores = random.random((n, classes)) * (random.random((n, classes)) < 0.5)
    if seed % 3 == 0:
        boxes, scores = (boxes / 8).round() * 8, (scores * 16).round() / 16
    return boxes.astype(np.float32), scores.astype(np.float32)


def run_tail(scene: Scene, nms: Nms, kernel: Callable[..., None] | None = None) -> dict[str, np.ndarray]:
    tail = Tail(nms, 1)
    if kernel is not None:
        tail._kernel = kernel
    out = tail.run({"sd_boxes": scene[0][None], "sd_scores": scene[1][None]})
    return {meaning: array[0] for meaning, array in out.items()}


def kept(out: dict[str, np.ndarray]) -> list[tuple[float, ...]]:
    """The rows as a list: score, class, box."""
    n = int(out["count"])
    rows = np.column_stack([out["score"][:n], out["class_id"][:n], out["xyxy"][:n]])
    return [tuple(row) for row in rows.tolist()]


def best_classes(scene: Scene, nms: Nms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The K best candidates above the floor: boxes, scores, classes; best first, ties by row."""
    boxes, scores = scene
    if not len(boxes):
        return boxes, np.zeros(0, np.float32), np.zeros(0, np.int32)
    best, kind = scores.max(axis=1), scores.argmax(axis=1).astype(np.int32)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > np.float32(nms.floor)][: nms.candidates]
    return boxes[order], best[order], kind[order]


def as_rows(boxes: np.ndarray, score: np.ndarray, kind: np.ndarray) -> list[tuple[float, ...]]:
    return [tuple(row) for row in np.column_stack([score, kind, boxes]).tolist()]


@pytest.fixture(scope="module")
def onnx_suppression() -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
    """ONNX Runtime's NonMaxSuppression: boxes [1, N, 4], scores [1, C, N] → selected [n, 3]."""
    of = helper.make_tensor_value_info
    inputs = [
        of("boxes", TensorProto.FLOAT, [1, None, 4]),
        of("scores", TensorProto.FLOAT, [1, None, None]),
        of("most", TensorProto.INT64, [1]),
        of("iou", TensorProto.FLOAT, [1]),
        of("floor", TensorProto.FLOAT, [1]),
    ]
    node = helper.make_node("NonMaxSuppression", [value.name for value in inputs], ["chosen"])
    graph = helper.make_graph([node], "nms", inputs, [of("chosen", TensorProto.INT64, [None, 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(boxes: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
        one = np.array
        fields = {"most": one([10_000]), "iou": one([iou], np.float32), "floor": one([0], np.float32)}
        return session.run(None, {"boxes": boxes, "scores": scores, **fields})[0]

    return run


def test_on_two_thousand_scenes_the_kernel_equals_the_operator_of_onnx_runtime(onnx_suppression):
    nms = Nms(candidates=512, max_detections=512, iou=0.5)
    for seed in range(OUTSIDE_SCENES):
        scene = random_scene(seed)
        boxes, score, kind = best_classes(scene, nms)
        expected: list[tuple[float, ...]] = []
        if len(boxes):
            per_class = np.zeros((1, scene[1].shape[1], len(boxes)), np.float32)
            per_class[0, kind, np.arange(len(boxes))] = score
            chosen = np.sort(onnx_suppression(boxes[None], per_class, nms.iou)[:, 2])
            expected = as_rows(boxes[chosen], score[chosen], kind[chosen])
        assert expected == kept(run_tail(scene, nms)), f"seed {seed}"


def test_on_two_thousand_scenes_the_kernel_equals_that_of_opencv():
    nms = Nms(candidates=512, max_detections=512, iou=0.5)
    for seed in range(OUTSIDE_SCENES):
        boxes, score, kind = best_classes(random_scene(seed), nms)
        if seed % 3 == 0:  # OpenCV leaves the order of equal scores open
            continue
        expected: list[tuple[float, ...]] = []
        if len(boxes):
            chosen = cv2.dnn.NMSBoxesBatched(
                xyxy_to_xywh(boxes).astype(np.float64), score, kind, float(nms.floor), nms.iou
            )
            chosen = np.sort(np.asarray(chosen, np.int64).ravel())
            expected = as_rows(boxes[chosen], score[chosen], kind[chosen])
        assert expected == kept(run_tail(random_scene(seed), nms)), f"seed {seed}"


@pytest.mark.parametrize("by_twin", [False, True], ids=["kernel", "twin"])
def test_ties_truncation_and_limits_are_those_of_plain_greedy_suppression(by_twin: bool):
    for seed in range(GREEDY_SCENES):
        random = np.random.default_rng(seed)
        nms = Nms(
            candidates=int(random.choice([1, 5, 30, 512])),
            max_detections=int(random.choice([1, 10, 300])),
            iou=float(random.choice([0.25, 0.45, 0.5, 0.7, 1.0])),
            floor=float(random.choice([0.0, 0.001, 0.25])),
        )
        scene = random_scene(seed, most=60)
        boxes, score, kind = best_classes(scene, nms)
        rows = greedy_nms(boxes, score, kind, nms.iou)[: nms.max_detections]
        out = run_tail(scene, nms, twins.tail if by_twin else None)
        assert as_rows(boxes[rows], score[rows], kind[rows]) == kept(out), f"seed {seed}"
        above = int((scene[1].max(axis=1, initial=0) > np.float32(nms.floor)).sum())
        assert max(above - nms.candidates, 0) == out["truncated"]


def test_an_end_to_end_network_keeps_its_overlapping_boxes():
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (3, 1))
    scores = np.array([[0.2], [0.9], [0.5]], np.float32)
    out = run_tail((boxes, scores), Nms(end_to_end=True))
    assert [0.9, 0.5, 0.2] == pytest.approx(out["score"][:3].tolist())
    assert 3 == out["count"]


def test_rows_beyond_count_are_zero_also_after_a_fuller_scene():
    tail = Tail(Nms(candidates=8, max_detections=8), 1)
    boxes = np.arange(8)[:, None] * 20 + np.array([[0, 0, 10, 10]], np.float32)
    full = {"sd_boxes": boxes[None].astype(np.float32), "sd_scores": np.full((1, 8, 2), 0.5, np.float32)}
    assert 8 == tail.run(full)["count"][0]
    empty = full | {"sd_scores": np.zeros((1, 8, 2), np.float32)}
    out = tail.run(empty)
    assert 0 == out["count"][0]
    assert all(not out[meaning].any() for meaning in ("xyxy", "score", "class_id"))


def test_keypoints_follow_their_box():
    boxes = np.array([[[0, 0, 9, 9], [50, 50, 60, 60], [1, 0, 9, 9]]], np.float32)
    scores = np.array([[[0.3], [0.8], [0.9]]], np.float32)
    points = np.arange(3, dtype=np.float32)[None, :, None, None] * np.ones((1, 3, 2, 3), np.float32)
    out = Tail(Nms(), 1).run({"sd_boxes": boxes, "sd_scores": scores, "sd_keypoints": points})
    assert 2 == out["count"][0]
    assert [2, 1, 0] == out["keypoints"][0, :3, 0, 0].tolist()


@pytest.mark.parametrize("by_twin", [False, True], ids=["kernel", "twin"])
def test_scores_that_are_not_numbers_are_a_failure_and_not_an_empty_street(by_twin: bool):
    boxes, scores = random_scene(4, most=20)
    scores = np.full((len(boxes) + 1, 3), np.nan, np.float32)
    boxes = np.zeros((len(scores), 4), np.float32)
    with pytest.raises(InferenceFailed, match="not numbers"):
        run_tail((boxes, scores), Nms(), twins.tail if by_twin else None)


def test_infinite_boxes_neither_suppress_nor_hide_the_others():
    boxes = np.array([[-np.inf, 0, np.inf, 9], [0, 0, 9, 9], [np.nan, 0, 9, 9]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    out = run_tail((boxes, scores), Nms())
    assert [0.9, 0.8, 0.7] == pytest.approx(out["score"][: int(out["count"])].tolist())
