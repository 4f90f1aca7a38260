"""YOLOv1: its five terms against a slow loop, who is responsible for what, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning import learn, scores
from rendered import CLASSES, shapes
from torch import nn

from streamdet.boxes import iou
from streamdet.errors import ConfigError
from streamdet.models.contract import Targets
from streamdet.models.matcher import BACKGROUND, NEUTRAL
from streamdet.models.yolo_v1 import YoloV1, YoloV1Options, cells_of, responsible

torch.set_num_threads(1)

CONNECTED = YoloV1Options(
    backbone="tiny",
    cell_px=16,
    channels=16,
    head="connected",
    connected_size=(96, 96),
    connected_width=128,
    dropout=0.1,
)


@pytest.fixture
def model() -> YoloV1:
    torch.manual_seed(0)
    return YoloV1.tiny(len(CLASSES))


def targets_of(xyxy: list[list[float]], class_id: list[int], ignored: list[bool]) -> Targets:
    return Targets(torch.tensor([xyxy]), torch.tensor([class_id]), torch.tensor([ignored]))


def test_the_paper_s_form_has_98_boxes():
    options = YoloV1Options(backbone="tiny", cell_px=64, channels=8)
    cut = YoloV1(20, options).eval()(torch.rand(1, 3, 448, 448))
    assert (1, 98, 4) == cut.xyxy.shape
    assert (1, 98, 20) == cut.scores.shape


def test_the_cut_has_every_box_inside_the_picture(model: YoloV1):
    nn.init.normal_(model.head.weight, std=1.0)
    cut = model.eval()(torch.rand(2, 3, 96, 128))
    assert (2, 6 * 8 * 2, 4) == cut.xyxy.shape
    assert (cut.xyxy >= 0).all()
    assert (cut.xyxy[..., 0::2] <= 128).all()
    assert (cut.xyxy[..., 1::2] <= 96).all()
    assert (cut.xyxy[..., 2:] >= cut.xyxy[..., :2]).all()
    assert (cut.scores >= 0).all()
    assert (cut.scores <= 1).all()


def test_it_begins_by_saying_nothing_with_boxes_of_two_sizes(model: YoloV1):
    cut = model.eval()(torch.rand(1, 3, 96, 96))
    assert cut.scores.max().item() < 0.1
    middle = cut.xyxy.view(6, 6, 2, 4)[3, 3]
    assert [96 / 9, 96 * 4 / 9] == pytest.approx((middle[:, 2] - middle[:, 0]).tolist(), rel=0.2)


def test_a_cell_answers_for_the_first_object_whose_centre_it_holds():
    objects = [[0, 0, 30, 30], [2, 2, 26, 26], [33, 1, 63, 15], [64, 64, 64, 64], [0, 32, 64, 64]]
    found = cells_of(targets_of(objects, [1, 0, 0, 0, 1], [False, False, False, False, True]), (2, 2), 32)
    assert [[0, 2, NEUTRAL, 3]] == found.tolist()


def test_without_objects_every_cell_is_background():
    none = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0).long(), torch.zeros(2, 0).bool())
    padding = Targets(torch.zeros(2, 3, 4), torch.full((2, 3), -1), torch.zeros(2, 3).bool())
    for targets in (none, padding):
        assert [[BACKGROUND] * 6] * 2 == cells_of(targets, (2, 3), 32).tolist()


def test_the_box_that_overlaps_most_is_responsible_and_the_nearest_where_none_does():
    truth = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    offered = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 9, 10]], [[40, 40, 45, 45], [0, 0, 5, 5]]])
    chosen, overlap = responsible(offered, truth)
    assert [1, 0] == chosen.tolist()
    assert [0.9, 0.0] == pytest.approx(overlap.tolist())


def losses_slowly(model: YoloV1, pixels: torch.Tensor, targets: Targets) -> dict[str, float]:
    """The paper's formula, cell by cell and box by box."""
    said = model._answers(pixels)
    boxes, classes = said.boxes.detach().numpy(), said.classes.detach().numpy()
    side, (height, width) = model.options.cell_px, pixels.shape[-2:]
    terms = dict.fromkeys(("centre", "size", "object", "nothing", "class"), 0.0)
    for picture in range(len(pixels)):
        held: dict[tuple[int, int], int] = {}
        for row, class_id in enumerate(targets.class_id[picture].tolist()):
            left, top, right, bottom = targets.xyxy[picture, row].tolist()
            if class_id >= 0:
                held.setdefault((int((top + bottom) / 2 // side), int((left + right) / 2 // side)), row)
        for cell in range(boxes.shape[1]):
            row, column = divmod(cell, width // side)
            offered = []
            for x, y, root_width, root_height, _ in boxes[picture, cell]:
                middle = np.array([(column + x) * side, (row + y) * side])
                half = np.array([root_width**2 * width, root_height**2 * height]) / 2
                offered.append(np.concatenate([middle - half, middle + half]))
            learning = -1
            if (row, column) in held:
                xyxy = targets.xyxy[picture, held[row, column]].numpy()
                overlap = iou(np.array(offered, np.float32), xyxy[None])[:, 0]
                learning = int(overlap.argmax())
                assert overlap[learning] > 0
                x, y, root_width, root_height, confidence = boxes[picture, cell, learning]
                wanted_x, wanted_y = (xyxy[0] + xyxy[2]) / 2 / side - column, (xyxy[1] + xyxy[3]) / 2 / side - row
                wanted_width, wanted_height = (xyxy[2] - xyxy[0]) / width, (xyxy[3] - xyxy[1]) / height
                terms["centre"] += 5 * ((x - wanted_x) ** 2 + (y - wanted_y) ** 2)
                terms["size"] += 5 * ((root_width - wanted_width**0.5) ** 2 + (root_height - wanted_height**0.5) ** 2)
                terms["object"] += (confidence - overlap[learning]) ** 2
                of_class = np.eye(model.classes)[targets.class_id[picture, held[row, column]]]
                terms["class"] += ((classes[picture, cell] - of_class) ** 2).sum()
            for number in range(model.options.boxes):
                if number != learning:
                    terms["nothing"] += 0.5 * boxes[picture, cell, number, 4] ** 2
    return {name: term / len(pixels) for name, term in terms.items()}


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_the_slow_loop(model: YoloV1, seed: int):
    pixels, targets = shapes(3, (128, 96), seed)
    targets.class_id[0] = -1
    nn.init.normal_(model.head.weight, std=0.05)
    model.eval()
    got = {name: term.item() for name, term in model.losses(pixels, targets).items()}
    assert losses_slowly(model, pixels, targets) == pytest.approx(got, rel=1e-4)


def test_gradients_are_finite_differences(model: YoloV1):
    pixels, targets = shapes(2)
    model.eval()
    # Which outputs a term learns from: the overlap that a confidence shall tell is a number given, not one to be bent.
    for name, places in {
        "centre": (0, 1),
        "size": (2, 8),
        "object": (4, 9),
        "nothing": (4, 9),
        "class": (10, 11),
    }.items():
        model.zero_grad()
        model.losses(pixels, targets)[name].backward()
        for place in places:
            moved = []
            for step in (0.01, -0.01):
                with torch.no_grad():
                    model.head.bias[place] += step
                    moved.append(model.losses(pixels, targets)[name].item())
                    model.head.bias[place] -= step
            expected = (moved[0] - moved[1]) / 0.02
            assert expected == pytest.approx(model.head.bias.grad[place].item(), rel=0.02, abs=1e-3)


@pytest.mark.parametrize("options", [None, CONNECTED], ids=["convolutional", "connected"])
def test_a_picture_without_objects_has_finite_losses_and_gradients(options: YoloV1Options | None):
    model = YoloV1.tiny(2) if options is None else YoloV1(2, options)
    none = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    terms = model.train().losses(torch.rand(2, 3, 96, 96), none)
    sum(terms.values()).backward()
    assert [0.0] * 4 == [terms[name].item() for name in ("centre", "size", "object", "class")]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_under_an_ignored_object_nothing_is_wrong(model: YoloV1):
    pixels, targets = shapes(2)
    model.eval()
    everything = Targets(targets.xyxy, targets.class_id, targets.class_id >= 0)
    none = Targets(targets.xyxy, torch.full_like(targets.class_id, -1), targets.ignored)
    ignored, absent = model.losses(pixels, everything), model.losses(pixels, none)
    assert 0.0 == ignored["class"].item()
    assert ignored["nothing"].item() < absent["nothing"].item()


def test_autocast_changes_the_losses_little(model: YoloV1):
    pixels, targets = shapes(2)
    model.eval()
    exact = model.losses(pixels, targets)
    with torch.autocast("cpu", torch.bfloat16):
        short = model.losses(pixels, targets)
    assert all(torch.float32 == term.dtype for term in short.values())
    assert sum(exact.values()).item() == pytest.approx(sum(short.values()).item(), rel=0.05)


@pytest.mark.parametrize("options", [None, CONNECTED], ids=["convolutional", "connected"])
def test_eight_pictures_are_learnt_by_heart(options: YoloV1Options | None):
    torch.manual_seed(0)
    model = YoloV1.tiny(len(CLASSES)) if options is None else YoloV1(len(CLASSES), options)
    pixels, targets = shapes(8)
    learn(model, pixels, targets, steps=100, rate=3e-3)
    assert 1.0 == pytest.approx(scores(model, pixels, targets, CLASSES).map50)


def test_a_connected_head_says_which_pictures_it_takes():
    model = YoloV1(2, CONNECTED).eval()
    with pytest.raises(ConfigError, match="one size only"):
        model(torch.rand(1, 3, 128, 96))


@pytest.mark.parametrize("cell_px", [16, 32, 64])
def test_cells_of_any_size_fit_any_backbone(cell_px: int):
    model = YoloV1(3, YoloV1Options(backbone="yolo-pico", cell_px=cell_px, boxes=3, channels=16)).eval()
    assert 3 * (128 // cell_px) * (192 // cell_px) == model(torch.rand(1, 3, 128, 192)).scores.shape[1]
