"""The camera's clock out of RTCP reports."""

from __future__ import annotations

import struct

import pytest

from streamdet.sources.reader import Report
from streamdet.sources.wallclock import WallClock


def report(wall_s: float, raw_s: float, arrived_at: float) -> Report:
    return Report(struct.pack("<qi4x", round(wall_s * 1e6), 24), raw_s, arrived_at)


def begun() -> WallClock:
    """A clock that has had its first report, which does not count."""
    clock = WallClock()
    clock.see(report(7.0, 0.0, 99.0))
    return clock


def test_the_first_report_hangs_on_the_wrong_packet_and_does_not_count():
    assert begun().at(1.0) is None


def test_before_the_first_report_there_is_no_wall_time():
    assert WallClock().at(1.0) is None


def test_frames_are_dated_by_the_last_report_also_those_that_the_decoder_held_back():
    clock = begun()
    clock.see(report(1000.0, 5.0, 1000.2))
    assert (999.92, pytest.approx(0.2)) == clock.at(4.92)


def test_the_quickest_packet_speaks_for_the_clocks():
    clock = begun()
    for k, lag_s in enumerate((0.5, 0.08, 0.3)):
        clock.see(report(1000.0 + k, 5.0 + k, 1000.0 + k + lag_s))
    wall = clock.at(7.0)
    assert wall is not None
    assert pytest.approx(0.08) == wall.clock_offset_s


def test_a_frame_without_a_time_has_no_wall_time():
    clock = begun()
    clock.see(report(1000.0, 5.0, 1000.2))
    assert clock.at(None) is None
