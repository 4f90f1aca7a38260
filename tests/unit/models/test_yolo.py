"""YOLO: shapes, what it learns, what it exports."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from streamdet.models import geometry
from streamdet.models.contract import Targets
from streamdet.models.yolo import MARGIN, Answers, Yolo, YoloOptions

torch.set_num_threads(1)


def _targets(xyxy, class_id, keypoints=None, ignored=None) -> Targets:
    boxes = torch.tensor(xyxy, dtype=torch.float32)
    return Targets(
        boxes,
        torch.tensor(class_id),
        torch.zeros(boxes.shape[:2], dtype=torch.bool) if ignored is None else torch.tensor(ignored),
        None if keypoints is None else torch.tensor(keypoints, dtype=torch.float32),
    )


def _drawn(count: int, size: int = 64, seed: int = 0) -> tuple[torch.Tensor, Targets]:
    """Grey noise with a red and a blue rectangle each; corners clockwise, the last one hidden."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.4, 0.6, (count, 3, size, size)).astype(np.float32)
    xyxy = np.zeros((count, 2, 4), np.float32)
    corners = np.ones((count, 2, 4, 3), np.float32)
    for picture in range(count):
        for kind in range(2):
            w, h = rng.integers(8, 24, 2)
            x, y = rng.integers(0, size - w), kind * size // 2 + rng.integers(0, size // 2 - h)
            pixels[picture, :, y : y + h, x : x + w] = 0.0
            pixels[picture, 2 * kind, y : y + h, x : x + w] = 1.0
            xyxy[picture, kind] = x, y, x + w, y + h
            corners[picture, kind, :, :2] = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
            corners[picture, kind, 3, 2] = 0
    return torch.from_numpy(pixels), _targets(xyxy, [[0, 1]] * count, corners)


def _taught(model: Yolo, pixels: torch.Tensor, targets: Targets, steps: int) -> Yolo:
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.stack(list(model.losses(pixels, targets).values())).sum().backward()
        optimiser.step()
        rate.step()
    for norm in model.modules():  # so few steps leave the running figures behind: here they are those of the pictures
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None
            norm.reset_running_stats()
    with torch.no_grad():
        model.losses(pixels, targets)
    return model.eval()


def _as_if_taught(model: Yolo) -> Yolo:
    """Random norms and answers: nothing is at its neutral start, nothing so extreme that rounding shows."""
    chance = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=chance)
            module.running_var.uniform_(0.5, 1.5, generator=chance)
        elif isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.normal_(module.weight, std=0.3, generator=chance)
            torch.nn.init.normal_(module.bias, generator=chance)
    return model.eval()


