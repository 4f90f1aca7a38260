"""The fused letterbox: the kernel against its numpy twin bit for bit, and both against OpenCV."""

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
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput, Fit
from streamdet.picture import PIXEL_FORMATS, ColourMatrix, Picture, PixelFormat, Rotation

ROTATIONS: tuple[Rotation, ...] = get_args(Rotation)


def letterboxed(picture: Picture, engine_input: EngineInput, by: object = kernels) -> np.ndarray:
    letterbox = Letterbox(engine_input)
    letterbox._letterbox = by.letterbox
    width, height = engine_input.size
    out = np.full((engine_input.channels, height, width), 7, np.uint8)
    letterbox.write(picture, out)
    return out


def engine_input(size: tuple[int, int] = (96, 96), colour: ColourOrder = "rgb", **fit: object) -> EngineInput:
    return EngineInput(name="x", size=size, colour=colour, fit=Fit(**fit))


@settings(max_examples=150, deadline=None)
@given(
    pixel_format=st.sampled_from(PIXEL_FORMATS),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    target=st.tuples(st.integers(1, 48), st.integers(1, 48)),
    rotation=st.sampled_from(ROTATIONS),
    full_range=st.booleans(),
    matrix=st.sampled_from(get_args(ColourMatrix)),
    colour=st.sampled_from(get_args(ColourOrder)),
    extra_stride=st.sampled_from([0, 5, 32]),
    read_only=st.booleans(),
    mode=st.sampled_from(["letterbox", "stretch"]),
    anchor=st.sampled_from(["centre", "top_left"]),
)
def test_the_kernel_writes_the_same_bytes_as_its_twin_for_every_format_size_and_rotation(
    pixel_format, size, target, rotation, full_range, matrix, colour, extra_stride, read_only, mode, anchor
):
    rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = picture_of(
        rgb,
        pixel_format,
        matrix=matrix,
        full_range=full_range,
        rotation=rotation,
        extra_stride=extra_stride,
        read_only=read_only,
    )
    wanted = engine_input(target, colour, mode=mode, anchor=anchor)
    assert np.array_equal(letterboxed(picture, wanted, twins), letterboxed(picture, wanted))


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(320, 180), (321, 181), (40, 30)])
def test_the_kernel_agrees_with_opencv_within_half_a_grey_level(
    pixel_format: PixelFormat, rotation: Rotation, size: tuple[int, int]
):
    picture = picture_of(smooth_rgb(*size), pixel_format, rotation=rotation, matrix="bt709")
    wanted = engine_input((96, 96))
    placement = wanted.placement(picture.size)
    (width, height), x, y = placement.scaled_size, placement.left_px, placement.top_px
    expected = np.full((96, 96, 3), 114, np.uint8)
    expected[y : y + height, x : x + width] = cv2.resize(picture.rgb(), (width, height))
    difference = np.abs(expected.transpose(2, 0, 1).astype(int) - letterboxed(picture, wanted))
    assert difference.mean() < 0.5
    assert difference.max() <= 4


def test_a_picture_of_the_inputs_own_size_comes_through_unchanged():
    rgb = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    assert np.array_equal(rgb.transpose(2, 0, 1), letterboxed(picture_of(rgb, "rgb24"), engine_input((64, 48))))
    assert np.array_equal(rgb.transpose(2, 0, 1), letterboxed(picture_of(rgb, "bgr24"), engine_input((64, 48))))
    assert np.array_equal(
        rgb.transpose(2, 0, 1)[::-1], letterboxed(picture_of(rgb, "rgb24"), engine_input((64, 48), "bgr"))
    )


def test_grey_is_luma_in_full_range():
    level = np.full((32, 32), 126, np.uint8)
    chroma = np.full((16, 16), 128, np.uint8)
    limited = Picture((level, chroma, chroma), "yuv420p")
    full = Picture((level, chroma, chroma), "yuv420p", full_range=True)
    wanted = engine_input((16, 16), "gray")
    assert {round((126 - 16) * 255 / 219)} == set(letterboxed(limited, wanted).ravel().tolist())
    assert {126} == set(letterboxed(full, wanted).ravel().tolist())


