"""Networks that label pixels: as large as the picture, a classifier made convolutional, shapes learnt by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning import learn
from rendered import CLASSES, shapes
from torch.nn import functional

from streamdet.masks import UNKNOWN
from streamdet.models.segmentation.contract import LabelTargets, SegmentationModel, overlap_loss, pixel_loss
from streamdet.models.segmentation.fcn import CLASSIFYING, ClassifierHead, Fcn, FcnOptions
from streamdet.models.segmentation.u_net import UNet

torch.set_num_threads(1)

FAMILIES = [UNet, Fcn]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def model(request: pytest.FixtureRequest) -> SegmentationModel:
    torch.manual_seed(0)
    return request.param.tiny(len(CLASSES))


def labelled(count: int) -> tuple[torch.Tensor, LabelTargets]:
    """Discs are 1 and squares are 2."""
    pixels, targets = shapes(count)
    labels = torch.zeros(count, *pixels.shape[-2:], dtype=torch.uint8)
    y, x = torch.meshgrid(torch.arange(pixels.shape[2]) + 0.5, torch.arange(pixels.shape[3]) + 0.5, indexing="ij")
    for picture, row in torch.nonzero(targets.class_id >= 0).tolist():
        left, top, right, bottom = targets.xyxy[picture, row]
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        if targets.class_id[picture, row] == 0:
            inside &= torch.hypot(x - (left + right) / 2, y - (top + bottom) / 2) <= (right - left) / 2
        labels[picture][inside] = targets.class_id[picture, row].to(torch.uint8) + 1
    return pixels, LabelTargets(labels)


def test_the_answer_is_as_large_as_the_picture(model: SegmentationModel):
    logits = model.eval()(torch.rand(2, 3, 48, 64))
    assert (2, 1 + len(CLASSES), 48, 64) == logits.shape
    assert torch.float32 == logits.dtype


def test_losses_are_finite_and_nothing_unknown_counts(model: SegmentationModel):
    pixels, targets = labelled(2)
    unknown = LabelTargets(torch.full_like(targets.labels, UNKNOWN))
    nothing = LabelTargets(torch.zeros_like(targets.labels))
    for phase in model.phases():
        model.enter(phase)
        for wanted in (targets, nothing, unknown):
            model.zero_grad()
            terms = model.train().losses(pixels, wanted)
            sum(terms.values()).backward()
            learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
            assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)
            if wanted is unknown:
                assert {0.0} == {term.item() for term in terms.values()}


def test_what_is_unknown_changes_nothing(model: SegmentationModel):
    logits = torch.randn(1, 3, 8, 8)
    labels = torch.randint(0, 3, (1, 8, 8))
    labels[0, :4] = UNKNOWN
    lower = (logits[:, :, 4:], labels[:, 4:])
    assert pixel_loss(*lower).item() == pytest.approx(pixel_loss(logits, labels).item())
    assert overlap_loss(*lower).item() == pytest.approx(overlap_loss(logits, labels).item())


def test_the_pixel_loss_is_torchs_and_a_sure_answer_costs_nothing():
    logits, labels = torch.randn(2, 3, 6, 6), torch.randint(0, 3, (2, 6, 6))
    assert functional.cross_entropy(logits, labels).item() == pytest.approx(pixel_loss(logits, labels).item())
    sure = 50.0 * functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert 0.0 == pytest.approx(pixel_loss(sure, labels).item(), abs=1e-6)
    assert 0.0 == pytest.approx(overlap_loss(sure, labels).item(), abs=1e-6)


def test_a_classifier_made_convolutional_says_of_every_window_what_it_said_of_it_alone():
    torch.manual_seed(0)
    head = ClassifierHead(channels=5, cells=3, width=16, classes=4)
    features = torch.randn(2, 5, 7, 9)
    everywhere = head.everywhere(features)
    assert (2, 5, 5, 7) == everywhere.shape
    for row in range(5):
        for column in range(7):
            alone = head(features[:, :, row : row + 3, column : column + 3])
            np.testing.assert_allclose(alone.detach(), everywhere[:, :, row, column].detach(), atol=1e-5)


def test_growing_begins_as_bilinear_interpolation():
    model = Fcn(2, FcnOptions(widths=(8, 16, 16, 16), depth=1, finest=2)).eval()
    pixels = torch.rand(1, 3, 64, 64)
    features = model.trunk(pixels)[3]
    coarse = model.head.everywhere(functional.pad(features, (1, 1, 1, 1)))
    grown = functional.interpolate(
        functional.interpolate(coarse, scale_factor=2.0, mode="bilinear"), scale_factor=4.0, mode="bilinear"
    )
    inner = np.s_[:, :, 16:-16, 16:-16]  # at the rim a deconvolution sees zeros
    np.testing.assert_allclose(grown[inner].detach(), model(pixels)[inner].detach(), atol=1e-5)


def test_the_classifier_learns_windows_around_something_and_their_middles():
    torch.manual_seed(1)
    model = Fcn.tiny(len(CLASSES))
    pixels, targets = labelled(3)
    windows, labels = model._windows(pixels, targets.labels)
    side = model.options.cells * model.stride
    assert (3 * model.options.windows, 3, side, side) == windows.shape
    assert (labels.reshape(3, -1)[:, : model.options.windows // 2] > 0).all()
    colours = {1: (230, 90, 60), 2: (60, 120, 240)}
    for window, label in zip(windows, labels.tolist(), strict=True):
        if label:
            middle = (window[:, side // 2, side // 2] * 255).round().int().tolist()
            assert list(colours[label]) == middle


def test_only_the_classifier_learns_in_the_first_phase():
    model = Fcn.tiny(len(CLASSES))
    model.enter(CLASSIFYING)
    learning = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"trunk", "head"} == learning


def test_shapes_are_learnt_by_heart(model: SegmentationModel):
    pixels, targets = labelled(4)
    learn(model, pixels, targets, steps=60, rate=1e-2)  # type: ignore[arg-type]
    with torch.no_grad():
        said = model.eval()(pixels).argmax(dim=1)
    for label in (1, 2):
        both = ((said == label) & (targets.labels == label)).sum().item()
        either = ((said == label) | (targets.labels == label)).sum().item()
        assert both / either > 0.85
