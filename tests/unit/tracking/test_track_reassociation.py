"""A camera comes back after an outage: who is still there is known again, in the new epoch's own ids."""

from __future__ import annotations

import pytest
from moving_boxes import at, seen

from streamdet.frames import Detections
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker

FRAME_S = 1 / 25


@pytest.fixture(params=[ByteTrackOptions, OcSortOptions, SortOptions], ids=lambda o: o.model_fields["kind"].default)
def options(request):
    return request.param


def first_epoch(chosen):
    """Three who stand still; ids 1, 2 and 3."""
    tracker = make_tracker(chosen)
    for frame in range(50):
        tracker.update(seen(at(100), at(300), at(500)), frame * FRAME_S)
    tracker.finish()
    return tracker


def test_who_is_still_there_continues_under_a_new_id(options):
    chosen = options(reassociate_s=5.0)
    tracker = make_tracker(chosen, previous=first_epoch(chosen), gap_s=2.0)
    assert 0 == tracker.active
    tracks = tracker.update(seen(at(502), at(900), at(98)), 1000.0)
    assert {1, 2, 3} == set(tracks.track_id.tolist())
    links = {event.track_id: event.fields.get("continues") for event in tracks.events}
    by_row = [links[track_id] for track_id in tracks.track_id.tolist()]
    assert [3, None, 1] == by_row
    assert 3 == tracker.active
    assert 0 == len(tracks.coasting.track_id)
    ends = {event.track_id: event.fields for event in tracker.finish()}
    assert sorted(by_row, key=str) == sorted((fields.get("continues") for fields in ends.values()), key=str)
    assert {1000.0} == {fields["first_s"] for fields in ends.values()}
    assert {1} == {fields["frames"] for fields in ends.values()}


def test_who_comes_back_late_is_new(options):
    chosen = options(reassociate_s=5.0)
    tracker = make_tracker(chosen, previous=first_epoch(chosen), gap_s=2.0)
    for frame in range(100):
        assert () == tracker.update(Detections.empty(), frame * FRAME_S).events
    tracker.update(seen(at(100)), 4.0)
    tracks = tracker.update(seen(at(100)), 4.0 + FRAME_S)
    tracks = tracker.update(seen(at(100)), 4.0 + 2 * FRAME_S)
    assert "continues" not in (tracks.events or tracker.finish())[0].fields


@pytest.mark.parametrize(("window_s", "gap_s"), [(0.0, 0.0), (0.0, 1.0), (5.0, 5.1), (5.0, None), (5.0, -1.0)])
def test_outside_the_window_nobody_is_remembered(options, window_s, gap_s):
    chosen = options(reassociate_s=window_s)
    if window_s == 0 and gap_s == 0:
        gap_s = 0.04
    tracker = make_tracker(chosen, previous=first_epoch(chosen), gap_s=gap_s)
    events = tracker.update(seen(at(100)), 0.0).events
    assert [None] == [event.fields.get("continues") for event in events]


def test_a_walker_is_expected_further_on(options):
    chosen = options(reassociate_s=3.0, max_lost_s=1.0)
    before = make_tracker(chosen)
    for frame in range(50):
        before.update(seen(at(100 + 4 * frame)), frame * FRAME_S)
    before.finish()
    tracker = make_tracker(chosen, previous=before, gap_s=0.8)
    events = tracker.update(seen(at(100 + 4 * (49 + 20))), 0.0).events
    assert [1] == [event.fields.get("continues") for event in events]


def test_many_are_remembered_as_well(options):
    chosen = options(reassociate_s=3.0)
    places = [at(100 + 60 * (n % 20), 100 + 100 * (n // 20)) for n in range(150)]
    before = make_tracker(chosen)
    for frame in range(5):
        before.update(seen(*places), frame * FRAME_S)
    before.finish()
    tracker = make_tracker(chosen, previous=before, gap_s=1.0)
    events = tracker.update(seen(*places), 7.0).events
    assert list(range(1, 151)) == sorted(event.fields["continues"] for event in events)
