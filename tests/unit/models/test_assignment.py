"""The assigner: equal to one written object by object, fair to tiny objects, blind to padding and to the ignored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamdet import boxes
from streamdet.models import geometry
from streamdet.models.assignment import Alignment, Points, assign
from streamdet.models.contract import Targets

torch.set_num_threads(1)

WIDTH, HEIGHT, STRIDES = 96, 64, (8, 16, 32)


def _points() -> Points:
    grids = [geometry.grid_points((HEIGHT // s, WIDTH // s), s) for s in STRIDES]
    return Points(
        torch.cat(grids), torch.cat([torch.full((len(g),), float(s)) for g, s in zip(grids, STRIDES, strict=True)])
    )


def _scene(seed: int, rows: int = 5, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    """A half-trained network's answers, some of them near the objects, and the objects: one ignored, one padding."""
    rng = np.random.default_rng(seed)
    points = _points()
    low = rng.uniform(0, 60, (2, rows, 2))
    xyxy = np.concatenate([low, low + rng.uniform(1, 36, (2, rows, 2))], -1)
    class_id = rng.integers(0, classes, (2, rows))
    class_id[:, -1] = -1
    ignored = np.zeros((2, rows), bool)
    ignored[:, 0] = True
    near = xyxy[:, rng.integers(0, rows, len(points.xy))] + rng.normal(0, 5, (2, len(points.xy), 4))
    near[..., 2:] = np.maximum(near[..., :2] + 1, near[..., 2:])
    scores = torch.from_numpy(rng.uniform(0.01, 0.9, (2, len(points.xy), classes)).astype(np.float32))
    targets = Targets(torch.from_numpy(xyxy.astype(np.float32)), torch.from_numpy(class_id), torch.from_numpy(ignored))
    return scores, torch.from_numpy(near.astype(np.float32)), targets


def _slowly(points: Points, scores, xyxy, targets: Targets, how: Alignment):
    """The same for one picture, object by object and point by point."""
    claims: dict[int, list[tuple[float, int, float]]] = {}  # point → (overlap, row, metric)
    for row, box in enumerate(targets.xyxy.tolist()):
        if targets.class_id[row] < 0 or targets.ignored[row]:
            continue
        overlaps = boxes.iou(np.array([box], np.float32), xyxy.numpy())[0]
        found = []
        for point, (x, y) in enumerate(points.xy.tolist()):
            stride = points.stride[point].item()
            away = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2))
            if not (box[0] < x < box[2] and box[1] < y < box[3]) and away > stride / 2:
                continue
            closeness = np.exp(-2 * away / max(box[2] - box[0], box[3] - box[1], stride))
            fit = max(overlaps[point], closeness * how.cold_overlap) ** how.overlap_power
            found.append((scores[point, targets.class_id[row]].item() ** how.score_power * fit, point))
        for metric, point in sorted(found, reverse=True)[: how.best]:
            claims.setdefault(point, []).append((float(overlaps[point]), row, metric))
    won = {point: max(rows, key=lambda claim: (claim[0], -claim[1])) for point, rows in claims.items()}
    quality = {}
    for point, (_, row, metric) in won.items():
        mine = [(m, o) for o, r, m in won.values() if r == row]
        quality[point] = metric / max(m for m, _ in mine) * max(how.least_quality, *(o for _, o in mine))
    return {point: (won[point][1], quality[point]) for point in won}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("best", [1, 4, 10])
def test_it_is_what_a_loop_over_objects_says(seed, best):
    points, how = _points(), Alignment(best=best)
    scores, xyxy, targets = _scene(seed)
    given = assign(points, scores, xyxy, targets, how)
    for picture in range(2):
        alone = Targets(targets.xyxy[picture], targets.class_id[picture], targets.ignored[picture])
        expected = _slowly(points, scores[picture], xyxy[picture], alone, how)
        assert sorted(expected) == given.positive[picture].nonzero()[:, 0].tolist()
        for point, (row, quality) in expected.items():
            assert row == given.row[picture, point]
            assert quality == pytest.approx(given.quality[picture, point].item(), abs=1e-5)
        assert 0 == given.quality[picture][~given.positive[picture]].abs().sum()


