"""Annotated pictures: under their own names, whole or not there."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from made_results import make_picture, make_result

from streamdet.errors import SinkLost
from streamdet.picture import Picture
from streamdet.sinks.images import Images, ImagesOptions


def test_unrelated_pictures_keep_their_names_and_sizes(tmp_path):
    sink = Images(ImagesOptions(path=tmp_path / "out"))
    sink.open()
    for path, size in (("in/a.png", (64, 48)), ("in/b.jpg", (63, 47)), ("other/a.png", (32, 32))):
        sink.write(make_result(0, path=path, size=size))
    sink.close()
    shapes = {name: cv2.imread(str(tmp_path / "out" / name)).shape for name in os.listdir(tmp_path / "out")}
    assert {"a.jpg": (48, 64, 3), "b.jpg": (47, 63, 3), "a-2.jpg": (32, 32, 3)} == shapes


def test_one_picture_may_be_named(tmp_path):
    sink = Images(ImagesOptions(path=tmp_path / "seen.jpg"))
    sink.open()
    sink.write(make_result(0, path="in/a.png"))
    sink.close()
    assert ["seen.jpg"] == os.listdir(tmp_path)


def test_frames_of_a_video_are_left_out_unless_asked_for(tmp_path):
    for every_s, expected in ((None, []), (1.0, ["gate-000000.jpg", "gate-000025.jpg", "gate-epoch1-000000.jpg"])):
        sink = Images(ImagesOptions(path=tmp_path, every_s=every_s))
        sink.open()
        for number in range(30):
            sink.write(make_result(number))
        sink.write(make_result(0, epoch=1))
        sink.close()
        assert expected == sorted(os.listdir(tmp_path))


def test_a_turned_picture_is_written_upright(tmp_path):
    planes = make_picture(64, 48, 200).planes
    sink = Images(ImagesOptions(path=tmp_path))
    sink.open()
    for rotation in (0, 90, 180, 270):
        picture = Picture(planes, "yuv420p", rotation=rotation)
        sink.write(make_result(0, picture=picture, objects=0, path=f"{rotation}.png"))
        got = cv2.imread(str(tmp_path / f"{rotation}.jpg")).astype(int)
        assert np.abs(got - picture.rgb()[:, :, ::-1]).max() < 12
    sink.close()


def test_a_full_disk_leaves_no_half_picture(tmp_path, full_after):
    sink = Images(ImagesOptions(path=tmp_path))
    sink.open()
    with full_after(100), pytest.raises(SinkLost, match="pictures cannot be written: the file may not grow further"):
        sink.write(make_result(0, path="a.png"))
    assert [] == os.listdir(tmp_path)
    sink.write(make_result(0, path="a.png"))
    sink.close()
    assert ["a.jpg"] == os.listdir(tmp_path)


def test_a_file_where_the_folder_should_be_gives_one_clear_message(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(SinkLost, match="pictures cannot be written: a file stands where a directory is needed"):
        Images(ImagesOptions(path=tmp_path / "out")).open()
