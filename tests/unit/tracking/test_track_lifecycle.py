"""What a track goes through, in every tracker: tentative, confirmed, lost, ended; and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from moving_boxes import at, crowd, seen

from streamdet.frames import Detections, TrackState
from streamdet.testing import check_tracker
from streamdet.tracking.catalogue import TRACKERS, ByteTrackOptions, OcSortOptions, SortOptions, make_tracker

ALL = [ByteTrackOptions, OcSortOptions, SortOptions]
FRAME_S = 1 / 25


@pytest.fixture(params=ALL, ids=lambda options: options.model_fields["kind"].default)
def options(request):
    return request.param


def test_the_catalogue_knows_every_tracker_by_its_options():
    assert set(ALL) == set(TRACKERS)


def test_the_contract_is_kept(options):
    check_tracker(lambda: make_tracker(options()))


def test_ids_begin_at_one_in_every_instance(options):
    for _ in range(2):
        tracks = make_tracker(options()).update(seen(at(100), at(300)), 0.0)
        assert [1, 2] == tracks.track_id.tolist()


def test_an_id_is_given_to_what_is_confirmed_and_to_nothing_else(options):
    tracker = make_tracker(options(min_hits=2, instant_first_frame=False))
    for frame in range(20):
        flicker = at(1000 + 200 * (frame % 4), 100 + 150 * (frame % 5))
        tracks = tracker.update(seen(flicker, at(100 + frame)), frame * FRAME_S)
        assert [-1, 1 if frame else -1] == tracks.track_id.tolist()
        assert [TrackState.TENTATIVE, TrackState.CONFIRMED if frame else TrackState.TENTATIVE] == tracks.state.tolist()


def test_the_first_frame_is_believed_at_once(options):
    tracks = make_tracker(options()).update(seen(at(100)), 0.0)
    assert [TrackState.CONFIRMED] == tracks.state.tolist()
    assert ["track_started"] == [event.kind for event in tracks.events]


def test_the_first_frame_can_be_made_to_wait_like_any_other(options):
    tracker = make_tracker(options(instant_first_frame=False, min_hits=2))
    assert [TrackState.TENTATIVE] == tracker.update(seen(at(100)), 0.0).state.tolist()
    assert [TrackState.CONFIRMED] == tracker.update(seen(at(101)), FRAME_S).state.tolist()


@pytest.mark.parametrize("min_hits", [1, 2, 3, 5])
def test_a_newcomer_is_confirmed_by_the_hit_that_makes_it_min_hits(options, min_hits):
    tracker = make_tracker(options(min_hits=min_hits))
    tracker.update(Detections.empty(), 0.0)
    states, started = [], []
    for frame in range(1, 7):
        tracks = tracker.update(seen(at(100 + frame)), frame * FRAME_S)
        states.append(int(tracks.state[0]))
        started += tracks.events
    assert [TrackState.TENTATIVE] * (min_hits - 1) + [TrackState.CONFIRMED] * (7 - min_hits) == states
    assert ["track_started"] == [event.kind for event in started]
    assert FRAME_S == pytest.approx(started[0].fields["first_s"])


def test_a_tentative_track_that_is_not_seen_again_goes_without_a_word(options):
    tracker = make_tracker(options(min_hits=3))
    tracker.update(Detections.empty(), 0.0)
    tracker.update(seen(at(100)), FRAME_S)
    events = [tracker.update(Detections.empty(), frame * FRAME_S).events for frame in range(2, 60)]
    assert not any(events)
    assert () == tracker.finish()
    assert 0 == tracker.active


def test_a_lost_track_coasts_where_it_was_going_and_keeps_its_id(options):
    tracker = make_tracker(options(max_lost_s=1.0))
    for frame in range(20):
        tracker.update(seen(at(100 + 5 * frame)), frame * FRAME_S)
    coasting = tracker.update(Detections.empty(), 20 * FRAME_S).coasting
    assert [1] == coasting.track_id.tolist()
    assert 200 == pytest.approx(coasting.xyxy[0, [0, 2]].mean(), abs=2)
    assert FRAME_S == pytest.approx(coasting.age_s[0], abs=1e-4)
    back = tracker.update(seen(at(100 + 5 * 25)), 25 * FRAME_S)
    assert [1] == back.track_id.tolist()
    assert [TrackState.CONFIRMED] == back.state.tolist()
    assert 0 == len(back.coasting.track_id)


@pytest.mark.parametrize("fps", [5, 25, 120])
def test_a_lost_track_lives_for_its_time_whatever_the_frame_rate(options, fps):
    tracker = make_tracker(options(max_lost_s=0.8))
    tracker.update(seen(at(100)), 0.0)
    ends = []
    for frame in range(1, 2 * fps):
        ends += [event.pts_s for event in tracker.update(Detections.empty(), frame / fps).events]
    assert [pytest.approx(0.8, abs=1.01 / fps)] == ends


def test_a_picture_every_two_seconds_is_enough_for_what_stands_still(options):
    """A lifetime counts only where a frame had looked in vain."""
    tracker = make_tracker(options(max_lost_s=0.5))
    for frame in range(5):
        assert [1] == tracker.update(seen(at(100)), 2.0 * frame).track_id.tolist()


def test_an_end_tells_the_whole_story(options):
    tracker = make_tracker(options())
    scores = [0.75, 0.8, 0.95, 0.85]
    for frame in range(80):
        tracker.update(seen(at(200 + 3 * frame), score=scores[frame % 4] - frame / 1000), frame * FRAME_S)
    (event,) = tracker.finish()
    told = event.fields
    assert ("track_ended", 1) == (event.kind, event.track_id)
    assert "epoch_end" == told["reason"]
    assert (0.0, pytest.approx(79 * FRAME_S)) == (told["first_s"], told["last_s"])
    assert 80 == told["frames"]
    assert (0, "person") == (told["class_id"], told["class"])
    assert 2 * FRAME_S == pytest.approx(told["best"]["pts_s"])
    assert 0.948 == pytest.approx(told["best"]["score"], abs=1e-4)
    assert [0.0, 200.0, 100.0] == told["path"][0]
    assert [pytest.approx(79 * FRAME_S, abs=1e-3), pytest.approx(200 + 3 * 79), 100.0] == told["path"][-1]
    assert 2 == len(told["path"])  # it went straight
    assert () == tracker.finish()


def test_a_path_of_any_length_stays_short_and_true(options):
    tracker = make_tracker(options())
    frames = 5_000
    for frame in range(frames):
        angle = frame * 2 * np.pi / frames
        tracker.update(seen(at(500 + 300 * np.cos(angle), 500 + 300 * np.sin(angle))), frame * FRAME_S)
    (event,) = tracker.finish()
    path = np.array(event.fields["path"])
    assert 10 < len(path) <= 65
    assert (np.diff(path[:, 0]) > 0).all()
    np.testing.assert_allclose(np.hypot(path[:, 1] - 500, path[:, 2] - 500), 300, atol=1)


def test_who_walks_out_of_the_picture_has_left(options):
    tracker = make_tracker(options(max_lost_s=0.5))
    ends = []
    for frame in range(80):
        x = 1000 + 12 * frame
        boxes = [at(60, 600)] + ([(x - 20, 60, min(x + 20, 1500), 140)] if x < 1500 else [])
        ends += [e for e in tracker.update(seen(*boxes), frame * FRAME_S).events if e.kind == "track_ended"]
    assert [(2, "left")] == [(event.track_id, event.fields["reason"]) for event in ends]


def test_who_vanishes_in_the_middle_is_lost(options):
    tracker = make_tracker(options(max_lost_s=0.5))
    ends = []
    for frame in range(40):
        boxes = [at(60, 600), at(1800, 1000)] + ([at(800, 500)] if frame < 10 else [])
        ends += [e for e in tracker.update(seen(*boxes), frame * FRAME_S).events if e.kind == "track_ended"]
    assert [(3, "lost")] == [(event.track_id, event.fields["reason"]) for event in ends]


def test_classes_do_not_mix_unless_told_to(options):
    for aware, ids in ((True, [-1]), (False, [1])):
        tracker = make_tracker(options(class_aware=aware))
        tracker.update(seen(at(100), class_id=0), 0.0)
        assert ids == tracker.update(seen(at(100), class_id=1), FRAME_S).track_id.tolist()


def test_the_class_is_the_one_with_the_most_score(options):
    tracker = make_tracker(options(class_aware=False))
    for frame, class_id in enumerate([1, 0, 0, 1, 1, 7, 8, 9, 10, 11]):
        tracker.update(seen(at(100), class_id=class_id), frame * FRAME_S)
    (event,) = tracker.finish()
    assert (1, "car") == (event.fields["class_id"], event.fields["class"])


def test_rows_are_answered_as_they_came_and_left_as_they_were(options):
    tracker = make_tracker(options())
    rng = np.random.default_rng(0)
    for frame, given in zip(range(120), crowd(12, 3, width=4000), strict=False):
        order = rng.permutation(len(given))
        shuffled = given.rows(order)
        kept = shuffled.xyxy.copy(), shuffled.score.copy(), shuffled.class_id.copy()
        for column in (shuffled.xyxy, shuffled.score, shuffled.class_id):
            column.flags.writeable = False
        tracks = tracker.update(shuffled, frame * FRAME_S)
        assert len(shuffled) == len(tracks.track_id) == len(tracks.smooth_xyxy) == len(tracks.state)
        assert all(
            np.array_equal(*pair) for pair in zip(kept, (shuffled.xyxy, shuffled.score, shuffled.class_id), strict=True)
        )
        none = tracks.track_id < 0
        assert set(tracks.state[none]) <= {TrackState.NONE, TrackState.TENTATIVE}
        assert (tracks.state[~none] == TrackState.CONFIRMED).all()
        alone = tracks.state == TrackState.NONE
        np.testing.assert_array_equal(tracks.smooth_xyxy[alone], shuffled.xyxy[alone])
        taken = tracks.track_id[~none]
        assert len(set(taken.tolist())) == len(taken)


def test_the_order_of_rows_changes_nothing(options):
    one, other = make_tracker(options()), make_tracker(options())
    rng = np.random.default_rng(1)
    for frame, given in zip(range(100), crowd(20, 5), strict=False):
        order = rng.permutation(len(given))
        straight = one.update(given, frame * FRAME_S)
        mixed = other.update(given.rows(order), frame * FRAME_S)
        known = {}
        for a, b in zip(straight.track_id[order].tolist(), mixed.track_id.tolist(), strict=True):
            assert known.setdefault(a, b) == b or a == -1
            assert (a < 0) == (b < 0)
        np.testing.assert_allclose(straight.smooth_xyxy[order], mixed.smooth_xyxy, rtol=1e-6)


def test_the_smooth_box_trembles_less_than_the_detector(options):
    tracker = make_tracker(options())
    rng = np.random.default_rng(2)
    raw, smooth = [], []
    for frame in range(200):
        given = seen(at(300 + rng.normal(0, 3), 300 + rng.normal(0, 3), 80, 160))
        tracks = tracker.update(given, frame * FRAME_S)
        raw.append(given.xyxy[0])
        smooth.append(tracks.smooth_xyxy[0])
    assert np.std(np.diff(raw[50:], axis=0)) > 1.5 * np.std(np.diff(smooth[50:], axis=0))


def test_low_scores_carry_a_byte_track_over_an_occlusion():
    tracker = make_tracker(ByteTrackOptions(max_lost_s=0.2))
    for frame in range(60):
        score = 0.2 if 20 <= frame < 40 else 0.9
        tracks = tracker.update(seen(at(100 + frame), score=score), frame * FRAME_S)
        assert [1] == tracks.track_id.tolist()


def test_oc_sort_bends_its_memory_to_where_the_object_was_found():
    tracker = make_tracker(OcSortOptions())
    for frame in range(30):
        tracker.update(seen(at(100 + 6 * frame)), frame * FRAME_S)
    for frame in range(30, 36):
        tracker.update(Detections.empty(), frame * FRAME_S)
    # It had stopped while it was hidden; a filter that kept its speed would run on ahead.
    for frame in range(36, 40):
        tracks = tracker.update(seen(at(100 + 6 * 29)), frame * FRAME_S)
        assert [1] == tracks.track_id.tolist()
    assert 274 == pytest.approx(tracks.smooth_xyxy[0, [0, 2]].mean(), abs=3)


def test_the_camera_turns_and_the_track_stays(options):
    for moving, expected in ((True, {1}), (False, {1, 2, 3, 4, 5, 6, 7, 8})):
        tracker = make_tracker(options(min_hits=1))
        ids = set()
        for frame in range(8):
            motion = np.array([[1, 0, 150], [0, 1, 0]], np.float32) if moving and frame else None
            ids |= set(tracker.update(seen(at(100 + 150 * frame)), frame * FRAME_S, motion).track_id.tolist())
        assert expected == ids
