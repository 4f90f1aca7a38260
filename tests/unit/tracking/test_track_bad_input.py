"""Whatever comes in, an update answers every row, counts what it could not take, and never raises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_boxes import at, crowd, seen

from streamdet.frames import Detections
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker

FRAME_S = 1 / 25


@pytest.fixture(params=[ByteTrackOptions, OcSortOptions, SortOptions], ids=lambda o: o.model_fields["kind"].default)
def options(request):
    return request.param


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", range(5))
def test_a_row_that_is_no_number_belongs_to_no_track(options, bad, column):
    tracker = make_tracker(options())
    given = seen(at(100), at(300), at(500))
    if column < 4:
        given.xyxy[1, column] = bad
    else:
        given.score[1] = bad
    tracks = tracker.update(given, 0.0)
    assert [1, -1, 2] == tracks.track_id.tolist()
    assert 1 == tracker.refused["not_finite"]
    np.testing.assert_array_equal(tracks.smooth_xyxy[1], given.xyxy[1])


@pytest.mark.parametrize("box", [(140, 60, 100, 140), (100, 140, 140, 60), (100, 60, 100, 140), (100, 60, 140, 60)])
def test_an_inverted_or_empty_box_belongs_to_no_track(options, box):
    tracker = make_tracker(options())
    tracks = tracker.update(seen(at(500), box), 0.0)
    assert [1, -1] == tracks.track_id.tolist()
    assert 1 == tracker.refused["inverted"]


def test_standing_time_matches_without_moving_on(options):
    tracker = make_tracker(options())
    for frame in range(10):
        tracker.update(seen(at(100 + 5 * frame)), frame * FRAME_S)
    tracks = tracker.update(seen(at(145)), 9 * FRAME_S)
    assert [1] == tracks.track_id.tolist()
    assert 1 == tracker.refused["time_standing"]
    assert 145 == pytest.approx(tracks.smooth_xyxy[0, [0, 2]].mean(), abs=1)


def test_time_running_back_a_little_stands_still_instead(options):
    tracker = make_tracker(options())
    for frame in range(10):
        tracker.update(seen(at(100)), frame * FRAME_S)
    assert [1] == tracker.update(seen(at(100)), 5 * FRAME_S).track_id.tolist()
    assert [1] == tracker.update(seen(at(100)), 10 * FRAME_S).track_id.tolist()
    assert 1 == tracker.refused["time_backwards"]


@pytest.mark.parametrize("jump_s", [3 * 3600.0, -3 * 3600.0, 1e12, -1e12])
def test_a_jump_of_hours_ends_every_track_and_begins_anew(options, jump_s):
    tracker = make_tracker(options())
    for frame in range(10):
        tracker.update(seen(at(100), at(300)), 20_000 + frame * FRAME_S)
    tracks = tracker.update(seen(at(100), at(300)), 20_000 + jump_s)
    assert [3, 4] == tracks.track_id.tolist()
    assert [("track_ended", 1), ("track_ended", 2), ("track_started", 3), ("track_started", 4)] == [
        (event.kind, event.track_id) for event in tracks.events
    ]
    assert {"time_gap"} == {event.fields["reason"] for event in tracks.events[:2]}
    assert 1 == tracker.refused["time_gap" if jump_s > 0 else "time_backwards"]
    assert [3, 4] == tracker.update(seen(at(100), at(300)), 20_000 + jump_s + FRAME_S).track_id.tolist()


@pytest.mark.parametrize("pts_s", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_number_stands_still(options, pts_s):
    tracker = make_tracker(options())
    tracker.update(seen(at(100)), 1.0)
    assert [1] == tracker.update(seen(at(100)), pts_s).track_id.tolist()
    assert 1 == tracker.refused["time_not_finite"]


def test_a_time_that_is_no_number_can_come_first(options):
    tracker = make_tracker(options())
    assert [1] == tracker.update(seen(at(100)), math.nan).track_id.tolist()
    assert [1] == tracker.update(seen(at(100)), 1e9).track_id.tolist()


def test_five_thousand_rows_are_answered_and_those_beyond_the_limit_counted(options):
    tracker = make_tracker(options(max_rows=600))
    source = crowd(5_000, 1)
    for frame in range(3):
        given = next(source)
        tracks = tracker.update(given, frame * FRAME_S)
        assert len(given) == len(tracks.track_id)
        assert (tracks.track_id >= 0).sum() <= 600
    assert tracker.refused["beyond_limit"] >= 3 * (len(given) - 1300)


def test_five_thousand_rows_can_all_be_followed(options):
    tracker = make_tracker(options(max_rows=5_000))
    source = crowd(5_000, 1, width=12_000, height=8_000)
    given = next(source)
    tracks = tracker.update(given, 0.0)
    high = given.score >= 0.7
    assert (tracks.track_id[high] > 0).all()
    assert 0 == tracker.refused["beyond_limit"]
    assert 0 == tracker.refused["no_room"]


def test_a_heap_of_equal_boxes_is_answered(options):
    tracker = make_tracker(options(max_rows=400))
    for frame in range(3):
        tracks = tracker.update(seen(*[at(100)] * 400), frame * FRAME_S)
        assert 400 == len(tracks.track_id)


@pytest.mark.parametrize(
    "motion",
    [np.full((2, 3), np.nan), np.zeros((2, 3)), np.eye(3), np.array([[1e9, 0, 0], [0, 1e9, 0]])],
    ids=["nan", "collapse", "shape", "explosion"],
)
def test_a_motion_that_cannot_be_is_ignored_and_counted(options, motion):
    tracker = make_tracker(options())
    tracker.update(seen(at(100)), 0.0)
    assert [1] == tracker.update(seen(at(100)), FRAME_S, motion.astype(np.float32)).track_id.tolist()
    assert 1 == tracker.refused["motion"]


number = st.floats(width=32)  # any, with NaN and infinities
row = st.tuples(number, number, number, number, number, st.integers(-(2**31), 2**31 - 1))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(row, max_size=6), st.floats()), max_size=12))
def test_nothing_whatever_raises_in_an_update(frames):
    for kind in (ByteTrackOptions, OcSortOptions, SortOptions):
        tracker = make_tracker(kind())
        for rows, pts_s in frames:
            table = np.array(rows, np.float64).reshape(len(rows), 6)
            with np.errstate(all="ignore"):
                given = Detections(
                    table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32)
                )
            tracks = tracker.update(given, pts_s)
            assert len(rows) == len(tracks.track_id)
        tracker.finish()
        assert 0 == tracker.active