@pytest.mark.parametrize("size", [0.5, 2.0, 7.0])
def test_an_object_smaller_than_every_cell_is_learnt_by_the_nearest_point_of_each_level(size):
    points = _points()
    box = torch.tensor([[[41.0, 21.0, 41.0 + size, 21.0 + size]]])
    targets = Targets(box, torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, dtype=torch.bool))
    whole = torch.tensor([0.0, 0.0, WIDTH, HEIGHT]).expand(1, len(points.xy), 4)
    given = assign(points, torch.full((1, len(points.xy), 1), 0.01), whole, targets, Alignment())
    away = (points.xy - (box[0, 0, :2] + box[0, 0, 2:]) / 2).abs().amax(1) / points.stride
    for stride in STRIDES:
        of_level = (points.stride == stride).nonzero()[:, 0]
        assert given.positive[0, of_level[away[of_level].argmin()]]


def test_an_untrained_network_learns_at_the_centre():
    """All boxes fit equally badly: the points nearest to the centre take the object."""
    points = _points()
    targets = Targets(torch.tensor([[[8.0, 8.0, 88.0, 56.0]]]), torch.zeros(1, 1).long(), torch.zeros(1, 1).bool())
    nowhere = torch.full((1, len(points.xy), 4), -5.0)
    given = assign(points, torch.full((1, len(points.xy), 1), 0.01), nowhere, targets, Alignment(best=4))
    chosen = points.xy[given.positive[0]]
    assert 4 == len(chosen)
    assert (chosen - torch.tensor([48.0, 32.0])).abs().max() <= 16


def test_padding_changes_nothing():
    points = _points()
    scores, xyxy, targets = _scene(3)
    padded = Targets(
        torch.cat([targets.xyxy, torch.zeros(2, 4, 4)], 1),
        torch.cat([targets.class_id, torch.full((2, 4), -1)], 1),
        torch.cat([targets.ignored, torch.zeros(2, 4, dtype=torch.bool)], 1),
    )
    for expected, got in zip(
        assign(points, scores, xyxy, targets, Alignment()),
        assign(points, scores, xyxy, padded, Alignment()),
        strict=True,
    ):
        assert torch.equal(expected, got)


def test_what_is_ignored_is_neither_learnt_nor_background():
    points = _points()
    box = torch.tensor([[[16.0, 16.0, 48.0, 48.0]]])
    scores, xyxy, _ = _scene(0)
    given = assign(
        points, scores[:1], xyxy[:1], Targets(box, torch.zeros(1, 1).long(), torch.ones(1, 1).bool()), Alignment()
    )
    inside = ((points.xy > 16) & (points.xy < 48)).all(1)
    assert not given.positive.any()
    assert torch.equal(~inside, given.counted[0])


def test_an_object_within_an_ignored_crowd_is_learnt():
    points = _points()
    both = torch.tensor([[[0.0, 0.0, 96.0, 64.0], [16.0, 16.0, 48.0, 48.0]]])
    targets = Targets(both, torch.zeros(1, 2).long(), torch.tensor([[True, False]]))
    given = assign(
        points, torch.full((1, len(points.xy), 1), 0.5), both[:, 1:].expand(1, len(points.xy), 4), targets, Alignment()
    )
    assert torch.equal(given.positive, given.counted)
    assert given.positive.any()
    assert (given.row[given.positive] == 1).all()


def test_no_rows_and_no_objects_leave_all_to_the_background():
    points = _points()
    scores, xyxy, _ = _scene(0)
    for rows in (0, 3):
        nobody = Targets(torch.zeros(2, rows, 4), torch.full((2, rows), -1), torch.zeros(2, rows, dtype=torch.bool))
        given = assign(points, scores, xyxy, nobody, Alignment())
        assert not given.positive.any()
        assert given.counted.all()
        assert 0 == given.quality.sum()
