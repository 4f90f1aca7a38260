"""From what a user writes to a source."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from made_clips import film

from streamdet.errors import ConfigError, SourceLost
from streamdet.sources.camera import CameraSource
from streamdet.sources.catalogue import expand, make_source
from streamdet.sources.file import FileSource
from streamdet.sources.images import ImagesSource
from streamdet.sources.isolated import IsolatedSource
from streamdet.sources.network import NetworkSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.synthetic import SyntheticSource


@pytest.fixture
def folder(tmp_path):
    """Two videos and two pictures."""
    for name in ("street10.mp4", "street9.mp4"):
        film(tmp_path / name, frames=2)
    for name in ("a.png", "b.JPG"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "kind", "live"),
    [
        ("rtsp://user:secret@10.0.0.5/1", NetworkSource, True),
        ("RTSPS://10.0.0.5/1", NetworkSource, True),
        ("http://10.0.0.5/live.m3u8", NetworkSource, True),
        ("https://10.0.0.5/film.mp4?token=1", NetworkSource, False),
        ("camera:0", IsolatedSource, True),
        ("synthetic:bars?seed=1", SyntheticSource, False),
    ],
)
def test_a_scheme_says_which_source(uri, kind, live):
    source = make_source("gate", uri)
    assert kind is type(source)
    assert ("gate", live) == (source.name, source.live)


def test_paths_are_files_pictures_folders_and_globs(folder):
    assert FileSource is type(make_source("x", str(folder / "street9.mp4")))
    assert FileSource is type(make_source("x", f"file://{folder}/street9.mp4"))
    assert ImagesSource is type(make_source("x", str(folder / "a.png")))
    album = make_source("x", str(folder / "*.[pJ]*"))
    assert isinstance(album, ImagesSource)
    assert ["a.png", "b.JPG"] == [path.name for path in album.paths]


def test_a_glob_of_videos_is_a_source_each_in_natural_order(folder):
    got = [os.path.basename(uri) for uri in expand(str(folder / "*.mp4"))]
    assert ["street9.mp4", "street10.mp4"] == got
    with pytest.raises(ConfigError, match="several videos"):
        make_source("x", str(folder / "*.mp4"))


@pytest.mark.parametrize(
    "uri", ["rtsp://host/*", "camera:0", "street.mp4", "synthetic:plates?seed=1", "pictures/*.png"]
)
def test_everything_else_is_one_source(uri):
    assert [uri] == expand(uri)


def test_a_folder_with_videos_and_pictures_asks_which(folder):
    with pytest.raises(ConfigError, match="mixed") as caught:
        expand(str(folder))
    assert "*.mp4" in str(caught.value)


def test_a_misspelt_file_name_is_answered_with_its_neighbour(folder):
    with pytest.raises(ConfigError, match="does not exist") as caught:
        make_source("x", str(folder / "streat9.mp4"))
    assert "street9.mp4" in str(caught.value)


def test_a_file_with_a_colon_or_bracket_in_its_name_is_a_file(tmp_path):
    for name in ("12:30.mp4", "take[1].mp4"):
        path = film(tmp_path / name, frames=1)
        assert [str(path)] == expand(str(path))
        assert FileSource is type(make_source("x", str(path)))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("rstp://host/1", "rtsp"),
        ("ftp://host/1", "unknown kind"),
        ("rtsp:///1", "no host"),
        ("rtsp://host:port/1", "not a URL"),
        ("camera:front", "camera:0"),
        ("missing/folder/clip.mp4", "folder does not exist"),
        ("/dev/null", "not a file"),
        ("*.nothing", "matches no"),
        ("", "expected"),
    ],
)
def test_a_mistake_is_answered_in_one_message(uri, says):
    with pytest.raises(ConfigError) as caught:
        make_source("x", uri)
    assert says in str(caught.value)


def test_passwords_stay_out_of_messages_also_where_the_url_is_wrong():
    for uri in ("ftp://user:s3cret@host/1", "rtsp://user:s3cret@host:port/1", "rtsp://user:s3cret@/1"):
        with pytest.raises(ConfigError) as caught:
            make_source("x", uri)
        assert "s3cret" not in str(caught.value)


def test_an_unreadable_file_says_so(tmp_path):
    path = film(tmp_path / "secret.mp4", frames=1)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ConfigError, match="cannot be read"):
        make_source("x", str(path))


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(ConfigError, match="no video or picture"):
        make_source("x", str(tmp_path))


def test_cameras_are_isolated_unless_told_otherwise(tmp_path):
    assert CameraSource is type(make_source("x", "camera:0", SourceOptions(isolate=False)))
    path = film(tmp_path / "clip.mp4", frames=1)
    assert IsolatedSource is type(make_source("x", str(path), SourceOptions(isolate=True)))


def test_a_camera_that_is_not_there_says_which_are():
    source = CameraSource("x", 97)
    with pytest.raises(SourceLost, match="no such camera") as caught:
        source.open()
    assert "not_found" == caught.value.cause
    source.close()


def test_a_missing_certificate_file_is_a_mistake_not_a_loss(tmp_path):
    with pytest.raises(ConfigError, match="certificates"):
        make_source("x", "rtsps://host/1", SourceOptions(tls_ca=tmp_path / "none.pem"))
