"""Mask R-CNN: a mask for every candidate, learnt where regions lie on objects, in the place of the box it is over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import learn
from rendered import CLASSES, shapes

from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES, Tail
from streamdet.manifest import Nms
from streamdet.masks import pasted
from streamdet.models.contract import Targets
from streamdet.models.mask_head import masks_in
from streamdet.models.mask_rcnn import MaskRcnn

torch.set_num_threads(1)


@pytest.fixture
def model() -> MaskRcnn:
    torch.manual_seed(0)
    return MaskRcnn.tiny(len(CLASSES))


def masked(count: int = 8) -> tuple[torch.Tensor, Targets]:
    """Discs are round and squares fill their box."""
    pixels, targets = shapes(count)
    height, width = pixels.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    left, top, right, bottom = (targets.xyxy[..., edge, None, None] for edge in range(4))
    box = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    disc = torch.hypot(x - (left + right) / 2, y - (top + bottom) / 2) <= (right - left) / 2
    masks = torch.where(targets.class_id[..., None, None] == 0, disc & box, box)
    return pixels, replace(targets, masks=(masks & (targets.class_id >= 0)[..., None, None]).to(torch.uint8))


def test_every_candidate_has_a_mask(model: MaskRcnn):
    cut = model.eval()(torch.rand(2, 3, 96, 128))
    assert cut.masks is not None
    assert (2, model.options.proposals.count, 28, 28) == cut.masks.shape
    assert (cut.masks >= 0).all()
    assert (cut.masks <= 1).all()


def test_five_losses_are_finite_with_and_without_objects(model: MaskRcnn):
    pixels, targets = masked(2)
    nothing = replace(targets, class_id=torch.full_like(targets.class_id, -1))
    none_at_all = Targets(*(each[:, :0] for each in (targets.xyxy, targets.class_id, targets.ignored)))
    none_at_all = replace(none_at_all, masks=targets.masks[:, :0])
    for wanted in (targets, nothing, none_at_all):
        model.zero_grad()
        terms = model.train().losses(pixels, wanted)
        assert ["proposal", "proposal_box", "class", "box", "mask"] == list(terms)
        sum(terms.values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        assert (terms["mask"].item() > 0) == (wanted is targets)


def test_an_ignored_objects_mask_is_not_learnt(model: MaskRcnn):
    pixels, targets = masked(1)
    crowd = replace(targets, ignored=targets.class_id >= 0)
    assert 0.0 == model.eval().losses(pixels, crowd)["mask"].item()


def test_a_region_sees_its_part_of_the_mask():
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 16:32, 8:24] = 1
    seen = masks_in(mask.expand(3, -1, -1), torch.tensor([[8.0, 16, 24, 32], [0, 16, 16, 32], [40, 0, 64, 64]]), 8)
    assert seen[0].all()
    assert torch.equal(seen[1], torch.tensor([0.0] * 4 + [1.0] * 4).expand(8, 8))
    assert not seen[2].any()


def test_only_the_objects_own_class_learns(model: MaskRcnn):
    pixels, targets = masked(4)
    only = targets.class_id.clone()
    only[only == 1] = -1
    model.train().losses(pixels, replace(targets, class_id=only))["mask"].backward()
    gradient = model.mask_head.mask_layer.weight.grad
    assert gradient is not None
    assert gradient[0].abs().sum() > 0
    assert 0 == gradient[1].abs().sum()


def test_shapes_are_learnt_by_heart(model: MaskRcnn):
    pixels, targets = masked(4)
    learn(model, pixels, targets, steps=100, rate=8e-3)
    with torch.no_grad():
        cut = model.eval()(pixels)
    assert cut.masks is not None
    assert targets.masks is not None
    tail = Tail(Nms(candidates=300, max_detections=50, iou=0.5, floor=0.3), len(pixels))
    named = {CUT_BOXES: cut.xyxy, CUT_SCORES: cut.scores, CUT_EXTRAS["masks"]: cut.masks}
    found = tail.run({name: tensor.contiguous().numpy() for name, tensor in named.items()})
    overlaps = []
    for picture, row in zip(*np.nonzero(targets.class_id.numpy() >= 0), strict=True):
        wanted = targets.masks[picture, row].numpy()
        best = 0.0
        for place in range(found["count"][picture]):
            part, (left, top) = pasted(found["masks"][picture, place], found["xyxy"][picture, place].tolist(), (96, 96))
            whole = np.zeros((96, 96), np.uint8)
            whole[top : top + part.shape[0], left : left + part.shape[1]] = part
            best = max(best, (whole & wanted).sum() / (whole | wanted).sum())
        overlaps.append(best)
    assert np.mean(overlaps) > 0.8
