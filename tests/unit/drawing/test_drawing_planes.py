"""A picture's planes on a canvas: upright, even, and of the same colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.drawing.canvas import Canvas
from streamdet.drawing.colours import PALETTE, colour_of, ink_on, to_yuv
from streamdet.drawing.planes import canvas_of, even_size
from streamdet.picture import PIXEL_FORMATS, Picture, yuv_to_rgb


def smooth(height: int, width: int, low: float, high: float, phase: float) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 2, width), np.linspace(0, 1, height))
    return np.asarray(low + (high - low) * (0.5 + 0.5 * np.sin(x + y + phase)), np.uint8)


def picture_of(kind: str, width: int, height: int, rotation: int = 0) -> Picture:
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    luma = smooth(height, width, 40, 220, 0)
    u, v = smooth(half_height, half_width, 90, 160, 1), smooth(half_height, half_width, 90, 160, 2)
    if kind == "yuv420p":
        return Picture((luma, u, v), "yuv420p", rotation=rotation)
    if kind == "nv12":
        return Picture((luma, np.dstack([u, v])), "nv12", rotation=rotation)
    if kind == "p010":
        wide = [plane.astype(np.uint16) << 8 for plane in (luma, np.dstack([u, v]))]
        return Picture((wide[0], wide[1]), "p010", rotation=rotation)
    if kind == "yuv422p":
        u, v = smooth(height, half_width, 90, 160, 1), smooth(height, half_width, 90, 160, 2)
        return Picture((luma, u, v), "yuv422p", rotation=rotation)
    if kind == "gray":
        return Picture((luma,), "gray", rotation=rotation)
    pixels = np.dstack([smooth(height, width, 30, 220, phase) for phase in (0, 1, 2)])
    return Picture((pixels,), kind, rotation=rotation)


def shown(canvas: Canvas) -> np.ndarray:
    planes = (canvas.y, canvas.u, canvas.v)
    return Picture(planes, "yuv420p", matrix=canvas.matrix, full_range=canvas.full_range).rgb().astype(int)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(64, 48), (63, 48), (64, 47), (63, 47)])
@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_a_canvas_shows_what_the_picture_shows(kind, size, rotation):
    picture = picture_of(kind, *size, rotation)
    canvas = canvas_of(picture)
    assert even_size(picture) == canvas.size
    expected = picture.rgb().astype(int)
    difference = np.abs(shown(canvas)[: picture.height, : picture.width] - expected)
    assert difference.max() <= 16  # chroma is halved, and turned pictures of odd size have it off by half a sample
    assert difference.mean() <= 2.5


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_one_pixel_is_enough(kind):
    assert (2, 2) == canvas_of(picture_of(kind, 1, 1)).size


def test_rows_with_gaps_as_decoders_leave_them_are_copied_right():
    wide = np.arange(48 * 128, dtype=np.uint8).reshape(48, 128)
    wide.flags.writeable = False
    half = np.full((24, 64), 128, np.uint8)[:, :32]
    canvas = canvas_of(Picture((wide[:, :64], half, half), "yuv420p"))
    assert np.array_equal(wide[:, :64], canvas.y)


def test_the_row_and_column_too_many_repeat_the_last_ones():
    canvas = canvas_of(picture_of("yuv420p", 63, 47))
    assert np.array_equal(canvas.y[:, 62], canvas.y[:, 63])
    assert np.array_equal(canvas.y[46], canvas.y[47])


@given(st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from(["bt601", "bt709"]), st.booleans())
def test_a_colour_goes_to_yuv_and_back(rgb, matrix, full_range):
    forward = yuv_to_rgb(matrix, full_range)
    back = forward[:, :3] @ np.array(to_yuv(rgb, matrix, full_range), np.float32) + forward[:, 3]
    assert np.abs(back - np.array(rgb)).max() <= 3


def test_a_number_has_the_same_colour_always_and_neighbours_differ():
    assert (colour_of(3), colour_of(3)) == (PALETTE[3], colour_of(3 + len(PALETTE)))
    for number in range(len(PALETTE)):
        near, next_one = np.array(colour_of(number)), np.array(colour_of(number + 1))
        assert np.abs(near - next_one).sum() > 90
    assert len(set(PALETTE)) == len(PALETTE)


def test_the_ink_reads_on_every_colour_of_the_palette():
    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [(value / 255) ** 2.2 for value in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in PALETTE:
        bright, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5  # the contrast that accessibility rules ask of small text
