"""A decoder's planes as a Picture: same memory, same colours as FFmpeg's own conversion."""

from __future__ import annotations

import av
import numpy as np
import pytest
from made_clips import four_corners

from streamdet.picture import PIXEL_FORMATS
from streamdet.sources.planes import Orientation, borrow

UPRIGHT = Orientation()


def av_frame(pixel_format, size=(64, 48), full_range=None, matrix=None):
    frame = av.VideoFrame.from_ndarray(four_corners(*size), format="rgb24")
    frame = frame.reformat(
        format=pixel_format,
        dst_colorspace={"bt601": "ITU601", "bt709": "ITU709", None: None}[matrix],
        dst_color_range={True: 2, False: 1, None: None}[full_range],
    )
    if full_range is not None:
        frame.color_range = 2 if full_range else 1
    frame.colorspace = {"bt601": 6, "bt709": 1, None: frame.colorspace}[matrix]
    return frame


def far_off(picture, size=(64, 48)):
    """Mean error in grey levels inside the four quarters, away from the edges that subsampling blurs."""
    want, got = four_corners(*size).astype(int), picture.rgb().astype(int)
    width, height = size
    inside = np.ones((height, width), bool)
    inside[height // 2 - 4 : height // 2 + 4] = False
    inside[:, width // 2 - 4 : width // 2 + 4] = False
    return np.abs(want - got)[inside].mean()


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv422p", "p010le", "rgb24", "bgr24"])
def test_listed_formats_pass_as_decoded_on_the_decoders_own_memory(name):
    frame = av_frame(name, full_range=False, matrix="bt601")
    picture = borrow(frame, UPRIGHT)
    assert name.removesuffix("le") == picture.format
    addresses = [plane.__array_interface__["data"][0] for plane in picture.planes]
    assert [plane.buffer_ptr for plane in frame.planes] == addresses
    assert far_off(picture) < 2.5


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p", "yuv444p", "nv21", "yuyv422", "yuv410p", "yuv420p10le", "yuv422p12le"]
)
def test_range_and_matrix_survive(name, matrix, full_range):
    picture = borrow(av_frame(name, full_range=full_range, matrix=matrix), UPRIGHT)
    assert (matrix, full_range) == (picture.matrix, picture.full_range)
    assert far_off(picture) < 3.0


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("yuvj420p", "yuv420p"),
        ("yuvj422p", "yuv422p"),
        ("yuvj444p", "yuv422p"),
        ("yuv420p10le", "yuv420p"),
        ("yuv422p10le", "yuv422p"),
        ("yuv444p", "yuv422p"),
        ("nv21", "nv12" if "nv21" in PIXEL_FORMATS else "yuv420p"),
        ("gbrp", "rgb24"),
        ("rgba", "rgb24"),
        ("argb", "rgb24"),
        ("rgb48le", "rgb24"),
        ("rgb565le", "rgb24"),
    ],
)
def test_other_formats_become_the_nearest_of_the_list(name, becomes):
    picture = borrow(av_frame(name), UPRIGHT)
    assert becomes == picture.format
    assert far_off(picture) < 6.0


@pytest.mark.parametrize("name", ["yuvj420p", "yuvj422p"])
def test_what_says_full_range_in_its_name_is_not_copied(name):
    frame = av_frame(name)
    picture = borrow(frame, UPRIGHT)
    assert picture.full_range
    assert frame.planes[0].buffer_ptr == picture.planes[0].__array_interface__["data"][0]


@pytest.mark.parametrize("name", ["gray", "gray16le", "gray10le"])
def test_grey_is_grey_in_full_range(name):
    frame = av.VideoFrame.from_ndarray(np.arange(0, 240, 5, dtype=np.uint8).reshape(4, 12), format="gray")
    picture = borrow(frame.reformat(format=name), UPRIGHT)
    assert "gray" == picture.format
    assert np.abs(picture.planes[0].astype(int) - np.arange(0, 240, 5).reshape(4, 12)).max() <= 1


def test_grey_of_limited_range_is_widened():
    frame = av.VideoFrame.from_ndarray(np.array([[16, 235] * 8] * 4, np.uint8), format="gray")
    frame.color_range = 1
    picture = borrow(frame, UPRIGHT)
    assert picture.full_range
    assert [0, 255] == picture.planes[0][0, :2].tolist()


def test_a_palette_is_resolved():
    indices = np.zeros((4, 6), np.uint8)
    indices[:, 3:] = 1
    palette = np.zeros((256, 4), np.uint8)
    palette[0], palette[1] = (255, 200, 10, 20), (255, 10, 220, 30)  # alpha, red, green, blue
    picture = borrow(av.VideoFrame.from_ndarray((indices, palette), format="pal8"), UPRIGHT)
    assert [[200, 10, 20], [10, 220, 30]] == picture.rgb()[0, [0, 5]].tolist()


@pytest.mark.parametrize("size", [(63, 47), (65, 49), (1, 1), (2, 3), (33, 1)])
@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv422p", "rgb24", "yuv420p10le"])
def test_odd_sizes_keep_their_last_row_and_column(name, size):
    picture = borrow(av_frame(name, size), UPRIGHT)
    assert size == picture.size
    assert (size[1], size[0], 3) == picture.rgb().shape
    if picture.format == "yuv420p":
        assert ((size[1] + 1) // 2, (size[0] + 1) // 2) == picture.planes[1].shape


@pytest.mark.parametrize(("height", "matrix"), [(480, "bt601"), (719, "bt601"), (720, "bt709"), (1080, "bt709")])
def test_unlabelled_video_is_taken_for_what_its_height_says(height, matrix):
    assert matrix == borrow(av.VideoFrame(64, height, "yuv420p"), UPRIGHT).matrix


def test_planes_are_read_only_and_survive_their_frame():
    frame = av_frame("yuv420p")
    want = frame.to_ndarray()
    picture = borrow(frame, UPRIGHT)
    del frame
    assert not any(plane.flags.writeable for plane in picture.planes)
    assert np.array_equal(want[:48], picture.planes[0])
    picture.release()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["yuv420p", "rgb24", "nv12"])
def test_a_mirrored_picture_is_flipped_before_it_is_turned(name, rotation):
    frame = av_frame(name)
    plain = borrow(frame, UPRIGHT).rgb()
    picture = borrow(frame, Orientation(rotation, mirrored=True))
    want = np.rot90(plain[:, ::-1], -rotation // 90).astype(int)
    assert picture.rgb().shape == want.shape
    assert np.abs(want - picture.rgb()).mean() < 1.0
