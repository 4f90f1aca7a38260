"""RetinaNet: its cut, its losses, and that it learns."""

from __future__ import annotations

import pytest
import torch
from learning import learn, scores
from rendered import CLASSES, shapes

from streamdet.models.contract import Targets
from streamdet.models.retinanet import RetinaNet, RetinaNetOptions

torch.set_num_threads(1)


@pytest.fixture
def model() -> RetinaNet:
    torch.manual_seed(0)
    return RetinaNet.tiny(len(CLASSES))


def test_the_cut_has_every_anchor_inside_the_picture(model: RetinaNet):
    cut = model.eval()(torch.rand(2, 3, 96, 128))
    cells = 12 * 16 + 6 * 8 + 3 * 4
    assert (2, cells * 9, 4) == cut.xyxy.shape
    assert (2, cells * 9, 2) == cut.scores.shape
    assert (cut.xyxy >= 0).all()
    assert (cut.xyxy[..., 0::2] <= 128).all()
    assert (cut.xyxy[..., 1::2] <= 96).all()
    assert (cut.xyxy[..., 2:] >= cut.xyxy[..., :2]).all()


def test_it_begins_by_saying_nothing(model: RetinaNet):
    assert model.eval()(torch.rand(1, 3, 64, 64)).scores.max().item() < 0.05


def test_a_picture_without_objects_has_finite_losses_and_gradients(model: RetinaNet):
    none = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    terms = model.train().losses(torch.rand(2, 3, 64, 64), none)
    sum(terms.values()).backward()
    assert 0.0 == terms["box"].item()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_ignored_object_is_neither_learnt_nor_background(model: RetinaNet):
    pixels, targets = shapes(2)
    model.eval()  # the same features both times
    everything = Targets(targets.xyxy, targets.class_id, targets.class_id >= 0)
    none = Targets(targets.xyxy, torch.full_like(targets.class_id, -1), targets.ignored)
    ignored, absent = model.losses(pixels, everything), model.losses(pixels, none)
    assert 0.0 == ignored["box"].item()
    assert ignored["class"].item() < absent["class"].item()


def test_autocast_changes_the_losses_little(model: RetinaNet):
    pixels, targets = shapes(2)
    model.eval()
    exact = model.losses(pixels, targets)
    with torch.autocast("cpu", torch.bfloat16):
        short = model.losses(pixels, targets)
    assert all(torch.float32 == term.dtype for term in short.values())
    assert [exact[name].item() for name in exact] == pytest.approx([short[name].item() for name in exact], rel=0.05)


def test_eight_pictures_are_learnt_by_heart(model: RetinaNet):
    pixels, targets = shapes(8)
    learn(model, pixels, targets, steps=120, rate=3e-3)
    assert 1.0 == pytest.approx(scores(model, pixels, targets, CLASSES).map50)


def test_any_backbone_and_any_levels_fit():
    options = RetinaNetOptions(backbone="yolo-pico", first_level=2, last_level=7, channels=16, head_convs=1)
    cut = RetinaNet(3, options).eval()(torch.rand(1, 3, 64, 64))
    assert 9 * (16**2 + 8**2 + 4**2 + 2**2 + 1 + 1) == cut.scores.shape[1]
