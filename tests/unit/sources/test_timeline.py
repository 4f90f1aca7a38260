"""Time that later stations can rely on."""

from __future__ import annotations

from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamdet.sources.timeline import Stamp, Timeline

RAW = st.none() | st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(RAW, max_size=60))
def test_within_an_epoch_time_and_index_strictly_increase_whatever_comes_in(raw: list[float | None]):
    timeline = Timeline(0.04)
    stamps = [timeline.stamp(raw_s) for raw_s in raw]
    for _, group in groupby(stamps, key=lambda stamp: stamp.epoch):
        epoch = list(group)
        assert 0 == epoch[0].index
        assert 0.0 == epoch[0].pts_s
        assert all(a.pts_s < b.pts_s and a.index + 1 == b.index for a, b in pairwise(epoch))
    assert sorted(stamp.epoch for stamp in stamps) == [stamp.epoch for stamp in stamps]


def test_ordinary_times_are_kept_counted_from_the_first():
    timeline = Timeline(0.04)
    assert [0.0, 0.5, 2.0] == [round(timeline.stamp(raw_s).pts_s, 6) for raw_s in (95443.25, 95443.75, 95445.25)]


def test_negative_times_count_from_the_first_like_any_other():
    timeline = Timeline(0.04)
    assert [0.0, 0.5, 1.0] == [timeline.stamp(raw_s).pts_s for raw_s in (-0.5, 0.0, 0.5)]


def test_a_step_back_of_more_than_jitter_starts_a_new_epoch():
    timeline = Timeline(0.04)
    timeline.stamp(100.0)
    assert Stamp(1, 0, 0.0) == timeline.stamp(1.0)
    assert Stamp(1, 1, 1.0) == timeline.stamp(2.0)


def test_a_leap_ahead_starts_a_new_epoch():
    timeline = Timeline(0.04, gap_s=10)
    timeline.stamp(0.0)
    assert 0 == timeline.stamp(9.0).epoch
    assert 1 == timeline.stamp(30.0).epoch


def test_jitter_is_repaired_within_the_epoch():
    timeline = Timeline(0.04)
    stamps = [timeline.stamp(raw_s) for raw_s in (0.0, 0.12, 0.08, 0.16)]
    assert [0, 0, 0, 0] == [stamp.epoch for stamp in stamps]
    assert 0.12 < stamps[2].pts_s < 0.16 == stamps[3].pts_s


def test_frames_without_a_time_follow_at_the_usual_interval_and_the_first_known_time_joins_on():
    timeline = Timeline(0.04)
    stamps = [timeline.stamp(raw_s) for raw_s in (None, 7.04, 7.08, None, 7.16)]
    assert [0.0, 0.04, 0.08, 0.12, 0.16] == [round(stamp.pts_s, 6) for stamp in stamps]


def test_quarantined_pictures_count_in_the_index():
    timeline = Timeline(0.04)
    timeline.skip(3)
    assert 3 == timeline.stamp(0.0).index


def test_a_round_that_gave_nothing_is_no_epoch():
    timeline = Timeline(0.04)
    timeline.break_off()
    assert 0 == timeline.stamp(0.0).epoch
    timeline.break_off()
    timeline.break_off()
    assert 1 == timeline.stamp(0.0).epoch
