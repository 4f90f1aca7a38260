"""Jointed figures: what is said of them is what was drawn, in the labels too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.doctor.examine import examine
from streamdet.datasets.rendered_figures import FigureSetOptions, render_figures
from streamdet.scenes.figures import FigureOptions, figure_scene


def test_the_same_seed_draws_the_same_picture():
    one, other = figure_scene(3, 5), figure_scene(3, 5)
    assert np.array_equal(one.bgr, other.bgr)
    assert not np.array_equal(one.bgr, figure_scene(3, 6).bgr)


@pytest.mark.parametrize("number", range(12))
def test_a_figure_is_whole_and_its_joints_lie_in_its_box(number: int):
    scene = figure_scene(0, number, FigureOptions(size=(160, 120), figures=(1, 3), height_ratio=(0.3, 0.6)))
    assert 1 <= len(scene.figures) <= 3
    for figure in scene.figures:
        left, top, right, bottom = figure.xyxy
        assert 0 <= left < right <= 160
        assert 0 <= top < bottom <= 120
        joints = figure.joints
        assert (joints >= np.array([left, top]) - 0.01).all()
        assert (joints <= np.array([right, bottom]) + 0.01).all()


def test_right_limbs_are_warm_and_left_ones_cold():
    scene = figure_scene(1, 4, FigureOptions(severity=0.0))
    joints = scene.figures[0].joints
    for upper, lower, warm in ((1, 0, True), (4, 5, False)):
        x, y = ((joints[upper] + joints[lower]) / 2).astype(int)
        blue, _, red = scene.bgr[y, x].astype(int)
        assert warm == (red > blue)


def test_the_labels_are_read_back_and_the_doctor_finds_nothing_wrong(tmp_path: Path):
    options = FigureSetOptions(count=12, seed=2, valid_ratio=0.25)
    render_figures(tmp_path, options)
    train = open_data_set(f"{tmp_path}:train")
    assert (6, 3, 3) == tuple(len(open_data_set(f"{tmp_path}:{s}").entries) for s in ("train", "valid", "test"))
    assert ("person", "robot") == train.classes
    drawn = figure_scene(2, 6).figures[0]
    objects = train.entries[0].objects
    np.testing.assert_allclose(objects.xyxy[0], drawn.xyxy, atol=2e-3)
    np.testing.assert_allclose(objects.keypoints[0, :, :2], drawn.joints, atol=2e-3)
    assert [] == [finding.title for finding in examine([train]).errors]
