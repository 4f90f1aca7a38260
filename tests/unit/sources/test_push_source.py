"""Frames that the user's own program hands over."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from streamdet.errors import ConfigError, EndOfStream, SourceLost
from streamdet.sources.push import PushSource


def grey(level, size=(4, 6)):
    return np.full((*size, 3), level, np.uint8)


def levels(frames):
    return [int(frame.picture.planes[0].flat[0]) for frame in frames]


def test_what_is_pushed_is_read_with_its_time():
    source = PushSource("press", recorded=True)
    source.open()
    for k in range(3):
        source.push(grey(k), pts_s=10 + k / 2)
    frames = [source.read() for _ in range(3)]
    assert [0, 1, 2] == levels(frames)
    assert [0.0, 0.5, 1.0] == [frame.pts_s for frame in frames]
    assert {"push"} == {frame.time_source for frame in frames}
    assert abs(frames[0].captured_at - time.time()) < 60


def test_a_pushed_array_is_copied_at_once():
    source = PushSource("press")
    source.open()
    picture = grey(7)
    source.push(picture)
    picture[:] = 99
    assert [7] == levels([source.read()])


def test_a_live_source_keeps_the_newest_and_counts_what_it_passed_over():
    source = PushSource("press")
    source.open()
    for k in range(5):
        source.push(grey(k))
    assert [4] == levels([source.read()])
    assert 4 == source.passed_over


def test_a_recorded_source_loses_nothing_and_makes_the_pusher_wait():
    source = PushSource("press", recorded=True)
    source.open()

    def push_all():
        for k in range(40):
            source.push(grey(k), pts_s=k / 10)
        source.finish()

    pusher = threading.Thread(target=push_all)
    pusher.start()
    frames = [source.read() for _ in range(40)]
    with pytest.raises(EndOfStream):
        source.read()
    pusher.join(5)
    assert list(range(40)) == levels(frames)


@pytest.mark.parametrize("end", ["close", "finish"])
def test_a_waiting_read_wakes_at_once(end):
    source = PushSource("press", deadline_s=60)
    source.open()
    threading.Timer(0.1, getattr(source, end)).start()
    started_s = time.monotonic()
    with pytest.raises(EndOfStream):
        source.read()
    assert time.monotonic() - started_s < 2


def test_a_waiting_push_wakes_when_the_source_is_closed():
    source = PushSource("press", recorded=True)
    source.open()
    threading.Timer(0.1, source.close).start()
    with pytest.raises(EndOfStream):  # noqa: PT012
        for k in range(100):
            source.push(grey(k))


def test_silence_beyond_the_deadline_is_a_stall_and_it_may_be_opened_again():
    source = PushSource("press", deadline_s=0.05)
    source.open()
    with pytest.raises(SourceLost) as caught:
        source.read()
    assert "stalled" == caught.value.cause
    source.close()
    source.open()
    source.push(grey(3))
    assert [3] == levels([source.read()])


def test_pictures_pushed_before_the_pipeline_opens_wait_for_it():
    source = PushSource("press", recorded=True)
    source.push(grey(1), pts_s=0.0)
    source.finish()
    source.open()
    assert [1] == levels([source.read()])
    with pytest.raises(EndOfStream):
        source.read()


def test_time_that_jumps_back_begins_an_epoch():
    source = PushSource("press", recorded=True)
    source.open()
    for pts_s in (5.0, 6.0, 0.0):
        source.push(grey(0), pts_s)
    assert [0, 0, 1] == [source.read().epoch for _ in range(3)]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6), np.float32), np.zeros((0, 6, 3), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_picture_is_refused_with_both_sides_named(picture):
    with pytest.raises(ConfigError):
        PushSource("press").push(picture)


def test_grey_and_rgb_pictures_say_what_they_are():
    source = PushSource("press", recorded=True, format="rgb24")
    source.open()
    source.push(np.full((4, 6), 9, np.uint8))
    source.push(grey(1))
    assert ["gray", "rgb24"] == [source.read().picture.format for _ in range(2)]
