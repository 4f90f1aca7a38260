"""The suppression inside the graph is greedy suppression, in every runtime and to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from streamdet import boxes
from streamdet.graft.nms_graph import CutShape, write_nms
from streamdet.graft.writer import GraphWriter
from streamdet.infer.tail import Tail
from streamdet.manifest import Nms

OUTPUTS = ("count", "xyxy", "score", "class_id", "converged", "truncated")


def tail_model(candidates: int, classes: int, settings: Nms, opset: int = 17, **extras: tuple[int, ...]) -> Any:
    """The tail alone, its inputs being the tensors of the cut."""
    writer = GraphWriter(opset)
    names = write_nms(writer, CutShape(candidates, classes, extras), settings)
    cut = {"sd_boxes": (4,), "sd_scores": (classes,)} | {f"sd_{meaning}": dims for meaning, dims in extras.items()}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", candidates, *dims])
        for name, dims in cut.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in names.values()]
    graph = helper.make_graph(writer.nodes, "tail", inputs, outputs, writer.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def in_onnxruntime(model: Any) -> Any:
    """feeds → outputs by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **feeds: dict(zip(names, session.run(names, feeds), strict=True))


def in_openvino(model: Any) -> Any:
    """feeds → outputs by name."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda **feeds: {
        name: array.copy() for output, array in compiled(feeds).items() for name in output.get_names()
    }


@dataclass(frozen=True)
class Kind:
    """A sort of scene."""

    candidates: int
    classes: int
    settings: Nms
    scenes: int


KINDS = {
    "one class, all candidates": Kind(200, 1, Nms(candidates=512, max_detections=300, iou=0.45), 700),
    "eighty classes, cut at K": Kind(400, 80, Nms(candidates=128, max_detections=100, iou=0.65), 700),
    "three classes, few detections": Kind(150, 3, Nms(candidates=512, max_detections=20, iou=0.3, floor=0.05), 700),
}


def scenes(kind: Kind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [S, N, 4] and scores [S, N, C]: spread out, crowded, tied, on whole pixels, doubled, empty, by turns."""
    random = np.random.default_rng(seed)
    n, c = kind.candidates, kind.classes
    all_boxes, all_scores = [], []
    for number in range(kind.scenes):
        objects = int(random.integers(3, 60))
        middle = random.uniform(0, 600, (objects, 2))[random.integers(0, objects, n)]
        extent = random.uniform(8, 120, (objects, 2))[random.integers(0, objects, n)]
        jitter = (0.02, 0.15, 0.5, 2.0)[number % 4]
        middle = middle + random.normal(0, jitter, (n, 2)) * extent
        extent = extent * np.exp(random.normal(0, 0.2, (n, 2)))
        xyxy = np.concatenate([middle - extent / 2, middle + extent / 2], axis=1)
        scores = random.uniform(0, 1, (n, c)) ** (1 + number % 5)
        turn = number % 10
        if turn == 3:
            scores = np.round(scores * 8) / 8  # ties within and across classes, and exact zeros
        elif turn == 5:
            xyxy = np.round(xyxy / 7) * 7
        elif turn == 7:
            scores[:] = random.uniform(0, kind.settings.floor, (n, c))  # nothing above the floor
        elif turn == 8:
            xyxy[n // 2 :], scores[n // 2 :] = xyxy[: n - n // 2], scores[: n - n // 2]
        elif turn == 9:
            xyxy[::3, 2:] = xyxy[::3, :2]  # without area
        all_boxes.append(xyxy)
        all_scores.append(scores)
    return np.float32(all_boxes), np.float32(all_scores)


def best_candidates(xyxy: np.ndarray, scores: np.ndarray, settings: Nms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The K best above the floor: rows, score, class."""
    class_id = scores.argmax(axis=1)
    score = scores[np.arange(len(scores)), class_id]
    order = np.argsort(-score, kind="stable")[: settings.candidates]
    order = order[score[order] > np.float32(settings.floor)]
    return order, score[order], class_id[order].astype(np.int32)


def run_all(run: Any, xyxy: np.ndarray, scores: np.ndarray, step: int = 50) -> dict[str, np.ndarray]:
    """Every scene, a batch at a time."""
    parts = [
        run(sd_boxes=xyxy[start : start + step], sd_scores=scores[start : start + step])
        for start in range(0, len(xyxy), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in OUTPUTS}


def outside_operator(kind: Kind) -> Any:
    """ONNX Runtime's own NonMaxSuppression over [S, K] candidates whose other classes count nothing."""
    k = min(kind.settings.candidates, kind.candidates)
    limits = [
        helper.make_tensor("most", TensorProto.INT64, [], [k]),
        helper.make_tensor("iou", TensorProto.FLOAT, [], [kind.settings.iou]),
        helper.make_tensor("floor", TensorProto.FLOAT, [], [kind.settings.floor]),
    ]
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "floor"], ["chosen"])
    faces = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["s", k, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["s", kind.classes, k]),
    ]
    chosen = helper.make_tensor_value_info("chosen", TensorProto.INT64, ["n", 3])
    graph = helper.make_graph([node], "outside", faces, [chosen], limits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=KINDS, ids=lambda name: name.replace(", ", "-").replace(" ", "_"))