@pytest.mark.parametrize(("name", "millions"), [("pico", 1.26), ("n", 2.71), ("s", 10.91)])
def test_sizes_are_those_of_the_table(name, millions):
    assert millions == pytest.approx(Yolo(1, YoloOptions(size=name)).parameter_count() / 1e6, abs=0.01)


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("keypoints", [0, 4])
def test_the_cut_has_a_row_per_cell_and_lies_in_the_picture(fine, single, keypoints):
    model = Yolo.tiny(3, fine_level=fine, one_to_one=single, keypoints=keypoints).eval()
    with torch.no_grad():
        cut = model(torch.rand(2, 3, 64, 96))
    cells = sum(64 // s * 96 // s for s in ((4, 8, 16, 32) if fine else (8, 16, 32)))
    assert (2, cells, 4) == tuple(cut.xyxy.shape)
    assert (2, cells, 3) == tuple(cut.scores.shape)
    assert ((2, cells, 4, 3) if keypoints else None) == (tuple(cut.keypoints.shape) if keypoints else cut.keypoints)
    assert cut.xyxy.min() >= 0
    assert cut.xyxy[..., 0::2].max() <= 96
    assert cut.xyxy[..., 1::2].max() <= 64
    assert (cut.xyxy[..., 2:] >= cut.xyxy[..., :2]).all()
    assert ((cut.scores > 0) & (cut.scores < 1)).all()
    assert single is model.end_to_end


def test_another_backbone_can_see_for_it():
    model = Yolo.tiny(2, backbone="resnet18").eval()
    with torch.no_grad():
        cut = model(torch.rand(1, 3, 64, 64))
    assert (1, 84, 4) == tuple(cut.xyxy.shape)
    assert {"backbone", "adapt", "neck", "head"} == {name.split(".")[0] for name, _ in model.named_parameters()}


def test_before_it_learns_every_box_is_six_cells_wide_and_every_score_low():
    model = Yolo.tiny(2)
    answers = model.head(model._features(torch.rand(2, 3, 64, 64)))
    points = model._points(torch.rand(2, 3, 64, 64))
    xyxy = model._boxes(points, answers)
    torch.testing.assert_close((6 * points.stride).expand(2, -1), xyxy[..., 2] - xyxy[..., 0])
    expected = 5 * 64 * 64 / 640**2 / 2  # per class and level, of five objects on 640² pixels
    assert 3 * expected == pytest.approx(answers.classes.sigmoid()[0, :, 0].sum().item(), rel=0.02)


def test_four_pictures_are_learnt_by_heart_with_their_corners():
    pixels, targets = _drawn(4)
    torch.manual_seed(0)
    model = _taught(Yolo.tiny(2, keypoints=4), pixels, targets, 200)
    with torch.no_grad():
        cut = model(pixels)
    for picture in range(4):
        for kind in range(2):
            best = cut.scores[picture, :, kind].argmax()
            assert cut.scores[picture, best, kind] > 0.5
            assert geometry.aligned_iou(cut.xyxy[picture, best], targets.xyxy[picture, kind]) > 0.75
            seen = cut.keypoints[picture, best]
            assert (seen[:3, :2] - targets.keypoints[picture, kind, :3, :2]).abs().max() < 4
            assert [True, True, True, False] == (seen[:, 2] > 0.5).tolist()


def test_a_head_for_one_answer_per_object_gives_one_answer_per_object():
    pixels, targets = _drawn(2)
    torch.manual_seed(0)
    model = _taught(Yolo.tiny(2, one_to_one=True), pixels, targets, 150)
    with torch.no_grad():
        scores = model(pixels).scores
    assert [[1, 1], [1, 1]] == (scores > 0.1).sum(1).tolist()


@pytest.mark.parametrize("corner", [(41.0, 30.0), (8.0, 8.0), (60.9, 0.0)])
def test_an_object_of_three_pixels_can_be_said_by_the_point_of_its_cell_on_every_level(corner):
    model = Yolo.tiny(1, fine_level=True)
    box = torch.tensor([*corner, corner[0] + 3, corner[1] + 3])
    points = model._points(torch.zeros(1, 3, 64, 64))
    away = (points.xy - (box[:2] + box[2:]) / 2).abs().amax(1) / points.stride
    answering = away <= 0.5
    assert {4.0, 8.0, 16.0, 32.0} == set(points.stride[answering].tolist())
    wanted = geometry.xyxy_to_distances(points.xy, box) / points.stride[:, None] + MARGIN
    raw = torch.log(torch.expm1(wanted.clamp(min=1e-6)))
    said = model._boxes(points, Answers(raw[None], raw[None], None))[0]
    torch.testing.assert_close(box.expand(int(answering.sum()), 4), said[answering], atol=1e-3, rtol=0)


def test_padding_and_its_values_change_no_loss():
    pixels, plain = _drawn(2)
    junk = Targets(
        torch.cat([plain.xyxy, torch.full((2, 3, 4), 7.0)], 1),
        torch.cat([plain.class_id, torch.full((2, 3), -1)], 1),
        torch.cat([plain.ignored, torch.ones(2, 3, dtype=torch.bool)], 1),
        torch.cat([plain.keypoints, torch.full((2, 3, 4, 3), 9.0)], 1),
    )
    model = Yolo.tiny(2, keypoints=4)
    expected, got = model.losses(pixels, plain), model.losses(pixels, junk)
    for name, value in expected.items():
        torch.testing.assert_close(value, got[name])


def test_losses_do_not_grow_with_the_batch():
    """The same pictures twice cost what they cost once."""
    pixels, targets = _drawn(4)
    model = Yolo.tiny(2, keypoints=4).eval()
    twice = Targets(*(torch.cat([t, t]) for t in (targets.xyxy, targets.class_id, targets.ignored, targets.keypoints)))
    once, both = model.losses(pixels, targets), model.losses(pixels.repeat(2, 1, 1, 1), twice)
    for name, value in once.items():
        torch.testing.assert_close(value, both[name], rtol=1e-3, atol=1e-4)


def test_a_picture_of_ignored_objects_alone_teaches_nothing_there():
    pixels, _ = _drawn(1)
    model = Yolo.tiny(2).eval()
    everywhere = _targets([[[-1, -1, 65, 65]]], [[0]], ignored=[[True]])
    assert [0.0, 0.0, 0.0] == [term.item() for term in model.losses(pixels, everywhere).values()]


@pytest.mark.parametrize("rows", [0, 2])
def test_a_batch_without_objects_has_finite_losses_and_slopes(rows):
    model = Yolo.tiny(2, keypoints=4, one_to_one=True)
    nobody = _targets(torch.zeros(2, rows, 4).tolist(), [[-1] * rows] * 2, torch.zeros(2, rows, 4, 3).tolist())
    nobody = Targets(
        torch.zeros(2, rows, 4), nobody.class_id.long(), nobody.ignored.reshape(2, rows), torch.zeros(2, rows, 4, 3)
    )
    terms = model.losses(torch.rand(2, 3, 64, 64), nobody)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_every_weight_learns_and_low_precision_gives_float32_losses():
    pixels, targets = _drawn(2)
    model = Yolo.tiny(2, keypoints=4, fine_level=True, one_to_one=True)
    for level in [*model.head.levels, *model.single.levels]:
        for tower in (level.classes, level.distances):
            torch.nn.init.normal_(tower.answer.weight, std=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.losses(pixels, targets)
    assert {torch.float32} == {term.dtype for term in terms.values()}
    torch.stack(list(terms.values())).sum().backward()
    assert [] == [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize("options", [{}, {"keypoints": 4, "fine_level": True, "one_to_one": True}])
def test_the_exported_graph_says_the_same_for_any_batch_and_has_nothing_superfluous(tmp_path, options):
    model = _as_if_taught(Yolo.tiny(2, **options))
    path = tmp_path / "yolo.onnx"
    names = ["sd_boxes", "sd_scores"] + (["sd_keypoints"] if options else [])
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    torch.onnx.export(
        model,
        (torch.rand(2, 3, 64, 64),),
        path,
        dynamo=True,
        dynamic_shapes=(batch,),
        output_names=names,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        pixels, _ = _drawn(count, seed=1)
        with torch.no_grad():
            cut = model(pixels)
        got = session.run(names, {session.get_inputs()[0].name: pixels.numpy()})
        for expected, array, name in zip([part for part in cut if part is not None], got, names, strict=True):
            tolerance = 1e-5 if name == "sd_scores" else 1e-3  # pixels
            np.testing.assert_allclose(expected.numpy(), array, atol=tolerance, rtol=1e-4)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert set() == operators & {"Range", "NonZero", "Shape", "Gather", "BatchNormalization", "Expand", "Loop", "If"}