def test_padding_surrounds_the_picture_and_nothing_of_an_earlier_one_stays():
    wanted = engine_input((64, 64), pad=33)
    letterbox = Letterbox(wanted)
    out = np.zeros((3, 64, 64), np.uint8)
    letterbox.write(picture_of(np.full((64, 64, 3), 200, np.uint8), "rgb24"), out)
    placement = letterbox.write(picture_of(np.full((20, 40, 3), 90, np.uint8), "rgb24"), out)
    assert (64, 32) == placement.scaled_size
    assert {90} == set(out[:, 16:48].ravel().tolist())
    assert {33} == set(out[:, :16].ravel().tolist()) == set(out[:, 48:].ravel().tolist())


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_a_picture_of_one_pixel_fills_the_input(pixel_format: PixelFormat):
    picture = picture_of(np.full((1, 1, 3), 100, np.uint8), pixel_format)
    assert np.abs(letterboxed(picture, engine_input((32, 32))).astype(int) - 100).max() <= 2


def test_a_picture_of_16k_is_read_in_place():
    row = (np.arange(16384) // 64).astype(np.uint8)
    picture = Picture((np.broadcast_to(row, (16384, 16384)),), "gray")
    out = letterboxed(picture, engine_input((64, 64), "gray"))
    assert np.abs(out[0] - (np.arange(64) * 4 + 1.5)).max() <= 1


def test_planes_that_are_flipped_or_skip_samples_are_read_right():
    rgb = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)
    wanted = engine_input((30, 20))
    for view in (rgb[::-1], rgb[:, ::-1], rgb[::2, ::2], rgb[:, :, ::-1]):
        plain = Picture((np.ascontiguousarray(view),), "rgb24")
        assert np.array_equal(letterboxed(plain, wanted), letterboxed(Picture((view,), "rgb24"), wanted))


def test_a_decoders_stride_may_change_between_frames_of_one_size():
    rgb = smooth_rgb(50, 40)
    letterbox = Letterbox(engine_input())
    outs = []
    for extra in (0, 14, 0, 46):
        out = np.zeros((3, 96, 96), np.uint8)
        letterbox.write(picture_of(rgb, "yuv420p", extra_stride=extra), out)
        outs.append(out)
    assert all(np.array_equal(outs[0], out) for out in outs)


@settings(max_examples=300, deadline=None)
@given(
    frame=st.tuples(st.integers(1, 16384), st.integers(1, 16384)),
    target=st.tuples(st.integers(16, 1280), st.integers(16, 1280)),
    corners=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    mode=st.sampled_from(["letterbox", "stretch"]),
    anchor=st.sampled_from(["centre", "top_left"]),
    rounding=st.sampled_from(["floor", "round"]),
)
def test_boxes_go_into_the_input_and_come_back_where_they_were(frame, target, corners, mode, anchor, rounding):
    placement = engine_input(target, mode=mode, anchor=anchor, rounding=rounding).placement(frame)
    x1, x2 = sorted((corners[0] * frame[0], corners[2] * frame[0]))
    y1, y2 = sorted((corners[1] * frame[1], corners[3] * frame[1]))
    xyxy = np.array([[x1, y1, x2, y2]], np.float32)
    there = placement.to_input(xyxy)
    back = placement.to_frame(there)
    # float32 in the input's pixels, magnified back into the frame's
    ulp_px = np.spacing(np.float32(max(target))) / min(placement.scale) + np.spacing(np.float32(max(frame)))
    assert np.abs(back - xyxy).max() <= 2 * ulp_px
    whole = placement.to_input(np.array([[0, 0, *frame]], np.float32))[0]
    (width, height), left, top = placement.scaled_size, placement.left_px, placement.top_px
    assert np.allclose([left, top, left + width, top + height], whole, atol=1e-3)