def solved(request: pytest.FixtureRequest) -> tuple[Kind, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The scenes of one kind and what the graph makes of them in ONNX Runtime."""
    kind = KINDS[request.param]
    xyxy, scores = scenes(kind, seed=len(request.param))
    run = in_onnxruntime(tail_model(kind.candidates, kind.classes, kind.settings))
    return kind, xyxy, scores, run_all(run, xyxy, scores)


def check_scene(found: dict[str, np.ndarray], i: int, kind: Kind, xyxy: np.ndarray, score: Any, class_id: Any) -> None:
    """The graph's arrays of scene i hold exactly these detections, best first, and zeros beyond."""
    d = found["xyxy"].shape[1]
    n = min(len(xyxy), d)
    assert n == found["count"][i]
    np.testing.assert_array_equal(xyxy[:d], found["xyxy"][i, :n])
    np.testing.assert_array_equal(score[:d], found["score"][i, :n])
    np.testing.assert_array_equal(class_id[:d], found["class_id"][i, :n])
    assert not found["xyxy"][i, n:].any()
    assert not found["score"][i, n:].any()
    assert not found["class_id"][i, n:].any()


def test_the_graph_is_onnxruntimes_own_suppression_over_the_k_best(solved):
    kind, xyxy, scores, found = solved
    k = min(kind.settings.candidates, kind.candidates)
    outside = outside_operator(kind)
    for start in range(0, len(xyxy), 50):
        part = range(start, min(start + 50, len(xyxy)))
        packed = np.zeros((len(part), k, 4), np.float32)
        chances = np.zeros((len(part), kind.classes, k), np.float32)
        picked = [best_candidates(xyxy[i], scores[i], kind.settings) for i in part]
        for place, (i, (order, score, class_id)) in enumerate(zip(part, picked, strict=True)):
            packed[place, : len(order)] = xyxy[i][order]
            chances[place, class_id, np.arange(len(order))] = score
        chosen = outside.run(None, {"boxes": packed, "scores": chances})[0]
        for place, (i, (order, score, class_id)) in enumerate(zip(part, picked, strict=True)):
            rows = np.sort(chosen[chosen[:, 0] == place, 2])  # candidates stand best first
            check_scene(found, i, kind, xyxy[i][order][rows], score[rows], class_id[rows])


def test_the_graph_is_opencvs_suppression_over_the_k_best(solved):
    cv2 = pytest.importorskip("cv2")
    kind, xyxy, scores, found = solved
    for i in range(len(xyxy)):
        if i % 10 in (5, 9):
            # On whole pixels overlaps lie on the limit itself, where OpenCV's 1 − (1 − IoU) rounds its own way; and two
            # boxes without area are the same box to OpenCV, wherever they are.
            continue
        order, score, class_id = best_candidates(xyxy[i], scores[i], kind.settings)
        kept = []
        for one in np.unique(class_id):
            rows = np.flatnonzero(class_id == one)
            its_boxes = boxes.xyxy_to_xywh(xyxy[i][order][rows]).astype(np.float64)
            chosen = cv2.dnn.NMSBoxes(its_boxes.tolist(), score[rows].tolist(), 0.0, kind.settings.iou)
            kept += rows[np.asarray(chosen, int)].tolist()
        kept = np.sort(np.array(kept, int))
        check_scene(found, i, kind, xyxy[i][order][kept], score[kept], class_id[kept])


def test_the_graph_is_our_own_plain_greedy_suppression(solved):
    kind, xyxy, scores, found = solved
    for i in range(0, len(xyxy), 23):
        order, score, class_id = best_candidates(xyxy[i], scores[i], kind.settings)
        rows = boxes.greedy_nms(xyxy[i][order], score, class_id, kind.settings.iou)
        check_scene(found, i, kind, xyxy[i][order][rows], score[rows], class_id[rows])


def test_every_scene_has_converged_and_what_k_left_out_is_counted(solved):
    kind, _, scores, found = solved
    assert found["converged"].all()
    above = (scores.max(axis=2) > np.float32(kind.settings.floor)).sum(axis=1)
    np.testing.assert_array_equal(np.maximum(above - kind.settings.candidates, 0), found["truncated"])


def test_a_batch_of_one_gives_the_bits_of_a_batch_of_many(solved):
    kind, xyxy, scores, found = solved
    run = in_onnxruntime(tail_model(kind.candidates, kind.classes, kind.settings))
    alone = run_all(run, xyxy[:60], scores[:60], step=1)
    for name in OUTPUTS:
        np.testing.assert_array_equal(found[name][:60], alone[name])


def test_openvino_gives_the_bits_of_onnxruntime(solved):
    kind, xyxy, scores, found = solved
    run = in_openvino(tail_model(kind.candidates, kind.classes, kind.settings))
    other = run_all(run, xyxy[:200], scores[:200], step=20)
    for name in OUTPUTS:
        np.testing.assert_array_equal(found[name][:200], other[name])


def test_the_kernel_behind_the_cut_gives_the_bits_of_the_graph(solved):
    kind, xyxy, scores, found = solved
    kernel = Tail(kind.settings, batch=1)
    d = found["xyxy"].shape[1]
    for i in range(0, len(xyxy), 7):
        arrays = kernel.run({"sd_boxes": xyxy[i : i + 1], "sd_scores": scores[i : i + 1]})
        assert found["count"][i] == arrays["count"][0]
        assert found["truncated"][i] == arrays["truncated"][0]
        for name in ("xyxy", "score", "class_id"):
            np.testing.assert_array_equal(found[name][i], arrays[name][0, :d])


def test_too_few_rounds_are_admitted():
    # A chain in which each box overlaps the next: suppression ripples through it one box a round.
    left = np.arange(12, dtype=np.float32) * 4
    xyxy = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1)[None]
    scores = np.linspace(0.9, 0.5, 12, dtype=np.float32)[None, :, None]
    few = in_onnxruntime(tail_model(12, 1, Nms(iterations=3, iou=0.4)))(sd_boxes=xyxy, sd_scores=scores)
    enough = in_onnxruntime(tail_model(12, 1, Nms(iterations=16, iou=0.4)))(sd_boxes=xyxy, sd_scores=scores)
    assert not few["converged"][0]
    assert enough["converged"][0]
    assert 6 == enough["count"][0]


