"""SSD: its default boxes against the published ones, its loss against a slow loop, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning import learn, scores
from rendered import CLASSES, shapes
from torch import nn

from streamdet.boxes import iou
from streamdet.models.contract import Targets
from streamdet.models.ssd import Ssd, SsdOptions, hard_negatives

torch.set_num_threads(1)


@pytest.fixture
def model() -> Ssd:
    torch.manual_seed(0)
    return Ssd.tiny(len(CLASSES))


def test_default_boxes_are_those_of_the_published_ssd300():
    options = SsdOptions(backbone="tiny", last_level=8, finest_size=0.1, second_size=0.2, coarsest_size=0.88)
    maps = [(n, n) for n in (38, 19, 10, 5, 3, 1)]
    boxes = Ssd(20, options).default_boxes(maps, (300, 300))
    assert 8732 == sum(len(each) for each in boxes)
    assert boxes[0][0].tolist() == pytest.approx(
        [3.947 - 21.213, 3.947 - 10.607, 3.947 + 21.213, 3.947 + 10.607], abs=2e-3
    )
    squares = [[round(float(one[2] - one[0]), 2) for one in each[[1, -1]]] for each in boxes]
    least, most = [30, 60, 111, 162, 213, 264], [60, 111, 162, 213, 264, 315]
    assert [[a, round((a * b) ** 0.5, 2)] for a, b in zip(least, most, strict=True)] == squares


def test_default_boxes_divide_any_picture_evenly_and_follow_its_shorter_side(model: Ssd):
    boxes = model.default_boxes([(8, 16), (4, 8), (2, 4)], (64, 128))
    centres = (boxes[0][:, :2] + boxes[0][:, 2:]) / 2
    assert [4.0 + 8 * column for column in range(16)] == pytest.approx(centres[: 16 * 4 : 4, 0].tolist())
    assert [4.0 + 8 * row for row in range(8)] == pytest.approx(centres[:: 16 * 4, 1].tolist())
    assert 0.2 * 64 == pytest.approx(float(boxes[0][1, 2] - boxes[0][1, 0]))


def test_the_cut_has_every_default_box_inside_the_picture(model: Ssd):
    cut = model.eval()(torch.rand(2, 3, 96, 128))
    count = 4 * (12 * 16 + 6 * 8 + 3 * 4)
    assert (2, count, 4) == cut.xyxy.shape
    assert (2, count, 2) == cut.scores.shape
    assert (cut.xyxy >= 0).all()
    assert (cut.xyxy[..., 0::2] <= 128).all()
    assert (cut.xyxy[..., 1::2] <= 96).all()
    assert (cut.xyxy[..., 2:] >= cut.xyxy[..., :2]).all()
    assert (cut.scores.sum(dim=-1) <= 1).all()


def losses_slowly(model: Ssd, pixels: torch.Tensor, targets: Targets) -> tuple[float, float]:
    """The paper's loss, one default box after the other, in numpy; torch's own CrossEntropyLoss for each."""
    logits, offsets, boxes = (each.detach() for each in model._answers(pixels))
    options, default = model.options, boxes.numpy()
    class_loss = box_loss = 0.0
    positives = 0
    for picture in range(len(pixels)):
        rows = [row for row, class_id in enumerate(targets.class_id[picture].tolist()) if class_id >= 0]
        truth = targets.xyxy[picture].numpy()
        overlap = iou(truth, default)
        owner = {}
        for n in range(len(default)):
            best = max(rows, key=lambda row: overlap[row, n], default=None)
            if best is not None and overlap[best, n] >= options.object_from:
                owner[n] = best
        for row in sorted(rows, key=lambda row: overlap[row].max()):
            owner[int(overlap[row].argmax())] = row
        wanted = torch.tensor(
            [targets.class_id[picture, owner[n]] + 1 if n in owner else 0 for n in range(len(default))]
        )
        error = nn.CrossEntropyLoss(reduction="none")(logits[picture], wanted).numpy()
        background = sorted((error[n] for n in range(len(default)) if n not in owner), reverse=True)
        count = max(int(options.negatives_ratio * len(owner)), options.negatives_at_least)
        class_loss += sum(error[n] for n in owner) + sum(background[:count])
        positives += len(owner)
        for n, row in owner.items():
            size, goal = default[n, 2:] - default[n, :2], truth[row, 2:] - truth[row, :2]
            shift = (truth[row, :2] + truth[row, 2:] - default[n, :2] - default[n, 2:]) / 2
            coded = np.concatenate([shift / size / 0.1, np.log(goal / size) / 0.2])
            away = np.abs(offsets[picture, n].numpy() - coded)
            box_loss += float(np.where(away < 1, away**2 / 2, away - 0.5).sum())
    return class_loss / max(positives, 1), box_loss / max(positives, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_the_slow_loop(model: Ssd, seed: int):
    pixels, targets = shapes(3, (128, 96), seed)
    targets.class_id[0] = -1  # a picture without objects among others
    for layer in model.box_layers.values():
        nn.init.normal_(layer.weight, std=0.1)
    for layer in model.class_layers.values():
        nn.init.normal_(layer.weight, std=0.1)
    model.eval()
    terms = model.losses(pixels, targets)
    assert losses_slowly(model, pixels, targets) == pytest.approx(
        (terms["class"].item(), terms["box"].item()), rel=1e-4
    )


def test_gradients_are_finite_differences():
    torch.manual_seed(0)
    # All background counts: which is the worst changes by jumps, and the slow loop has looked at that.
    model = Ssd(2, Ssd.tiny(2).options.model_copy(update={"negatives_ratio": 1e6})).eval()
    pixels, targets = shapes(2)
    sum(model.losses(pixels, targets).values()).backward()
    for layer in (model.class_layers["4"], model.class_layers["3"], model.box_layers["3"]):
        assert layer.bias.grad.any()
        for place in range(len(layer.bias)):
            moved = []
            for step in (0.01, -0.01):
                with torch.no_grad():
                    layer.bias[place] += step
                    moved.append(sum(model.losses(pixels, targets).values()).item())
                    layer.bias[place] -= step
            assert (moved[0] - moved[1]) / 0.02 == pytest.approx(layer.bias.grad[place].item(), rel=0.02, abs=0.01)


def test_hard_negatives_are_the_worst_of_the_background():
    random = torch.Generator().manual_seed(0)
    loss = torch.rand(3, 40, generator=random)
    kind = torch.rand(3, 40, generator=random)
    positive, background = kind > torch.tensor([[0.9], [0.95], [1.0]]), kind < 0.8
    chosen = hard_negatives(loss, positive, background, 3.0, 2)
    for picture in range(3):
        count = max(3 * int(positive[picture].sum()), 2)
        ranked = sorted(background[picture].nonzero()[:, 0].tolist(), key=lambda n: -loss[picture, n].item())
        assert set(ranked[:count]) == set(chosen[picture].nonzero()[:, 0].tolist())


def test_more_negatives_than_there_is_background_are_all_of_it():
    background = torch.tensor([[True, False, True]])
    assert background.tolist() == hard_negatives(torch.zeros(1, 3), ~background, background, 9.0, 5).tolist()


def test_a_picture_without_objects_has_finite_losses_and_gradients(model: Ssd):
    none = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    terms = model.train().losses(torch.rand(2, 3, 64, 64), none)
    sum(terms.values()).backward()
    assert 0.0 == terms["box"].item()
    assert 0.0 < terms["class"].item()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_ignored_object_is_neither_learnt_nor_background(model: Ssd):
    pixels, targets = shapes(2)
    model.eval()  # the same features both times
    everything = Targets(targets.xyxy, targets.class_id, targets.class_id >= 0)
    whole = Targets(torch.tensor([[[0.0, 0.0, 96.0, 96.0]]] * 2), torch.zeros(2, 1).long(), torch.ones(2, 1).bool())
    assert 0.0 == model.losses(pixels, everything)["box"].item()
    inside = Ssd.tiny(2).eval()
    inside.load_state_dict(model.state_dict())
    boxes = inside._answers(pixels)[2]
    assert (boxes[:, :2] >= 0).all(dim=1).any()
    assert inside.losses(pixels, whole)["class"].item() < inside.losses(pixels, everything)["class"].item() + 1e-3


def test_autocast_changes_the_losses_little(model: Ssd):
    pixels, targets = shapes(2)
    model.eval()
    exact = model.losses(pixels, targets)
    with torch.autocast("cpu", torch.bfloat16):
        short = model.losses(pixels, targets)
    assert all(torch.float32 == term.dtype for term in short.values())
    assert [exact[name].item() for name in exact] == pytest.approx([short[name].item() for name in exact], rel=0.05)


def test_eight_pictures_are_learnt_by_heart(model: Ssd):
    pixels, targets = shapes(8)
    learn(model, pixels, targets, steps=80, rate=3e-3)
    assert 1.0 == pytest.approx(scores(model, pixels, targets, CLASSES).map50)


def test_any_backbone_and_any_levels_fit():
    options = SsdOptions(backbone="yolo-pico", first_level=2, last_level=8, channels=16)
    cut = Ssd(3, options).eval()(torch.rand(1, 3, 64, 64))
    assert 4 * 16**2 + 6 * (8**2 + 4**2 + 2**2 + 1) + 4 + 4 == cut.scores.shape[1]
