"""The matcher against the same thing said slowly."""

from __future__ import annotations

import pytest
import torch

from streamdet.models.contract import Targets
from streamdet.models.geometry import aligned_iou
from streamdet.models.matcher import BACKGROUND, NEUTRAL, match, rows_of

torch.set_num_threads(1)


def scattered(seed: int, pictures: int, count: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    low = torch.rand(pictures, count, 2, generator=random) * 60
    return torch.cat([low, low + 5 + torch.rand(pictures, count, 2, generator=random) * 40], dim=-1)


def targets_of(xyxy: torch.Tensor, class_id: torch.Tensor, ignored: torch.Tensor | None = None) -> Targets:
    return Targets(xyxy, class_id, torch.zeros_like(class_id, dtype=torch.bool) if ignored is None else ignored)


def match_slowly(xyxy: torch.Tensor, targets: Targets, low: float, high: float, best_always: bool) -> list[int]:
    """One picture, one candidate after the other."""
    objects = [
        row for row in range(targets.class_id.shape[1]) if targets.class_id[0, row] >= 0 and not targets.ignored[0, row]
    ]
    crowds = [row for row in range(targets.class_id.shape[1]) if targets.ignored[0, row]]
    overlaps = {row: [aligned_iou(targets.xyxy[0, row], candidate).item() for candidate in xyxy[0]] for row in objects}
    answers = []
    for number, candidate in enumerate(xyxy[0]):
        best = max((overlaps[row][number] for row in objects), default=0.0)
        owner = next((row for row in objects if overlaps[row][number] == best), None)
        favourite = any(0 < overlaps[row][number] == max(overlaps[row]) for row in objects)
        if owner is not None and (best >= high or (best_always and favourite)):
            answers.append(owner)
        elif any(_covered(candidate, targets.xyxy[0, row]) for row in crowds):
            answers.append(NEUTRAL)
        else:
            answers.append(BACKGROUND if best < low else NEUTRAL)
    return answers


def _covered(candidate: torch.Tensor, crowd: torch.Tensor) -> bool:
    width = min(candidate[2], crowd[2]) - max(candidate[0], crowd[0])
    height = min(candidate[3], crowd[3]) - max(candidate[1], crowd[1])
    size = (candidate[2] - candidate[0]) * (candidate[3] - candidate[1])
    return bool(width > 0 and height > 0 and width * height >= 0.5 * size)


@pytest.mark.parametrize("best_always", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_matcher_is_the_slow_loop(seed: int, best_always: bool):
    candidates = scattered(seed, 1, 80)
    class_id = torch.tensor([[0, 1, 2, -1, 0, 1]])
    ignored = torch.tensor([[False, False, True, False, seed % 2 == 0, False]])
    targets = targets_of(scattered(seed + 100, 1, 6), class_id, ignored)
    expected = match_slowly(candidates, targets, 0.3, 0.5, best_always)
    assert expected == match(candidates, targets, 0.3, 0.5, best_always)[0].tolist()


@pytest.mark.parametrize("seed", range(8))
def test_each_object_first_takes_the_candidate_that_it_overlaps_most(seed: int):
    candidates, objects = scattered(seed, 1, 40), scattered(seed + 100, 1, 6)
    targets = targets_of(objects, torch.tensor([[0, 1, 2, -1, 0, 1]]))
    expected = match_slowly(candidates, targets, 0.5, 0.5, best_always=False)
    overlaps = {
        row: [aligned_iou(objects[0, row], one).item() for one in candidates[0]] for row in range(6) if row != 3
    }
    for row in sorted(overlaps, key=lambda row: max(overlaps[row])):
        if max(overlaps[row]) > 0:
            expected[overlaps[row].index(max(overlaps[row]))] = row
    assert expected == match(candidates, targets, 0.5, 0.5, one_each=True)[0].tolist()


def test_pictures_of_a_batch_do_not_see_each_other():
    candidates, objects = scattered(0, 3, 50), scattered(1, 3, 4)
    class_id = torch.zeros(3, 4, dtype=torch.int64)
    together = match(candidates, targets_of(objects, class_id), 0.3, 0.5, True)
    alone = [
        match(candidates[i : i + 1], targets_of(objects[i : i + 1], class_id[:1]), 0.3, 0.5, True) for i in range(3)
    ]
    assert torch.cat(alone).tolist() == together.tolist()


def test_without_objects_everything_is_background():
    candidates = scattered(0, 2, 5)
    none = targets_of(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64))
    padding = targets_of(torch.zeros(2, 3, 4), torch.full((2, 3), -1))
    for targets in (none, padding):
        assert [[BACKGROUND] * 5] * 2 == match(candidates, targets, 0.3, 0.5, True).tolist()


def test_an_object_of_no_size_takes_nothing():
    targets = targets_of(torch.tensor([[[5.0, 5.0, 5.0, 5.0]]]), torch.tensor([[0]]))
    assert [[BACKGROUND]] == match(torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]), targets, 0.3, 0.5, True).tolist()


def test_rows_of_takes_each_candidate_its_object():
    values = torch.tensor([[10, 11, 12], [20, 21, 22]])
    assert [[12, 10], [21, 20]] == rows_of(values, torch.tensor([[2, BACKGROUND], [1, NEUTRAL]])).tolist()
    assert (2, 5, 4) == rows_of(torch.zeros(2, 0, 4), torch.full((2, 5), BACKGROUND)).shape
