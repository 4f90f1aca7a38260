"""Faster R-CNN: always R regions, four losses, two ways of training."""

from __future__ import annotations

import pytest
import torch
from learning import learn, scores
from rendered import CLASSES, shapes

from streamdet.models.box_coder import PROPOSAL_SCALE
from streamdet.models.contract import Targets
from streamdet.models.faster_rcnn import DETECTING, PROPOSING, FasterRcnn
from streamdet.models.geometry import pairwise_iou

torch.set_num_threads(1)


@pytest.fixture
def model() -> FasterRcnn:
    torch.manual_seed(0)
    return FasterRcnn.tiny(len(CLASSES))


def nothing(pictures: int) -> Targets:
    return Targets(
        torch.zeros(pictures, 0, 4),
        torch.zeros(pictures, 0, dtype=torch.int64),
        torch.zeros(pictures, 0, dtype=torch.bool),
    )


def test_every_picture_gets_the_same_number_of_regions(model: FasterRcnn):
    for pictures in (1, 3):
        cut = model.eval()(torch.rand(pictures, 3, 96, 128))
        assert (pictures, model.options.proposals.count, 4) == cut.xyxy.shape
        assert (pictures, model.options.proposals.count, len(CLASSES)) == cut.scores.shape
        assert (cut.scores.sum(dim=-1) <= 1 + 1e-5).all()
        assert (cut.xyxy[..., 0::2] <= 128).all()
        assert (cut.xyxy >= 0).all()


def test_where_no_region_is_held_the_scores_are_zero(model: FasterRcnn):
    model.eval()
    pyramid = model.trunk(torch.rand(1, 3, 64, 64))
    proposals = model.rpn.propose(model.rpn(pyramid), 64, 64)
    held = torch.zeros_like(proposals.held)
    held[:, :5] = True
    cut = model.box_head.detect(pyramid, proposals._replace(held=held), 64, 64)
    assert (cut.scores[held] > 0).all()
    assert (cut.scores[~held] == 0).all()


def test_proposals_of_a_level_overlap_at_most_as_much_as_allowed(model: FasterRcnn):
    model.eval()
    said = model.rpn(model.trunk(torch.rand(1, 3, 96, 96)))
    only = type(said)(said.logits[:1], said.offsets[:1], said.anchors[:1])
    proposals = model.rpn.propose(only, 96, 96)
    kept = proposals.xyxy[0][proposals.held[0]]
    overlap = pairwise_iou(kept, kept) - torch.eye(len(kept))
    assert overlap.max().item() <= model.options.proposals.iou + 1e-5


def test_the_box_is_that_of_the_best_class(model: FasterRcnn):
    model.eval()
    pyramid = model.trunk(torch.rand(1, 3, 64, 64))
    proposals = model.rpn.propose(model.rpn(pyramid), 64, 64)
    with torch.no_grad():
        model.box_head.box_layer.weight.zero_()
        # Class 0 moves its box by half a width to the left, class 1 by half a height down.
        shift = 0.5 / PROPOSAL_SCALE[0]
        model.box_head.box_layer.bias.copy_(torch.tensor([-shift, 0, 0, 0, 0, shift, 0, 0]))
        cut = model.box_head.detect(pyramid, proposals, 1000, 1000)
    best = cut.scores.argmax(dim=-1)[0]
    for row in range(10):
        left, top, right, bottom = proposals.xyxy[0, row].tolist()
        moved = (right - left) / 2 if best[row] == 0 else 0.0
        lowered = (bottom - top) / 2 if best[row] == 1 else 0.0
        expected = [max(left - moved, 0), top + lowered, max(right - moved, 0), bottom + lowered]
        assert pytest.approx(expected, abs=1e-3) == cut.xyxy[0, row].tolist()


def test_four_losses_are_finite_with_and_without_objects(model: FasterRcnn):
    pixels, targets = shapes(2)
    for wanted in (targets, nothing(2)):
        model.zero_grad()
        terms = model.train().losses(pixels, wanted)
        assert ["proposal", "proposal_box", "class", "box"] == list(terms)
        sum(terms.values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_same_seed_samples_the_same(model: FasterRcnn):
    pixels, targets = shapes(2)
    model.eval()
    terms = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        terms.append({name: term.item() for name, term in model.losses(pixels, targets).items()})
    assert terms[0] == terms[1]
    assert terms[0] != terms[2]


def test_an_ignored_object_is_neither_learnt_nor_background(model: FasterRcnn):
    _, targets = shapes(1)
    crowd = Targets(targets.xyxy, targets.class_id, targets.class_id >= 0)
    pixels = torch.rand(1, 3, 96, 96)
    model.eval()
    proposals = model.rpn.propose(model.rpn(model.trunk(pixels)), 96, 96)
    on_it = proposals._replace(xyxy=crowd.xyxy[:, :1].expand(-1, proposals.xyxy.shape[1], -1))
    terms = model.box_head.losses(model.trunk(pixels), on_it, crowd)
    assert {"class": 0.0, "box": 0.0} == {name: term.item() for name, term in terms.items()}


def test_autocast_changes_the_losses_little(model: FasterRcnn):
    pixels, targets = shapes(2)
    model.eval()
    torch.manual_seed(0)
    exact = model.losses(pixels, targets)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(0)
        short = model.losses(pixels, targets)
    assert all(torch.float32 == term.dtype for term in short.values())
    assert exact["proposal"].item() == pytest.approx(short["proposal"].item(), rel=0.05)


def test_eight_pictures_are_learnt_by_heart(model: FasterRcnn):
    pixels, targets = shapes(8)
    learn(model, pixels, targets, steps=100, rate=8e-3)
    assert 1.0 == pytest.approx(scores(model, pixels, targets, CLASSES).map50)


def test_four_alternating_steps_learn_too():
    torch.manual_seed(0)
    model = FasterRcnn.tiny(len(CLASSES), training="alternating")
    pixels, targets = shapes(4)
    learn(model, pixels, targets, steps=120)
    assert 1.0 == pytest.approx(scores(model, pixels, targets, CLASSES).map50)


def test_a_phase_trains_its_part_and_leaves_the_rest_bit_for_bit():
    torch.manual_seed(0)
    model = FasterRcnn.tiny(len(CLASSES), training="alternating")
    pixels, targets = shapes(2)
    assert 1.0 == pytest.approx(sum(phase.share for phase in model.phases()))
    for phase in model.phases():
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.enter(phase)
        model.train()
        terms = model.losses(pixels, targets)
        sum(terms.values()).backward()
        learning = [p for p in model.parameters() if p.requires_grad]
        assert all(p.grad is not None for p in learning)
        torch.optim.SGD(learning, lr=0.1).step()
        model.zero_grad()
        changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        assert changed
        assert all(name.startswith(phase.learns) for name in changed)


def test_the_detector_first_learns_on_the_proposals_of_the_first_step():
    torch.manual_seed(0)
    model = FasterRcnn.tiny(len(CLASSES), training="alternating").eval()
    pixels = torch.rand(1, 3, 64, 64)
    boxes = []
    for phase in (PROPOSING, DETECTING, model.phases()[-1]):
        model.enter(phase)
        boxes.append(model(pixels).xyxy)
    assert torch.equal(boxes[0], boxes[1])
    assert not torch.equal(boxes[1], boxes[2])
