"""The localiser: learns figures by heart, and says nothing where nothing is."""

from __future__ import annotations

import pytest
import torch
from learning import learn
from rendered import figures

from streamdet.models.contract import Targets
from streamdet.models.geometry import aligned_iou
from streamdet.models.localiser import Localiser, LocaliserOptions


@pytest.mark.parametrize("per_class", [False, True])
def test_it_learns_boxes_classes_and_landmarks_by_heart(per_class: bool):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Localiser(2, LocaliserOptions(backbone="tiny", keypoints=14, hidden=64, per_class_boxes=per_class))
    pixels, targets = figures(4, (64, 64))
    learn(model, pixels, targets, 90)
    with torch.no_grad():
        cut = model.eval()(pixels)
    best = cut.scores.amax(-1).argmax(-1)  # [B]
    every = torch.arange(len(pixels))
    assert torch.equal(targets.class_id[:, 0], cut.scores[every, best].argmax(-1))
    assert aligned_iou(cut.xyxy[every, best], targets.xyxy[:, 0]).mean() > 0.7
    size = (targets.xyxy[:, 0, 2:] - targets.xyxy[:, 0, :2]).amax(-1)
    away = (cut.keypoints[every, best][..., :2] - targets.keypoints[:, 0, :, :2]).norm(dim=-1).mean(-1) / size
    assert away.mean() < 0.12


def test_an_answer_per_class_scores_for_its_class_alone():
    model = Localiser(3, LocaliserOptions(backbone="tiny", per_class_boxes=True)).eval()
    cut = model(torch.rand(2, 3, 64, 96))
    assert (2, 3, 4) == tuple(cut.xyxy.shape)
    assert torch.equal(cut.scores, torch.diag_embed(torch.diagonal(cut.scores, dim1=1, dim2=2)))


def test_pictures_without_objects_or_with_ignored_ones_give_finite_losses():
    model = Localiser(2, LocaliserOptions(backbone="tiny", keypoints=14))
    pixels, targets = figures(3)
    empty = Targets(torch.zeros(3, 0, 4), torch.zeros(3, 0, dtype=torch.long), torch.zeros(3, 0, dtype=torch.bool))
    ignored = Targets(targets.xyxy, targets.class_id, ~targets.ignored, targets.keypoints)
    for told in (empty, ignored):
        terms = model.losses(pixels, told)
        assert all(torch.isfinite(term) for term in terms.values())
    assert 0 == terms["class"] == terms["box"]
