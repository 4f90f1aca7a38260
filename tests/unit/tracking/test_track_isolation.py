"""A stream's tracks depend on that stream alone."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_boxes import crowd

from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker

FRAMES = 25
KINDS = (ByteTrackOptions(), OcSortOptions(), SortOptions())
STREAMS = [list(islice(crowd(5 + 3 * seed, seed), FRAMES)) for seed in range(4)]


def answer(tracks):
    """All that an update says, as plain values."""
    return (
        tracks.track_id.tolist(),
        tracks.state.tolist(),
        tracks.smooth_xyxy.tolist(),
        tracks.coasting.track_id.tolist(),
        tracks.coasting.xyxy.tolist(),
        tracks.events,
    )


def alone(stream, kind):
    tracker = make_tracker(kind)
    return [answer(tracker.update(found, frame / 25)) for frame, found in enumerate(STREAMS[stream])]


ALONE = {(stream, kind.kind): alone(stream, kind) for stream in range(4) for kind in KINDS}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4 * FRAMES, max_size=6 * FRAMES), st.sampled_from(KINDS))
def test_streams_in_any_interleaving_are_tracked_as_if_alone(turns, kind):
    trackers = [make_tracker(kind) for _ in STREAMS]
    told = [[] for _ in STREAMS]
    for stream in turns:
        frame = len(told[stream])
        if frame < FRAMES:
            told[stream].append(answer(trackers[stream].update(STREAMS[stream][frame], frame / 25)))
    for stream, got in enumerate(told):
        assert ALONE[stream, kind.kind][: len(got)] == got


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_streams_in_threads_of_their_own_are_tracked_as_if_alone(kind):
    told, start = {}, threading.Barrier(8)

    def work(worker):
        start.wait()
        told[worker] = [alone(worker % 4, kind) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker, rounds in told.items():
        assert all(ALONE[worker % 4, kind.kind] == got for got in rounds)


def test_an_answer_is_not_touched_by_later_updates():
    tracker = make_tracker(ByteTrackOptions())
    kept = []
    for frame, found in enumerate(STREAMS[3]):
        tracks = tracker.update(found, frame / 25)
        kept.append((tracks, answer(tracks)))
    assert all(before == answer(tracks) for tracks, before in kept)


def test_growing_room_changes_nothing():
    """Two hundred walkers outgrow the first columns at once; few at first, they outgrow them on the way."""
    at_once, on_the_way = make_tracker(ByteTrackOptions()), make_tracker(ByteTrackOptions())
    frames = list(islice(crowd(200, 9), 30))
    few = [found.rows(np.arange(min(len(found), 10))) for found in frames[:5]]
    for frame, found in enumerate(few):
        at_once.update(found, frame / 25)
        on_the_way.update(found, frame / 25)
    at_once._make_room(2000)
    for frame, found in enumerate(frames[5:], start=5):
        assert answer(at_once.update(found, frame / 25)) == answer(on_the_way.update(found, frame / 25))
