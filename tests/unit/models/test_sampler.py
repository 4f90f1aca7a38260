"""The sampler: how many, of what, and by what chance."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from streamdet.models.matcher import BACKGROUND, NEUTRAL
from streamdet.models.sampler import gather_chosen, sample

torch.set_num_threads(1)

verdicts = st.lists(st.sampled_from([NEUTRAL, BACKGROUND, 0, 3]), min_size=1, max_size=60)


@given(verdicts, st.integers(1, 40), st.floats(0.1, 1.0))
def test_counts_are_kept_and_background_fills_up(verdict: list[int], count: int, share: float):
    match = torch.tensor([verdict])
    positive, background = sample(match, count, share)
    assert min((match >= 0).sum().item(), round(count * share)) == positive.sum().item()
    assert min((match == BACKGROUND).sum().item(), count - positive.sum().item()) == background.sum().item()
    assert (match[positive] >= 0).all()
    assert (match[background] == BACKGROUND).all()


def test_every_candidate_has_the_same_chance():
    torch.manual_seed(0)
    match = torch.full((4000, 10), BACKGROUND)
    _, chosen = sample(match, 3, 0.5)
    share = chosen.float().mean(dim=0)
    assert (share - 0.3).abs().max().item() < 0.03


def test_the_same_state_of_the_generator_samples_the_same():
    match = torch.randint(-2, 3, (4, 200))
    torch.manual_seed(7)
    first = sample(match, 32, 0.25)
    torch.manual_seed(7)
    again = sample(match, 32, 0.25)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_chosen_rows_are_gathered_in_order_and_missing_ones_told():
    rows, held = gather_chosen(torch.tensor([[False, True, False, True], [False, False, True, False]]), 2)
    assert [1, 3] == rows[0].tolist()
    assert [[True, True], [True, False]] == held.tolist()
    assert 2 == rows[1, 0].item()
