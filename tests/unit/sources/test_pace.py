"""Frames at their own time."""

from __future__ import annotations

import pytest

from streamdet.sources import pace
from streamdet.sources.timeline import Stamp


@pytest.fixture
def clock(monkeypatch):
    """Time that only sleeping moves."""

    class Clock:
        now_s = 100.0

        def monotonic(self):
            return self.now_s

        def sleep(self, s):
            self.now_s += s

    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_a_frame_waits_for_its_time(clock):
    held = pace.Pace(5.0)
    for index, pts_s in enumerate((0.0, 0.04, 1.0)):
        held.wait(Stamp(0, index, pts_s))
    assert pytest.approx(101.0) == clock.now_s


def test_a_late_frame_passes_at_once(clock):
    held = pace.Pace(5.0)
    held.wait(Stamp(0, 0, 0.0))
    clock.now_s += 3
    held.wait(Stamp(0, 1, 1.0))
    assert pytest.approx(103.0) == clock.now_s


def test_an_epoch_begins_at_once(clock):
    held = pace.Pace(5.0)
    held.wait(Stamp(0, 9, 90.0))
    held.wait(Stamp(1, 0, 0.0))
    assert pytest.approx(100.0) == clock.now_s


def test_nobody_sits_through_a_long_pause_of_the_recording(clock):
    held = pace.Pace(5.0)
    held.wait(Stamp(0, 0, 0.0))
    held.wait(Stamp(0, 1, 60.0))
    assert pytest.approx(105.0) == clock.now_s
    held.wait(Stamp(0, 2, 61.0))
    assert pytest.approx(106.0) == clock.now_s
