"""Video files of every kind."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time

import av
import numpy as np
import pytest
from made_clips import film, four_corners, joined, sound, turned

from streamdet.errors import EndOfStream, SourceLost
from streamdet.sources.file import FileSource
from streamdet.sources.options import SourceOptions


def read_all(source, limit=10_000):
    """All frames of an open source, their pictures copied."""
    frames = []
    with contextlib.suppress(EndOfStream):
        while len(frames) < limit:
            frame = source.read()
            lease, frame.picture = frame.picture, frame.picture.host()
            lease.release()
            frames.append(frame)
    return frames


def played(source, limit=10_000):
    """All frames, from opening to closing."""
    source.open()
    try:
        return read_all(source, limit)
    finally:
        source.close()


def times(frames):
    return [round(frame.pts_s, 3) for frame in frames]


def brightness(frames):
    return [int(frame.picture.rgb().mean()) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.mov", "mpeg4"),
        ("clip.ts", "libx264"),
        ("clip.avi", "mpeg4"),
        ("clip.avi", "mjpeg"),
        ("clip.webm", "libvpx"),
        ("clip.mpg", "mpeg2video"),
        ("clip.flv", "libx264"),
        ("clip.gif", "gif"),
        ("odd:name 100%.mp4", "libx264"),
    ],
)
def test_any_container_plays_from_its_first_frame_to_its_last_in_order(tmp_path, name, codec):
    pixel_format = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    path = film(tmp_path / name, codec, pixel_format=pixel_format)
    frames = played(FileSource("clip", path))
    assert 12 == len(frames)
    assert list(range(12)) == [frame.index for frame in frames]
    assert {0} == {frame.epoch for frame in frames}
    assert {("clip", "file", None)} == {(frame.stream, frame.time_source, frame.captured_at) for frame in frames}
    assert pytest.approx([k * 0.04 for k in range(12)], abs=0.002) == times(frames)
    assert sorted(brightness(frames)) == brightness(frames)


@pytest.mark.parametrize(("name", "codec"), [("b.avi", "mpeg4"), ("b.avi", "libx264"), ("b.mp4", "libx264")])
def test_b_frames_come_in_the_order_and_at_the_time_of_display(tmp_path, name, codec):
    path = film(tmp_path / name, codec, frames=20, b_frames=3)
    frames = played(FileSource("b", path))
    assert [round(k * 0.04, 3) for k in range(20)] == times(frames)
    assert sorted(brightness(frames)) == brightness(frames)
    assert {0} == {frame.epoch for frame in frames}


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times_ms = [0, 40, 45, 500, 510, 1700, 1701, 4000]
    path = film(tmp_path / "vfr.mkv", frames=8, times_ms=times_ms)
    assert [time_ms / 1000 for time_ms in times_ms] == times(played(FileSource("vfr", path)))


@pytest.mark.parametrize(("width", "height"), [(63, 47), (65, 33), (2, 2), (17, 15)])
def test_odd_sizes_are_whole(tmp_path, width, height):
    path = film(tmp_path / "odd.mkv", "ffv1", size=(width, height), picture=lambda k: four_corners(width, height))
    frame = played(FileSource("odd", path))[0]
    assert (width, height) == frame.size
    assert (height, width, 3) == frame.picture.rgb().shape


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_is_that_of_the_display_matrix(tmp_path, clockwise, mirrored):
    path = turned(film(tmp_path / "phone.mp4", picture=lambda k: four_corners(64, 48)), clockwise, mirrored)
    frame = played(FileSource("phone", path), limit=1)[0]
    upright = four_corners(64, 48)
    want = np.rot90(upright[:, ::-1] if mirrored else upright, -clockwise // 90)
    assert clockwise == frame.picture.rotation
    assert np.abs(want.astype(int) - frame.picture.rgb()).mean() < 8


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the oracle is the ffmpeg program, which is not installed")
@pytest.mark.parametrize(("clockwise", "mirrored"), [(90, False), (270, False), (180, False), (90, True), (0, True)])
def test_a_turned_film_looks_as_ffmpeg_shows_it(tmp_path, clockwise, mirrored):
    path = turned(film(tmp_path / "phone.mp4", picture=lambda k: four_corners(64, 48)), clockwise, mirrored)
    shown = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        capture_output=True,
    ).stdout
    rgb = played(FileSource("phone", path), limit=1)[0].picture.rgb()
    want = np.frombuffer(shown, np.uint8).reshape(rgb.shape)
    assert np.abs(want.astype(int) - rgb).mean() < 4


@pytest.mark.parametrize(
    ("codec", "pixel_format", "full_range"),
    [
        ("libx264", "yuv420p", False),
        ("libx264", "yuvj420p", True),
        ("libx265", "yuv420p10le", False),
        ("libx265", "yuv420p10le", True),
        ("libx264", "yuv444p", False),
        ("libx264", "nv12", False),
        ("ffv1", "yuv422p10le", False),
        ("mjpeg", "yuvj422p", True),
        ("png", "rgb24", None),
        ("rawvideo", "bgr24", None),
        ("rawvideo", "yuyv422", False),
    ],
)
def test_colours_are_those_that_were_encoded(tmp_path, codec, pixel_format, full_range):
    path = film(
        tmp_path / ("colour.avi" if codec in ("png", "rawvideo") else "colour.mkv"),
        codec,
        size=(128, 96),
        pixel_format=pixel_format,
        full_range=full_range,
        options={"crf": "4"} if "x26" in codec else None,
        picture=lambda k: four_corners(128, 96),
    )
    rgb = played(FileSource("colour", path), limit=1)[0].picture.rgb()
    points = ([20, 20, 76, 76], [20, 108, 20, 108])
    assert np.abs(four_corners(128, 96)[points].astype(int) - rgb[points]).max() < 12


def test_a_film_may_change_its_size_while_it_plays(tmp_path):
    small = film(tmp_path / "a.h264", frames=5, container="h264")
    large = film(tmp_path / "b.h264", frames=5, size=(128, 96), container="h264")
    frames = played(FileSource("mixed", joined(tmp_path / "mixed.h264", small, large)))
    assert [(64, 48)] * 5 + [(128, 96)] * 5 == [frame.size for frame in frames]


def test_pictures_stay_valid_while_they_are_held_and_the_decoder_goes_on(tmp_path):
    source = FileSource("held", film(tmp_path / "clip.mp4", frames=30))
    source.open()
    held = [source.read() for _ in range(30)]
    source.close()
    assert sorted(brightness(held)) == brightness(held)
    for frame in held:
        frame.picture.release()


def test_a_looped_file_starts_a_new_epoch(tmp_path):
    source = FileSource("loop", film(tmp_path / "clip.mp4", frames=3), SourceOptions(loop=True))
    frames = played(source, limit=8)
    assert [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)] == [(f.epoch, f.index) for f in frames]
    assert times(frames[:3]) == times(frames[3:6])


def test_a_file_can_be_opened_again_from_its_beginning(tmp_path):
    source = FileSource("again", film(tmp_path / "clip.mp4"))
    assert times(played(source)) == times(played(source))


def test_real_time_is_kept(tmp_path):
    source = FileSource("paced", film(tmp_path / "clip.mp4", frames=6), SourceOptions(realtime=True))
    started_s = time.monotonic()
    played(source)
    assert time.monotonic() - started_s >= 0.2


def test_the_duration_is_known_once_open(tmp_path):
    source = FileSource("clip", film(tmp_path / "clip.mp4", frames=25))
    source.open()
    assert pytest.approx(1.0, abs=0.05) == source.duration_s
    source.close()


def test_a_truncated_file_plays_as_far_as_it_goes(tmp_path):
    path = film(tmp_path / "clip.ts", frames=50, size=(160, 120))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = played(FileSource("cut", path))
    assert 10 < len(frames) < 40


def test_damaged_frames_are_quarantined_counted_and_what_follows_is_suspect_until_the_next_key(tmp_path):
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(30)]
    path = film(tmp_path / "clip.ts", frames=30, size=(160, 120), options={"g": "10"}, picture=lambda k: noise[k])
    whole = len(played(FileSource("whole", path)))
    content = bytearray(path.read_bytes())
    middle = int(len(content) * 0.45)  # in the second of three groups of pictures
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(bytes(content))
    source = FileSource("damaged", path)
    source.open()
    frames = read_all(source)
    assert 30 == whole > len(frames) > 15
    assert source.suspects() > 0
    assert 0 == source.suspects()
    assert {frame.index for frame in frames} < set(range(30))
    suspect = [frame.index for frame in frames if frame.quality == "suspect"]
    assert suspect
    assert list(range(suspect[0], 20)) == suspect
    source.close()


def test_pictures_before_the_first_key_frame_are_quarantined(tmp_path):
    whole = film(tmp_path / "clip.mkv", frames=30, options={"g": "10"})
    headless = tmp_path / "headless.mkv"
    with av.open(str(whole)) as source, av.open(str(headless), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if number >= 3 and packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    frames = played(FileSource("headless", headless))
    assert 16 + 6 * 10 - 3 < brightness(frames)[0] < 16 + 6 * 10 + 3
    assert 20 == len(frames)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda folder: folder / "missing.mp4", "not_found"),
        (lambda folder: folder, "no_video"),
        (lambda folder: sound(folder / "sound.mp4"), "no_video"),
        (lambda folder: sound(folder / "sound.wav"), "no_video"),
    ],
)
def test_what_cannot_be_played_says_why(tmp_path, make, cause):
    source = FileSource("bad", make(tmp_path))
    with pytest.raises(SourceLost) as caught:
        source.open()
    assert cause == caught.value.cause
    source.close()


def test_reading_before_opening_and_closing_twice_are_no_accidents(tmp_path):
    source = FileSource("clip", film(tmp_path / "clip.mp4"))
    source.close()
    with pytest.raises(SourceLost, match="before it was opened"):
        source.read()
    source.open()
    source.close()
    source.close()
    assert 0 == source.suspects()


def test_two_decoder_threads_give_the_same_film(tmp_path):
    path = film(tmp_path / "clip.mp4", frames=40, b_frames=2)
    one, two = (played(FileSource("clip", path, SourceOptions(threads=threads))) for threads in (1, 2))
    assert times(one) == times(two)
    assert brightness(one) == brightness(two)
