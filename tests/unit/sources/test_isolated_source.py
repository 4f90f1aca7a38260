"""A source in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_clips import film

from streamdet.errors import EndOfStream, SourceLost
from streamdet.sources.catalogue import make_source
from streamdet.sources.file import FileSource
from streamdet.sources.isolated import IsolatedSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.ring import RingReader, RingWriter, Written, slot_bytes


def isolated(path, **options):
    source = make_source("gate", str(path), SourceOptions(isolate=True, **options))
    assert isinstance(source, IsolatedSource)
    return source


def facts(frame):
    picture = frame.picture
    return (
        (frame.stream, frame.epoch, frame.index, frame.pts_s, frame.quality, frame.time_source, frame.size),
        (picture.format, picture.full_range, picture.matrix, picture.rotation),
        [plane.tobytes() for plane in picture.planes],
    )


def read_all(source):
    source.open()
    found = []
    try:
        while True:
            frame = source.read()
            found.append(facts(frame))
            frame.picture.release()
    except EndOfStream:
        return found
    finally:
        source.close()


def read_on(source):
    for _ in range(500):
        source.read().picture.release()


def running(pid):
    """An orphan's zombie waits for whoever is first among processes to collect it: that is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid):
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def clip(tmp_path):
    return film(tmp_path / "clip.mkv", "ffv1", frames=30, size=(65, 49))


@pytest.fixture
def camera():
    """A live source in a child; nothing is left of it afterwards."""
    source = make_source(
        "gate", "synthetic:bars?live=true&size=64x48&fps=100", SourceOptions(isolate=True, deadline_s=1)
    )
    assert isinstance(source, IsolatedSource)
    yield source
    source.close()


def test_frames_are_those_of_the_source_itself_bit_by_bit(clip):
    assert read_all(FileSource("gate", clip)) == read_all(isolated(clip))


def test_a_change_of_size_passes_through(tmp_path):
    small = film(tmp_path / "a.h264", frames=3, container="h264").read_bytes()
    large = film(tmp_path / "b.h264", frames=3, size=(320, 240), container="h264").read_bytes()
    (tmp_path / "mixed.h264").write_bytes(small + large)
    sizes = [found[0][-1] for found in read_all(isolated(tmp_path / "mixed.h264"))]
    assert [(64, 48)] * 3 + [(320, 240)] * 3 == sizes


def test_a_recorded_child_waits_for_slots_and_loses_nothing(clip):
    source = isolated(clip, isolate_slots=2)
    assert list(range(30)) == [found[0][2] for found in read_all(source)]
    assert 0 == source.dropped


def test_a_live_child_drops_its_newest_while_every_slot_is_out_and_counts_it(camera):
    camera.open()
    held = [camera.read() for _ in range(16)]
    before = [frame.picture.planes[0].tobytes() for frame in held]
    time.sleep(0.4)
    assert before == [frame.picture.planes[0].tobytes() for frame in held]
    for frame in held:
        frame.picture.release()
    after = camera.read()
    assert camera.dropped > 5
    assert after.index > held[-1].index + camera.dropped // 2


def test_a_child_that_crashes_is_a_loss_and_a_new_one_takes_over(camera):
    camera.open()
    first = camera.read()
    pid = camera.child_pid
    os.kill(pid, signal.SIGSEGV)
    with pytest.raises(SourceLost, match="SIGSEGV") as caught:
        read_on(camera)
    assert "crashed" == caught.value.cause
    assert first.picture.rgb().shape == (48, 64, 3)  # its memory outlives the child
    camera.close()
    assert gone(pid)
    camera.open()
    assert 0 == camera.read().epoch
    assert pid != camera.child_pid
    first.picture.release()


def test_a_child_that_hangs_is_noticed_within_the_deadline_and_killed(camera):
    camera.open()
    camera.read().picture.release()
    pid = camera.child_pid
    os.kill(pid, signal.SIGSTOP)
    started_s = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        read_on(camera)
    assert "stalled" == caught.value.cause
    assert time.monotonic() - started_s < camera.deadline_s + 1
    camera.close()
    assert gone(pid)


def test_closing_ends_a_hanging_child_too(camera):
    camera.open()
    pid = camera.child_pid
    os.kill(pid, signal.SIGSTOP)
    camera.close()
    assert gone(pid)


def test_a_child_dies_with_a_parent_that_was_killed():
    program = (
        "import time; from streamdet.sources.catalogue import make_source\n"
        "from streamdet.sources.options import SourceOptions\n"
        "source = make_source('x', 'synthetic:bars?live=true&size=64x48', SourceOptions(isolate=True))\n"
        "source.open(); print(source.child_pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # it could not even notice that its line is dead
        parent.kill()
    until_s = time.monotonic() + 5
    while running(pid) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not running(pid)


def test_a_loss_in_the_child_comes_with_its_cause_and_words(tmp_path):
    path = film(tmp_path / "clip.mp4", frames=1)
    source = isolated(path)
    path.write_bytes(b"nothing to see")
    with pytest.raises(SourceLost) as caught:
        source.open()
    assert "no_video" == caught.value.cause
    assert str(path) in str(caught.value)
    source.close()


def test_the_address_is_in_nobodys_command_line(clip):
    source = isolated(clip)
    source.open()
    assert b"clip" not in Path(f"/proc/{source.child_pid}/cmdline").read_bytes()
    source.close()


def test_nothing_is_left_after_many_rounds(camera):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    camera.open()
    camera.close()
    before = descriptors()
    for _ in range(3):
        camera.open()
        camera.read().picture.release()
        camera.close()
    assert before == descriptors()


def test_a_picture_may_be_released_after_its_source_has_closed(clip):
    source = isolated(clip)
    source.open()
    frame = source.read()
    source.close()
    assert frame.picture.planes[0].any()
    frame.picture.release()


def test_a_slot_that_was_overwritten_is_noticed():
    planes = (np.arange(12, dtype=np.uint8).reshape(3, 4), np.arange(6, dtype=np.uint16).reshape(3, 2))
    writer = RingWriter(2, slot_bytes(planes))
    reader = RingReader(writer.fd, 2, writer.size)
    first = writer.write(planes)
    assert first is not None
    seen = reader.planes(first)
    assert seen is not None
    assert [plane.tolist() for plane in planes] == [plane.tolist() for plane in seen]
    writer.give_back(first.slot, first.generation)
    second = writer.write(planes)
    assert second is not None
    assert first.slot == second.slot
    assert reader.planes(first) is None
    writer.close()
    assert reader.planes(second) is not None


def test_slots_come_back_once_only_and_only_from_their_own_generation():
    planes = (np.zeros((2, 2), np.uint8),)
    writer = RingWriter(1, slot_bytes(planes))
    first = writer.write(planes)
    assert isinstance(first, Written)
    assert writer.write(planes) is None
    writer.give_back(first.slot, first.generation - 1)
    assert writer.write(planes) is None
    writer.give_back(first.slot, first.generation)
    writer.give_back(first.slot, first.generation)
    assert writer.write(planes) is not None
    assert writer.write(planes) is None
    writer.close()
