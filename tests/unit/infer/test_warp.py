"""The perspective crop: the kernel against its twin, against OpenCV, and against plain geometry."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import picture_of, smooth_rgb

from streamdet.infer import kernels, twins
from streamdet.infer.layouts import ColourOrder
from streamdet.infer.preprocess import Warp
from streamdet.picture import PIXEL_FORMATS, Picture, PixelFormat, Rotation

QUADRILATERAL = np.array([[60, 40], [190, 52], [186, 120], [55, 96]], np.float32)


def warped(
    picture: Picture,
    corners: np.ndarray,
    size: tuple[int, int] = (96, 32),
    colour: ColourOrder = "rgb",
    by: object = kernels,
) -> np.ndarray:
    warp = Warp(size, colour)
    warp._warp = by.warp
    out = np.zeros((1 if colour == "gray" else 3, size[1], size[0]), np.uint8)
    warp.write(picture, corners, out)
    return out


@settings(max_examples=80, deadline=None)
@given(
    pixel_format=st.sampled_from(PIXEL_FORMATS),
    rotation=st.sampled_from(get_args(Rotation)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    jitter=st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8),
    target=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    colour=st.sampled_from(get_args(ColourOrder)),
)
def test_the_kernel_agrees_with_its_twin(pixel_format, rotation, size, jitter, target, colour):
    rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = picture_of(rgb, pixel_format, rotation=rotation, extra_stride=8)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + np.reshape(jitter, (4, 2))
    corners = (corners * picture.size).astype(np.float32)
    one, other = (warped(picture, corners, target, colour, by) for by in (kernels, twins))
    assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize("rotation", get_args(Rotation))
def test_the_kernel_agrees_with_opencv(pixel_format: PixelFormat, rotation: Rotation):
    rgb = smooth_rgb(260, 160)
    stored = np.ascontiguousarray(np.rot90(rgb, k=rotation // 90))  # so that it is shown upright
    picture = picture_of(stored, pixel_format, rotation=rotation)
    assert (260, 160) == picture.size
    # Pixel centres lie half a pixel inside: OpenCV counts from centres, we from edges.
    target = np.array([[0, 0], [96, 0], [96, 32], [0, 32]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(QUADRILATERAL - 0.5, target)
    expected = cv2.warpPerspective(picture.rgb(), matrix, (96, 32)).transpose(2, 0, 1)
    assert np.abs(expected.astype(int) - warped(picture, QUADRILATERAL)).mean() < 0.7


def test_an_upright_crop_is_a_cutout():
    rgb = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    corners = np.array([[10, 20], [42, 20], [42, 36], [10, 36]], np.float32)
    expected = rgb[20:36, 10:42].transpose(2, 0, 1)
    assert np.array_equal(expected, warped(picture_of(rgb, "rgb24"), corners, (32, 16)))


def test_a_crop_that_shrinks_averages_instead_of_skipping():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    corners = np.array([[0, 0], [64, 0], [64, 64], [0, 64]], np.float32)
    out = warped(picture_of(stripes, "rgb24"), corners, (16, 16))
    assert np.abs(out.astype(int) - 100).max() <= 2


def test_what_lies_beyond_the_picture_repeats_its_edge():
    rgb = np.full((20, 20, 3), 50, np.uint8)
    corners = np.array([[-100, -100], [100, -100], [100, 100], [-100, 100]], np.float32)
    assert {50} == set(warped(picture_of(rgb, "rgb24"), corners).ravel().tolist())


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0], [10, 0], [5, 0], [0, 10]],
        [[0, 0], [10, 10], [10, 0], [0, 10]],
        [[5, 5], [5, 5], [5, 5], [5, 5]],
        [[0, 0], [10, 0], [float("nan"), 10], [0, 10]],
        [[0, 0], [1e30, 0], [1e30, 1e30], [0, 1e30]],
    ],
    ids=["three on a line", "crossed", "a point", "not a number", "far out"],
)
def test_corners_that_span_nothing_are_refused_and_nothing_is_written(corners: list[list[float]]):
    out = np.full((3, 32, 96), 9, np.uint8)
    picture = picture_of(np.full((20, 20, 3), 50, np.uint8), "rgb24")
    assert not Warp((96, 32), "rgb").write(picture, np.array(corners, np.float32), out)
    assert {9} == set(out.ravel().tolist())
