"""Small, fast objects: they move further from frame to frame than their boxes overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_boxes import at, seen

from streamdet.frames import Detections, TrackState
from streamdet.tracking.catalogue import ByteTrackOptions, make_tracker

FRAME_S = 1 / 25


def ids_from_the_second_frame(boxes, fps=25.0, **options):
    """Follows one object that comes in after an empty frame; its ids, without that of its first frame."""
    tracker = make_tracker(ByteTrackOptions(**options))
    tracker.update(Detections.empty(), 0.0)
    answers = [tracker.update(seen(box), (1 + number) / fps) for number, box in enumerate(boxes)]
    assert TrackState.TENTATIVE == answers[0].state[0]
    return [int(tracks.track_id[0]) for tracks in answers[1:]]


@settings(max_examples=200, deadline=None)
@given(
    height=st.floats(6, 80),
    aspect=st.floats(3, 6),
    speed=st.floats(0, 1.5),
    angle=st.floats(0, 2 * np.pi),
    fps=st.sampled_from([5.0, 10.0, 12.5, 15.0, 25.0, 29.97]),
    seed=st.integers(0, 1000),
)
def test_a_plate_of_any_size_keeps_one_id_from_its_second_frame(height, aspect, speed, angle, fps, seed):
    """Up to one and a half of its heights per frame, in any direction, jittered by a thirtieth of its height."""
    rng = np.random.default_rng(seed)
    step = speed * height * np.array([np.cos(angle), np.sin(angle)])
    boxes = [
        at(*(1000 + number * step + rng.normal(0, height / 30, 2)), width=aspect * height, height=height)
        for number in range(8)
    ]
    assert [1] * 7 == ids_from_the_second_frame(boxes, fps)


@settings(max_examples=100, deadline=None)
@given(size=st.floats(6, 200), speed=st.floats(0, 1.2), angle=st.floats(0, 2 * np.pi))
def test_so_does_a_square_one_that_moves_by_more_than_itself(size, speed, angle):
    step = speed * size * np.array([np.cos(angle), np.sin(angle)])
    boxes = [at(*(1000 + number * step), width=size, height=size) for number in range(8)]
    assert [1] * 7 == ids_from_the_second_frame(boxes)


def test_a_plate_that_comes_nearer_grows_and_keeps_its_id():
    boxes = [at(600 + 9 * n, 100 + 8 * n * 1.04**n, 64 * 1.04**n, 13 * 1.04**n) for n in range(20)]
    assert [1] * 19 == ids_from_the_second_frame(boxes)


def test_a_plate_that_turns_sharply_keeps_its_id():
    there = [at(600 + 12 * n, 300, 64, 13) for n in range(10)]
    down = [at(600 + 12 * 9, 300 + 12 * n, 64, 13) for n in range(1, 10)]
    assert [1] * 18 == ids_from_the_second_frame(there + down)


def test_what_the_first_frame_shows_is_held_as_well():
    tracker = make_tracker(ByteTrackOptions())
    for frame in range(6):
        assert [1] == tracker.update(seen(at(600, 100 + 16 * frame, 64, 13)), frame * FRAME_S).track_id.tolist()


def test_without_reach_it_is_a_new_object_in_every_frame():
    boxes = [at(600, 100 + 16 * number, 64, 13) for number in range(6)]
    assert [-1] * 5 == ids_from_the_second_frame(boxes, reach=0)


@pytest.mark.parametrize("other", [at(600, 116, 26, 26), at(600, 116, 140, 30)], ids=["another form", "another size"])
def test_a_box_of_another_shape_is_another_object(other):
    assert [-1] == ids_from_the_second_frame([at(600, 100, 64, 13), other])


def test_what_may_be_hidden_is_not_looked_for_elsewhere():
    """A walker goes behind another, and a third comes in beside the two."""
    tracker = make_tracker(ByteTrackOptions())
    for frame in range(10):
        tracker.update(seen(at(300, 200), at(400 - 8 * frame, 200)), frame * FRAME_S)
    tracks = tracker.update(seen(at(300, 200), at(375, 200)), 10 * FRAME_S)
    assert [1, -1] == tracks.track_id.tolist()
    assert [2] == tracks.coasting.track_id.tolist()


def test_two_plates_side_by_side_keep_their_ids():
    tracker = make_tracker(ByteTrackOptions())
    tracker.update(Detections.empty(), 0.0)
    for frame in range(1, 12):
        y = 100 + 15 * frame
        tracks = tracker.update(seen(at(600, y, 64, 13), at(690, y, 64, 13)), frame * FRAME_S)
        if frame > 1:
            assert [1, 2] == tracks.track_id.tolist()
