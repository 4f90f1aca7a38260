"""Annotated video: right in time, whole in every case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_results import make_picture, make_result

from streamdet.errors import SinkLost
from streamdet.frames import Event
from streamdet.picture import Picture
from streamdet.sinks.video import Video, VideoOptions


def decoded(path: Path) -> tuple[list[int], list[tuple[int, int]], Fraction]:
    """Times in ticks, sizes and the time base of a file's frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        base = container.streams.video[0].time_base
    assert base is not None
    return [frame.pts or 0 for frame in frames], [(frame.width, frame.height) for frame in frames], base


def record(sink: Video, results) -> None:
    sink.open()
    for result in results:
        sink.write(result)
    sink.close()


def test_a_variable_frame_rate_is_kept_to_the_tick(tmp_path):
    rng = np.random.default_rng(5)
    times = 100.0 + np.cumsum(rng.uniform(0.005, 0.4, 60))
    record(
        Video(VideoOptions(path=tmp_path / "out.mp4")),
        [make_result(number, pts_s=float(time_s)) for number, time_s in enumerate(times)],
    )
    ticks, _, base = decoded(tmp_path / "out.mp4")
    assert Fraction(1, 90_000) == base
    assert [round((time_s - times[0]) * 90_000) for time_s in times] == ticks


def test_times_nearer_than_a_tick_still_rise(tmp_path):
    record(
        Video(VideoOptions(path=tmp_path / "out.mp4")),
        [make_result(number, pts_s=number * 1e-6) for number in range(5)],
    )
    assert [0, 1, 2, 3, 4] == decoded(tmp_path / "out.mp4")[0]


@pytest.mark.parametrize("size", [(1, 1), (63, 47), (64, 47), (63, 48), (16384, 16)])
def test_any_size_is_padded_to_even_and_written(tmp_path, size):
    record(Video(VideoOptions(path=tmp_path / "out.mp4")), [make_result(number, size=size) for number in range(3)])
    even = size[0] + size[0] % 2, size[1] + size[1] % 2
    assert [even] * 3 == decoded(tmp_path / "out.mp4")[1]


def test_each_stream_epoch_and_size_has_a_file_of_its_own(tmp_path):
    results = [
        make_result(0, stream="gate"),
        make_result(0, stream="yard/2"),
        make_result(1, stream="gate"),
        make_result(2, stream="gate", size=(32, 32)),
        make_result(0, stream="gate", epoch=1),
        make_result(1, stream="gate", epoch=1),
        make_result(0, stream="gate", epoch=1),  # time runs backwards: removed, and added again
    ]
    record(Video(VideoOptions(path=tmp_path / "videos")), results)
    frames = {path.name: len(decoded(path)[0]) for path in (tmp_path / "videos").iterdir()}
    assert {
        "gate.mp4": 2,
        "gate-2.mp4": 1,
        "gate-epoch1.mp4": 2,
        "gate-epoch1-2.mp4": 1,
        "yard_2.mp4": 1,
    } == frames


def test_a_second_stream_gets_a_file_beside_the_one_that_was_named(tmp_path):
    results = [make_result(0, stream="gate"), make_result(0, stream="yard"), make_result(1, stream="gate")]
    record(Video(VideoOptions(path=tmp_path / "out.mp4")), results)
    assert {"out.mp4", "out-yard.mp4"} == set(os.listdir(tmp_path))


def test_names_that_look_alike_do_not_share_a_file(tmp_path):
    record(Video(VideoOptions(path=tmp_path)), [make_result(0, stream="a/b"), make_result(0, stream="a b")])
    assert {"a_b.mp4", "a_b-2.mp4"} == set(os.listdir(tmp_path))


@pytest.mark.parametrize("stream", ["..", "../../etc/passwd", "a" * 400, "caf\udce9", "皖A12345", "\n"])
def test_no_stream_name_leads_out_of_the_folder(tmp_path, stream):
    record(Video(VideoOptions(path=tmp_path / "videos")), [make_result(0, stream=stream)])
    assert 1 == len(os.listdir(tmp_path / "videos"))
    assert ["videos"] == os.listdir(tmp_path)


def test_files_of_earlier_runs_are_kept_or_replaced_as_asked(tmp_path):
    for existing, expected in (("keep", 1), ("keep", 2), ("replace", 2)):
        record(Video(VideoOptions(path=tmp_path, existing=existing)), [make_result(0)])
        assert expected == len(os.listdir(tmp_path))


def test_unrelated_pictures_are_no_video(tmp_path):
    record(Video(VideoOptions(path=tmp_path)), [make_result(0, path="a.jpg")])
    assert [] == os.listdir(tmp_path)


def test_an_unknown_frame_is_in_the_video_too(tmp_path):
    record(Video(VideoOptions(path=tmp_path / "out.mp4")), [make_result(0), make_result(1, known=False)])
    assert 2 == len(decoded(tmp_path / "out.mp4")[0])


