"""Optimisers move what they should, as far as they should."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from streamdet.models.contract import WHOLE
from streamdet.training.muon import Muon, orthogonal
from streamdet.training.optimiser import OptimiserOptions, build_optimiser, take_step
from streamdet.training.schedule import Stretch, rate_at, stretches


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)
    )


def with_gradients(model: nn.Module, seed: int = 1) -> None:
    torch.manual_seed(seed)
    model.zero_grad()
    model(torch.rand(4, 3, 8, 8)).square().mean().backward()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_a_broken_step_moves_nothing_and_leaves_no_memory(kind: Any) -> None:
    options = OptimiserOptions(kind=kind, rate=0.01)
    models = [network(), network()]
    optimisers = [build_optimiser(model, options) for model in models]
    for broken in (False, True, False):
        for model, optimiser, tried in zip(models, optimisers, (True, False), strict=True):
            if broken and not tried:
                continue
            with_gradients(model)
            if broken:
                next(model.parameters()).grad[0] = float("nan")  # type: ignore[index]
            _, told = take_step(optimiser, 0.01, 10.0)
            assert broken == bool(told)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_muons_adaptive_part_is_torchs_adamw() -> None:
    one, other = network(), network()
    groups = [{"params": list(one.parameters()), "weight_decay": 0.05, "matrix": False}]
    ours = Muon(groups, lr=0.01, momentum=0.9)
    theirs = torch.optim.AdamW(other.parameters(), lr=0.01, betas=(0.9, 0.999), weight_decay=0.05)
    for seed in range(5):
        with_gradients(one, seed)
        with_gradients(other, seed)
        ours.step()
        theirs.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16)])
def test_the_orthogonal_factor_keeps_directions_and_evens_out_lengths(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(2, *shape)
    sizes = torch.linalg.svdvals(orthogonal(matrix))
    assert sizes.min() > 0.5
    assert sizes.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    nearest = u @ v
    likeness = (orthogonal(matrix) * nearest).sum((1, 2)) / nearest.square().sum((1, 2))
    assert likeness.min() > 0.6


def test_muon_takes_hidden_matrices_and_leaves_answers_norms_and_biases_to_adamw() -> None:
    model = network()
    optimiser = build_optimiser(model, OptimiserOptions(kind="muon", weight_decay=0.05, vector_rate_ratio=5))
    told = {group["matrix"]: [tuple(p.shape) for p in group["params"]] for group in optimiser.param_groups[::-1]}
    assert [(8, 3, 3, 3)] == told[True]
    vectors = [group for group in optimiser.param_groups if group["weight_decay"] == 0]
    assert [(8,), (8,), (2,)] == [tuple(p.shape) for p in vectors[0]["params"]]
    with_gradients(model)
    take_step(optimiser, 0.002, 10.0)
    assert [0.002, 0.01, 0.002] == [group["lr"] for group in optimiser.param_groups]


def test_long_gradients_are_shortened() -> None:
    model = network()
    twin = copy.deepcopy(model)
    for each, factor in ((model, 1.0), (twin, 1e6)):
        with_gradients(each)
        for parameter in each.parameters():
            assert parameter.grad is not None
            parameter.grad *= factor
        take_step(build_optimiser(each, OptimiserOptions(momentum=0, weight_decay=0)), 0.1, 1e-3)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)


def test_the_rate_rises_then_falls_to_its_end() -> None:
    stretch = Stretch(WHOLE, 0, 100, 0, 100, False, False)
    options = OptimiserOptions(rate=1.0, warm_up_share=0.1, final_ratio=0.1)
    rates = [rate_at(step, stretch, options) for step in range(100)]
    assert 1.0 == max(rates) == rates[10]
    assert sorted(rates[:11]) == rates[:11]
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert 0.1 == pytest.approx(rates[-1], abs=0.01)


def test_stretches_cover_every_step_once() -> None:
    plan = stretches(97, (WHOLE,), small_share=0.6, plain_share=0.15)
    steps = [step for stretch in plan for step in range(stretch.first, stretch.last)]
    assert list(range(97)) == steps
    assert [(True, False), (False, False), (False, True)] == [(each.small, each.plain) for each in plan]
