"""Fast R-CNN: regions from outside, two losses; and what the head does besides for every two-stage detector."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learning import scores
from rendered import CLASSES, shapes
from torch import nn

from streamdet.models.box_head import BoxHead, BoxHeadOptions, LearningRegions, candidates
from streamdet.models.contract import Targets
from streamdet.models.fast_rcnn import FastRcnn, FastRcnnOptions
from streamdet.models.faster_rcnn import FasterRcnn, FasterRcnnOptions
from streamdet.models.proposals import Proposals

torch.set_num_threads(1)


def around(targets: Targets, count: int = 24, seed: int = 0) -> Targets:
    """The targets with regions: each object shaken a little, and as many anywhere."""
    random = torch.Generator().manual_seed(seed)
    pictures, objects = targets.class_id.shape
    shaken = targets.xyxy.repeat(1, count // 2 // objects, 1)
    shaken = shaken + 5 * torch.randn(shaken.shape, generator=random)
    corners = torch.rand(pictures, count // 2, 2, 2, generator=random) * 96
    anywhere = torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=-1)
    return replace(targets, regions=torch.cat([shaken, anywhere], dim=1).clamp(0, 96))


@pytest.fixture
def model() -> FastRcnn:
    torch.manual_seed(0)
    return FastRcnn.tiny(len(CLASSES))


def test_every_region_is_a_candidate_and_one_without_area_scores_nothing(model: FastRcnn):
    pixels, targets = shapes(2)
    regions = around(targets).regions
    assert regions is not None
    regions[:, -3:] = 0
    cut = model.eval()(pixels, regions)
    assert regions.shape == cut.xyxy.shape
    assert (2, regions.shape[1], len(CLASSES)) == cut.scores.shape
    assert (cut.scores[:, -3:] == 0).all()
    assert (cut.scores[:, :-3].sum(dim=-1) > 0).any()


def test_two_losses_are_finite_with_and_without_objects_and_regions(model: FastRcnn):
    pixels, targets = shapes(2)
    empty = Targets(targets.xyxy[:, :0], targets.class_id[:, :0], targets.ignored[:, :0], regions=torch.zeros(2, 4, 4))
    for wanted in (around(targets), empty):
        model.zero_grad()
        terms = model.train().losses(pixels, wanted)
        assert ["class", "box"] == list(terms)
        assert all(term.isfinite() for term in terms.values())
    around_all = model.losses(pixels, around(targets))
    sum(around_all.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_eight_pictures_are_learnt_by_heart(model: FastRcnn):
    pixels, targets = shapes(8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.1
    optimiser = torch.optim.AdamW(model.train().parameters(), lr=6e-3)
    for step in range(80):
        optimiser.param_groups[0]["lr"] = 6e-3 * (1 - step / 80)
        optimiser.zero_grad()
        sum(model.losses(pixels, around(targets, seed=step)).values()).backward()
        optimiser.step()
    shown = around(targets, seed=1000)

    class Shown(nn.Module):
        def forward(self, seen: torch.Tensor):
            return model.eval()(seen, shown.regions)

    assert scores(Shown(), pixels, targets, CLASSES).map50 > 0.9


def head(**options: object) -> BoxHead:
    torch.manual_seed(0)
    return BoxHead(8, 2, BoxHeadOptions(convs=0, width=16, **options)).eval()


def pyramid() -> dict[int, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {level: torch.randn(1, 8, 64 // 2**level, 64 // 2**level, generator=random) for level in (3, 4)}


def test_easy_background_learns_nothing_where_it_is_asked_for():
    objects = torch.tensor([[[0.0, 0.0, 20.0, 20.0]]])
    regions = torch.tensor([[[0.0, 0.0, 20.0, 18.0], [0.0, 0.0, 20.0, 60.0], [40.0, 40.0, 60.0, 60.0]]])
    targets = Targets(objects, torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.bool))
    proposals = Proposals(regions, torch.ones(1, 3, dtype=torch.bool))
    for least, expected in ((0.0, [0, -1, -1, 0]), (0.1, [0, -1, -2, 0])):
        _, found = candidates(proposals, targets, LearningRegions(background_from=least))
        assert expected == found[0].tolist()


def test_a_second_pass_looks_where_the_first_one_pointed():
    regions = torch.tensor([[[8.0, 8.0, 40.0, 40.0], [0.0, 20.0, 30.0, 50.0]]])
    proposals = Proposals(regions, torch.ones(1, 2, dtype=torch.bool))
    once, twice = head(), head(passes=2)
    nn.init.normal_(once.box_layer.weight, std=0.5)
    twice.load_state_dict(once.state_dict())
    first = once.detect(pyramid(), proposals, 64, 64)
    both = twice.detect(pyramid(), proposals, 64, 64)
    assert torch.equal(first.xyxy, both.xyxy[:, :2])
    second = once.detect(pyramid(), Proposals(first.xyxy, proposals.held), 64, 64)
    assert torch.equal(second.xyxy, both.xyxy[:, 2:])
    assert torch.equal(second.scores, both.scores[:, 2:])


def test_with_context_a_region_is_seen_beside_the_whole_picture():
    beside = head(context=True)
    here = torch.tensor([[[8.0, 8.0, 24.0, 24.0]]])
    seen = beside._seen(pyramid(), here)
    whole = beside._seen(pyramid(), torch.tensor([[[0.0, 0.0, 64.0, 64.0]]]))
    assert (1, 1, 32) == seen.shape
    assert torch.equal(whole[..., :16], seen[..., 16:])
    changed = pyramid()
    changed[3][..., 7, 7] += 5  # far away from the region
    assert torch.equal(seen[..., :16], beside._seen(changed, here)[..., :16])


def test_faster_and_fast_r_cnn_take_passes_and_context():
    options = BoxHeadOptions(convs=0, width=16, passes=2, context=True, samples=16)
    torch.manual_seed(0)
    faster = FasterRcnn(2, FasterRcnnOptions(backbone="tiny", channels=8, box_head=options)).eval()
    fast = FastRcnn(2, FastRcnnOptions(backbone="tiny", channels=8, box_head=options)).eval()
    pixels, targets = shapes(1)
    regions = around(targets).regions
    assert regions is not None
    assert 2 * faster.options.proposals.count == faster(pixels).xyxy.shape[1]
    cut = fast(pixels, regions)
    assert 2 * regions.shape[1] == cut.xyxy.shape[1]
    assert (cut.xyxy <= 96).all()
    assert all(term.isfinite() for term in fast.train().losses(pixels, around(targets)).values())
