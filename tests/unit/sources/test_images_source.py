"""Folders and globs of pictures."""

from __future__ import annotations

import logging
import struct

import cv2
import numpy as np
import pytest
from made_clips import four_corners

from streamdet.errors import EndOfStream, SourceLost
from streamdet.sources.exif import orientation
from streamdet.sources.images import ImagesSource, naturally, read_picture
from streamdet.sources.options import SourceOptions


@pytest.fixture
def bgr():
    return cv2.GaussianBlur(four_corners(160, 120), (9, 9), 3)[:, :, ::-1].copy()


def with_exif(jpeg: bytes, number: int, order: str = ">") -> bytes:
    tiff = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "IH", 8, 1)
    tiff += struct.pack(order + "HHIHH", 0x0112, 3, 1, number, 0) + bytes(4)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def write_jpeg(path, bgr):
    cv2.imwrite(str(path), bgr)
    return path


def read_all(source):
    source.open()
    frames = []
    while True:
        try:
            frames.append(source.read())
        except EndOfStream:
            source.close()
            return frames


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.bmp", "p.webp", "p.tiff", "p.ppm"])
def test_every_usual_format_looks_as_opencv_reads_it(tmp_path, bgr, name):
    path = write_jpeg(tmp_path / name, bgr)
    assert np.abs(cv2.imread(str(path))[:, :, ::-1].astype(int) - read_picture(path).rgb()).mean() < 1.0


@pytest.mark.parametrize(
    "picture",
    [
        lambda bgr: bgr[:, :, 0],
        lambda bgr: bgr[:, :, 0].astype(np.uint16) * 257,
        lambda bgr: bgr.astype(np.uint16) * 257,
        lambda bgr: np.dstack([bgr, np.full(bgr.shape[:2], 255, np.uint8)]),
    ],
    ids=["grey", "grey 16 bit", "16 bit", "alpha"],
)
def test_grey_deep_and_transparent_pictures_are_read(tmp_path, bgr, picture):
    path = write_jpeg(tmp_path / "p.png", picture(bgr))
    assert np.abs(cv2.imread(str(path))[:, :, ::-1].astype(int) - read_picture(path).rgb()).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says_and_as_opencv_does(tmp_path, bgr, number, order):
    path = write_jpeg(tmp_path / "p.jpg", bgr)
    path.write_bytes(with_exif(path.read_bytes(), number, order))
    want = cv2.imread(str(path))[:, :, ::-1]
    picture = read_picture(path)
    assert want.shape == picture.rgb().shape
    assert np.abs(want.astype(int) - picture.rgb()).mean() < 2


@pytest.mark.parametrize("damage", [b"", b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0II*\0\xff\xff\xff\xff", b"eXIfXX"])
def test_damaged_exif_means_upright(damage):
    assert (0, False) == orientation(b"\xff\xd8" + damage)


def test_numbers_in_names_sort_as_numbers(tmp_path):
    names = ["f10.png", "f9.png", "f1.png", "a2.png", "10.png", "9.png"]
    assert ["9.png", "10.png", "a2.png", "f1.png", "f9.png", "f10.png"] == [
        path.name for path in sorted((tmp_path / name for name in names), key=naturally)
    ]


def test_unrelated_pictures_carry_their_path(tmp_path, bgr):
    paths = [write_jpeg(tmp_path / f"p{k}.png", bgr) for k in range(3)]
    frames = read_all(ImagesSource("album", paths))
    assert [str(path) for path in paths] == [frame.path for frame in frames]
    assert [0, 1, 2] == [frame.index for frame in frames]
    assert [0.0, 1.0, 2.0] == [frame.pts_s for frame in frames]


def test_a_sequence_is_one_film_with_its_own_rate(tmp_path, bgr):
    paths = [write_jpeg(tmp_path / f"p{k}.png", bgr) for k in range(3)]
    source = ImagesSource("film", paths, SourceOptions(sequence=True, fps=10))
    frames = read_all(source)
    assert [None] * 3 == [frame.path for frame in frames]
    assert [0.0, 0.1, 0.2] == [round(frame.pts_s, 6) for frame in frames]
    assert pytest.approx(0.3) == source.duration_s


def test_a_broken_picture_is_skipped_counted_and_logged_once(tmp_path, bgr, caplog):
    paths = [write_jpeg(tmp_path / f"p{k}.jpg", bgr) for k in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:900])
    source = ImagesSource("album", paths)
    with caplog.at_level(logging.WARNING):
        frames = read_all(source)
    assert [0, 2] == [frame.index for frame in frames]
    assert 1 == source.suspects()
    assert 1 == len(caplog.records)
    assert "p1.jpg" in caplog.text


def test_a_picture_cut_short_is_refused_though_decoders_would_paint_it_grey(tmp_path, bgr):
    path = write_jpeg(tmp_path / "p.jpg", bgr)
    path.write_bytes(path.read_bytes()[:-200])
    assert cv2.imread(str(path)) is not None
    with pytest.raises(SourceLost, match="cut short"):
        read_picture(path)


def test_if_no_picture_can_be_read_the_source_is_lost(tmp_path):
    paths = [tmp_path / "p.png", tmp_path / "q.png"]
    for path in paths:
        path.write_bytes(b"not a picture")
    source = ImagesSource("album", paths)
    source.open()
    with pytest.raises(SourceLost, match="none of 2") as caught:
        source.read()
    assert "codec" == caught.value.cause


def test_a_single_picture_that_cannot_be_read_is_one_message(tmp_path, caplog):
    (tmp_path / "p.png").write_bytes(b"not a picture")
    source = ImagesSource("album", [tmp_path / "p.png"])
    source.open()
    with pytest.raises(SourceLost, match="cannot be decoded"):
        source.read()
    assert not caplog.records


def test_looped_pictures_begin_an_epoch_each_round(tmp_path, bgr):
    paths = [write_jpeg(tmp_path / f"p{k}.png", bgr) for k in range(2)]
    source = ImagesSource("album", paths, SourceOptions(loop=True))
    source.open()
    frames = [source.read() for _ in range(5)]
    assert [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)] == [(frame.epoch, frame.index) for frame in frames]
