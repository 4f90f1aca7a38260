"""OverFeat: the whole picture at once and window by window are the same; merging adds what agrees."""

from __future__ import annotations

import numpy as np
import torch
from learning import learn, scores
from rendered import CLASSES, shapes

from streamdet.models.merging import merge
from streamdet.models.overfeat import STEP_PX, WINDOW_PX, OverFeat, OverFeatOptions


def test_all_windows_at_once_are_each_window_alone():
    torch.manual_seed(0)
    model = OverFeat.tiny(2).eval()
    pixels = torch.rand(1, 3, WINDOW_PX + 2 * STEP_PX, WINDOW_PX + 3 * STEP_PX)
    with torch.no_grad():
        what, where = model.seen(pixels)
        assert (3, 4) == tuple(what.shape[-2:])
        for row in range(3):
            for column in range(4):
                top, left = row * STEP_PX, column * STEP_PX
                alone = model.seen(pixels[..., top : top + WINDOW_PX, left : left + WINDOW_PX])
                torch.testing.assert_close(alone[0][..., 0, 0], what[..., row, column], atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(alone[1][..., 0, 0], where[..., row, column], atol=1e-4, rtol=1e-4)


def test_windows_are_where_the_picture_is():
    model = OverFeat(1, OverFeatOptions(width=8, hidden=16, scales=(1.0, 0.5), fill=1.0))
    windows = model.windows((64, 96))
    with torch.no_grad():
        assert len(windows) == model.eval()(torch.rand(1, 3, 64, 96)).xyxy.shape[1]
    fine, coarse = windows[: 8 * 12].reshape(8, 12, 4), windows[8 * 12 :].reshape(4, 6, 4)
    # the first window's middle is the middle of the first 8 x 8 pixels
    torch.testing.assert_close(torch.tensor([4.0, 4.0]), (fine[0, 0, :2] + fine[0, 0, 2:]) / 2, atol=0.51, rtol=0)
    torch.testing.assert_close(torch.tensor([8.0, 8.0]), (coarse[0, 0, :2] + coarse[0, 0, 2:]) / 2, atol=1.01, rtol=0)
    assert WINDOW_PX == fine[3, 3, 2] - fine[3, 3, 0]
    assert 2 * WINDOW_PX == coarse[2, 2, 3] - coarse[2, 2, 1]


def test_it_learns_shapes_by_heart():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = OverFeat.tiny(2)
    pixels, targets = shapes(3)
    learn(model, pixels, targets, 60)
    assert scores(model, pixels, targets, CLASSES).map50 > 0.45


def test_boxes_that_agree_become_one_and_others_stay():
    xyxy = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50], [0, 0, 10, 10]], np.float32)
    score = np.array([0.6, 0.2, 0.7, 0.5], np.float32)
    boxes, scores_, classes = merge(xyxy, score, np.array([0, 0, 0, 1], np.int32))
    np.testing.assert_allclose([0.8, 0.7, 0.5], scores_, atol=1e-6)
    np.testing.assert_allclose([0.25, 0, 10.25, 10], boxes[0], atol=1e-5)
    np.testing.assert_array_equal([0, 0, 1], classes)


def test_nothing_merges_to_nothing():
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)
    assert 0 == len(merge(*empty)[0])
