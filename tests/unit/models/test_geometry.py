"""Boxes in torch: the same as the numpy module, and gradients as finite differences say."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamdet import boxes
from streamdet.models import geometry

torch.set_num_threads(1)

# In steps of a 256th of a pixel: below 1e-7 square pixels torch's overlap fades to 0, for the sake of its gradient.
edges = st.integers(-50 * 256, 700 * 256).map(lambda steps: steps / 256)
any_boxes = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4)), elements=edges)


@settings(max_examples=60, deadline=None)
@given(any_boxes, any_boxes)
def test_pairwise_overlap_is_that_of_the_numpy_module(a, b):
    got = geometry.pairwise_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(boxes.iou(a, b), got, atol=1e-5)


def test_overlap_works_for_a_batch_as_for_each_picture():
    a, b = _boxes(3, 5, seed=0), _boxes(3, 7, seed=1)
    whole = geometry.pairwise_iou(a, b)
    assert (3, 5, 7) == tuple(whole.shape)
    for row in range(3):
        assert torch.equal(geometry.pairwise_iou(a[row], b[row]), whole[row])


def test_two_boxes_without_area_do_not_overlap_and_have_no_nan():
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]], requires_grad=True)
    for measure in (geometry.aligned_iou, geometry.generalised_iou, geometry.complete_iou):
        value = measure(point, point.detach())
        assert torch.isfinite(value).all()
        (slope,) = torch.autograd.grad(value.sum(), point)
        assert torch.isfinite(slope).all()


def test_equal_boxes_reach_one_in_every_measure():
    same = _boxes(1, 20, seed=3)[0]
    for measure in (geometry.aligned_iou, geometry.generalised_iou, geometry.complete_iou):
        torch.testing.assert_close(torch.ones(20), measure(same, same), atol=1e-4, rtol=0)


def test_hand_computed_values():
    a, b = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 3.0, 3.0])
    torch.testing.assert_close(torch.tensor(1 / 7), geometry.aligned_iou(a, b))
    torch.testing.assert_close(torch.tensor(1 / 7 - 2 / 9), geometry.generalised_iou(a, b))
    torch.testing.assert_close(torch.tensor(1 / 7 - 2 / 18), geometry.complete_iou(a, b))


def test_gradients_are_those_of_finite_differences():
    a = _boxes(1, 6, seed=5)[0].double().requires_grad_()
    b = _boxes(1, 6, seed=6)[0].double()
    assert torch.autograd.gradcheck(lambda x: geometry.aligned_iou(x, b), (a,))
    assert torch.autograd.gradcheck(lambda x: geometry.generalised_iou(x, b), (a,))


def test_the_complete_overlap_follows_its_differences_when_the_aspects_agree():
    """Its weight is a constant to the gradient: only where the aspect term vanishes do plain differences apply."""
    b = torch.tensor([[10.0, 10.0, 30.0, 30.0]]).double()
    for shift in (3.0, 50.0):
        offset = torch.tensor([[shift, shift]]).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda d: geometry.complete_iou(b + d.repeat(1, 2), b), (offset,))


@settings(max_examples=40, deadline=None)
@given(any_boxes)
def test_conversions_are_those_of_the_numpy_module_and_back(raw):
    cxcywh = geometry.xyxy_to_cxcywh(torch.from_numpy(raw))
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(cxcywh.numpy()), raw, atol=1e-3)
    np.testing.assert_allclose(geometry.cxcywh_to_xyxy(cxcywh).numpy(), raw, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(any_boxes)
def test_clipping_is_that_of_the_numpy_module(raw):
    np.testing.assert_array_equal(boxes.clip(raw, 320, 200), geometry.clip(torch.from_numpy(raw), 320, 200).numpy())


def test_distances_come_back():
    points = geometry.grid_points((4, 6), 8)
    box = _boxes(1, 24, seed=8)[0]
    torch.testing.assert_close(box, geometry.distances_to_xyxy(points, geometry.xyxy_to_distances(points, box)))


def test_grid_points_are_the_centres_of_the_cells_row_by_row():
    points = geometry.grid_points((2, 3), 8)
    assert [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]] == points.tolist()


def _boxes(batch: int, n: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (batch, n, 2))
    return torch.from_numpy(np.concatenate([low, low + rng.uniform(2, 60, (batch, n, 2))], -1).astype(np.float32))