def test_fewer_frames_per_second_are_written_where_asked(tmp_path):
    results = [make_result(number, pts_s=number / 30) for number in range(90)]
    record(Video(VideoOptions(path=tmp_path / "out.mp4", max_fps=10)), results)
    assert 30 == len(decoded(tmp_path / "out.mp4")[0])


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_range_and_matrix_of_the_source_are_written_into_the_file(tmp_path, matrix, full_range):
    plain = make_picture(64, 48, 100)
    picture = Picture(plain.planes, "yuv420p", matrix=matrix, full_range=full_range)
    record(Video(VideoOptions(path=tmp_path / "out.mp4")), [make_result(0, picture=picture)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (2 if full_range else 1, 1 if matrix == "bt709" else 6) == (int(frame.color_range), int(frame.colorspace))


def test_the_source_picture_is_never_drawn_on(tmp_path):
    result = make_result(0)
    before = [plane.copy() for plane in result.frame.picture.planes]
    record(Video(VideoOptions(path=tmp_path / "out.mp4")), [result])
    assert all(np.array_equal(a, b) for a, b in zip(before, result.frame.picture.planes, strict=True))


def test_a_stream_that_has_ended_has_its_file_finished_while_others_go_on(tmp_path):
    now_s = [0.0]
    sink = Video(VideoOptions(path=tmp_path), clock=lambda: now_s[0])
    sink.open()
    sink.write(make_result(0, stream="gate"))
    sink.write(Event("stream_state", "gate", 0, fields={"state": "ended"}))
    sink.write(make_result(1, stream="gate"))  # was still on its way
    now_s[0] = 60.0
    sink.write(make_result(0, stream="yard"))
    assert 2 == len(decoded(tmp_path / "gate.mp4")[0])
    sink.close()
    assert {"gate.mp4", "yard.mp4"} == set(os.listdir(tmp_path))


def test_open_and_close_are_idempotent_in_any_state(tmp_path):
    sink = Video(VideoOptions(path=tmp_path / "out.mp4"))
    sink.close()
    sink.open()
    sink.open()
    sink.write(make_result(0))
    sink.close()
    sink.close()
    sink.open()
    sink.write(make_result(1))
    sink.close()
    assert {"out.mp4", "out-2.mp4"} == set(os.listdir(tmp_path))


def test_a_file_where_a_folder_is_needed_gives_one_clear_message(tmp_path):
    (tmp_path / "videos").touch()
    with pytest.raises(SinkLost, match="video cannot be written: a file stands where a directory is needed"):
        Video(VideoOptions(path=tmp_path / "videos")).open()


def test_a_folder_where_the_file_is_to_be_gives_one_clear_message(tmp_path):
    (tmp_path / "out.mp4").mkdir()
    sink = Video(VideoOptions(path=tmp_path / "out.mp4", existing="replace"))
    sink.open()
    with pytest.raises(SinkLost, match="video cannot be written: a directory stands where a file is to be written"):
        sink.write(make_result(0))


def noise(number: int) -> Picture:
    rng = np.random.default_rng(number)
    planes = [rng.integers(0, 255, shape, np.uint8) for shape in ((96, 128), (48, 64), (48, 64))]
    return Picture((planes[0], planes[1], planes[2]), "yuv420p")


def test_a_full_disk_gives_one_error_and_leaves_a_playable_file(small_disk):
    folder = small_disk(5_000)
    sink = Video(VideoOptions(path=folder / "out.mp4", crf=10))
    sink.open()
    written = 0
    with pytest.raises(SinkLost) as caught:  # noqa: PT012 - which frame fills the disk is not ours to say
        for written in range(2000):
            sink.write(make_result(written, picture=noise(written % 20)))
    assert "video cannot be written: no space left on the disk" == caught.value.what
    sink.close()
    frames = len(decoded(folder / "out.mp4")[0])
    assert written - 60 < frames <= written
    # While the disk is full, trying again fails again, at once, and leaves no litter.
    for _ in range(5):
        sink.open()
        with pytest.raises(SinkLost, match="no space left on the disk"):
            sink.write(make_result(written, picture=noise(written)))
        sink.close()
    assert {"out.mp4"} == set(os.listdir(folder))


def test_a_file_that_cannot_be_finished_says_so_at_close_and_stays_playable(tmp_path, full_after):
    sink = Video(VideoOptions(path=tmp_path / "out.mp4", crf=10))
    sink.open()
    for number in range(60):
        sink.write(make_result(number, picture=noise(number % 20)))
    size = (tmp_path / "out.mp4").stat().st_size
    with full_after(size + 1000), pytest.raises(SinkLost, match="the file may not grow further"):
        sink.close()
    sink.close()
    assert 25 <= len(decoded(tmp_path / "out.mp4")[0]) < 60


def test_a_killed_process_leaves_a_playable_file_without_its_last_second_or_two(tmp_path, tests_folder):
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(tests_folder)!r})
        from made_results import make_result
        from streamdet.sinks.video import Video, VideoOptions
        sink = Video(VideoOptions(path={str(tmp_path / "out.mp4")!r}))
        sink.open()
        for number in range(250):
            sink.write(make_result(number))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    child = subprocess.run([sys.executable, "-c", script], check=False)
    assert -signal.SIGKILL == child.returncode
    ticks, _, _ = decoded(tmp_path / "out.mp4")
    assert [number * 3600 for number in range(len(ticks))] == ticks
    assert len(ticks) >= 250 - 3 * 25
