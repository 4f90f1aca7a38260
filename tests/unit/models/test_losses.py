"""Losses: equal to their formulas, gradients as finite differences say, finite where it hurts."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from streamdet.models import losses

torch.set_num_threads(1)


def test_soft_cross_entropy_is_least_at_the_wanted_probability():
    logits = torch.tensor([0.3]).logit().double().requires_grad_()
    (slope,) = torch.autograd.grad(losses.soft_cross_entropy(logits, torch.tensor([0.3])).sum(), logits)
    assert abs(slope.item()) < 1e-6


def test_focal_loss_by_hand():
    logits, wanted = torch.tensor([0.0, 0.0, 2.0]), torch.tensor([1.0, 0.0, 1.0])
    right = 1 / (1 + math.exp(-2.0))
    expected = [0.25 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2), -0.25 * (1 - right) ** 2 * math.log(right)]
    torch.testing.assert_close(torch.tensor(expected), losses.focal_loss(logits, wanted))


def test_focal_loss_without_focus_and_weight_is_cross_entropy():
    logits, wanted = torch.randn(50), (torch.rand(50) > 0.5).float()
    plain = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    torch.testing.assert_close(plain, losses.focal_loss(logits, wanted, gamma=0, alpha=-1))


def test_quality_focal_loss_vanishes_where_the_answer_is_right():
    wanted = torch.tensor([0.2, 0.7])
    torch.testing.assert_close(torch.zeros(2), losses.quality_focal_loss(wanted.logit(), wanted))


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0])
def test_smooth_l1_is_that_of_torch(beta):
    got, wanted = torch.randn(40), torch.randn(40)
    torch.testing.assert_close(
        functional.smooth_l1_loss(got, wanted, beta=beta, reduction="none"), losses.smooth_l1(got, wanted, beta)
    )


# Each computes in float32, so the steps are larger and the tolerance wider than double precision would allow.
def _check(loss, *values):
    got = values[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(got, *values[1:]).sum(), got)
    step = 1e-2
    for index in range(got.numel()):
        change = torch.zeros(got.numel())
        change[index] = step
        change = change.view_as(got)
        up, down = loss(values[0] + change, *values[1:]), loss(values[0] - change, *values[1:])
        assert (up - down).sum().item() / (2 * step) == pytest.approx(slope.flatten()[index].item(), abs=3e-3)


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    logits, wanted = torch.randn(12, generator=generator), torch.rand(12, generator=generator)
    _check(losses.soft_cross_entropy, logits, wanted)
    _check(losses.focal_loss, logits, wanted.round())
    _check(losses.quality_focal_loss, logits, wanted)
    _check(losses.smooth_l1, logits, wanted + 3)
    square = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    _check(lambda shift: losses.box_loss(square + shift.repeat(2), square), torch.tensor([3.0, -4.0]))


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_extreme_logits_cost_much_and_stay_finite(extreme):
    logits = torch.full((2,), extreme, requires_grad=True)
    wanted = torch.tensor([0.0, 1.0])
    for loss in (losses.soft_cross_entropy, losses.focal_loss, losses.quality_focal_loss):
        value = loss(logits, wanted)
        (slope,) = torch.autograd.grad(value.sum(), logits)
        assert torch.isfinite(value).all()
        assert torch.isfinite(slope).all()


def test_low_precision_logits_are_judged_in_full_precision():
    logits = torch.randn(30).bfloat16()
    assert torch.float32 == losses.focal_loss(logits, torch.ones(30)).dtype
    torch.testing.assert_close(
        losses.focal_loss(logits.float(), torch.ones(30)), losses.focal_loss(logits, torch.ones(30))
    )