def test_an_end_to_end_network_is_only_sorted():
    xyxy = np.tile(np.float32([10, 10, 20, 20]), (1, 5, 1))
    scores = np.float32([0.2, 0.9, 0.0, 0.5, 0.5])[None, :, None]
    found = in_onnxruntime(tail_model(5, 1, Nms(end_to_end=True)))(sd_boxes=xyxy, sd_scores=scores)
    assert 4 == found["count"][0]
    np.testing.assert_array_equal(np.float32([0.9, 0.5, 0.5, 0.2, 0]), found["score"][0])
    assert found["converged"][0]


@pytest.mark.parametrize("opset", [17, 18, 21])
def test_keypoints_and_masks_follow_their_boxes(opset):
    random = np.random.default_rng(0)
    low = random.uniform(0, 500, (2, 30, 2)).astype(np.float32)
    xyxy = np.concatenate([low, low + 20], axis=2)
    scores = random.uniform(0, 1, (2, 30, 2)).astype(np.float32)
    points = random.normal(size=(2, 30, 5, 3)).astype(np.float32)
    masks = random.normal(size=(2, 30, 4, 6)).astype(np.float32)
    model = tail_model(30, 2, Nms(max_detections=25), opset, keypoints=(5, 3), masks=(4, 6))
    found = in_onnxruntime(model)(sd_boxes=xyxy, sd_scores=scores, sd_keypoints=points, sd_masks=masks)
    for i in range(2):
        for place in range(int(found["count"][i])):
            row = int(np.flatnonzero((xyxy[i] == found["xyxy"][i, place]).all(axis=1))[0])
            np.testing.assert_array_equal(points[i, row], found["keypoints"][i, place])
            np.testing.assert_array_equal(masks[i, row], found["masks"][i, place])
        assert not found["keypoints"][i, found["count"][i] :].any()
        assert not found["masks"][i, found["count"][i] :].any()


def test_only_the_batch_is_dynamic_and_nothing_depends_on_data():
    model = tail_model(300, 5, Nms())
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
    for info in inferred.graph.value_info:
        dims = info.type.tensor_type.shape.dim
        assert all(dim.HasField("dim_value") for dim in dims[1:]), info.name
    assert not {"NonZero", "NonMaxSuppression", "Unique", "Loop", "If"} & {node.op_type for node in model.graph.node}
