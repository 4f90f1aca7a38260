"""Anchors: where they stand and how large they are."""

from __future__ import annotations

import pytest
import torch

from streamdet.models.anchors import level_anchors, shapes
from streamdet.models.dense_head import pyramid_anchors
from streamdet.models.geometry import area, xyxy_to_cxcywh

torch.set_num_threads(1)


def test_shapes_have_the_asked_area_and_ratio():
    got = shapes([16.0, 32.0], [0.5, 1.0, 2.0])  # [6, 2]
    torch.testing.assert_close(torch.tensor([16.0] * 3 + [32.0] * 3), got.prod(dim=1).sqrt())
    torch.testing.assert_close(torch.tensor([0.5, 1.0, 2.0] * 2), got[:, 1] / got[:, 0])


def test_anchors_by_hand():
    got = level_anchors((1, 2), 8, torch.tensor([[8.0, 4.0], [2.0, 2.0]]))
    expected = [[0, 2, 8, 6], [3, 3, 5, 5], [8, 2, 16, 6], [11, 3, 13, 5]]
    assert expected == got.tolist()


def test_anchors_follow_the_cells_of_the_picture_row_by_row():
    got = xyxy_to_cxcywh(level_anchors((3, 4), 16, torch.tensor([[20.0, 20.0]])))[:, :2].view(3, 4, 2)
    torch.testing.assert_close(torch.tensor([8.0, 24.0, 40.0, 56.0]).expand(3, 4), got[..., 0])
    torch.testing.assert_close(torch.tensor([8.0, 24.0, 40.0]), got[:, 0, 1])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_sizes_grow_evenly_across_the_levels(steps: int):
    pyramid = {level: torch.zeros(1, 1, 1, 1) for level in (3, 4, 5)}
    sizes = torch.cat([area(each).sqrt() for each in pyramid_anchors(pyramid, 2.5, steps, (1.0,))])
    growth = (sizes[1:] / sizes[:-1]).tolist()
    assert pytest.approx(20.0) == sizes[0].item()
    assert pytest.approx([2 ** (1 / steps)] * (3 * steps - 1)) == growth
