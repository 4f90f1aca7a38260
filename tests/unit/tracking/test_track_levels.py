"""An engine whose scores are low is followed as one whose scores are high."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_boxes import at, crowd, seen

from streamdet.config.assemble import Streams
from streamdet.config.models import RunOptions
from streamdet.frames import Detections
from streamdet.testing import FakeDetector
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker
from streamdet.tracking.contract import Tracker
from streamdet.tracking.levels import USUAL, Levels

SCORES = st.floats(0, 1)


@given(threshold=SCORES, scores=st.lists(SCORES, min_size=2, max_size=20))
def test_levels_keep_the_order_and_both_ends(threshold: float, scores: list[float]) -> None:
    levels, rows = Levels([threshold]), np.sort([0.0, *scores, 1.0])
    got = levels.of(rows, np.zeros(len(rows), np.int32))
    assert [0.0, 1.0] == pytest.approx([got[0], got[-1]])
    assert (np.diff(got) >= -1e-12).all()


def test_each_class_has_its_own_threshold() -> None:
    got = Levels([0.2, 0.9]).of(np.array([0.2, 0.9]), np.array([0, 1]))
    assert [USUAL, USUAL] == pytest.approx(got.tolist())


def fainter(found: Detections, threshold: float) -> Detections:
    """What an engine says that is as good, but less sure of itself: its F1 is best at `threshold`."""
    score = found.score.astype(np.float64)
    below = score * threshold / USUAL
    above = 1 - (1 - score) * (1 - threshold) / (1 - USUAL)
    return replace(found, score=np.where(score < USUAL, below, above).astype(np.float32))


@pytest.mark.parametrize("options", [ByteTrackOptions(), OcSortOptions(), SortOptions()], ids=lambda each: each.kind)
def test_faint_scores_give_the_same_tracks_and_events_tell_the_scores_as_they_came(options) -> None:
    sure, faint = make_tracker(options, thresholds=(USUAL,) * 2), make_tracker(options, thresholds=(0.25,) * 2)
    told: list[tuple[float, float]] = []
    for number, found in enumerate(islice(crowd(40), 120)):
        one = sure.update(found, number / 25)
        other = faint.update(fainter(found, 0.25), number / 25)
        assert one.track_id.tolist() == other.track_id.tolist()
        pairs = zip(one.events, other.events, strict=True)
        told += [(a.fields["score"], b.fields["score"]) for a, b in pairs if a.kind == "track_started"]
    assert len(told) >= 40
    assert [1 - (1 - sure) * 0.75 / 0.4 for sure, _ in told] == pytest.approx([faint for _, faint in told], abs=1e-3)


def begins_at(tracker: Tracker, score: float) -> bool:
    """Whether an object of that score is followed from its second frame on."""
    tracker.update(Detections.empty(), 0.0)
    for number in range(1, 4):
        answer = tracker.update(seen(at(100), score=score), number / 25)
    return bool(answer.track_id[0] > 0)


def tracker_of(**run: object) -> Tracker:
    """The tracker that a run gets, with an engine whose own threshold is 0.25."""
    options = RunOptions.model_validate(
        {"streams": {"one": {"source": "synthetic:bars"}}, "detect": [{"engine": "fake"}], **run}
    )
    workshop = Streams(options, load=lambda detect: FakeDetector(names=("person",)))
    made = workshop.make("one", options.streams["one"], "synthetic:bars").tracker
    assert made is not None
    return made(None, None)


def test_a_young_engine_begins_tracks_at_its_own_level() -> None:
    assert begins_at(tracker_of(), 0.5)
    assert not begins_at(tracker_of(), 0.3)


def test_the_score_that_was_asked_for_comes_before_the_engines_own() -> None:
    assert not begins_at(tracker_of(score=0.6), 0.5)
    assert not begins_at(tracker_of(class_scores={"person": 0.6}), 0.5)
    assert begins_at(tracker_of(score=0.1), 0.4)


def test_a_trackers_own_settings_win_over_both() -> None:
    assert not begins_at(tracker_of(track={"kind": "bytetrack", "score_high": 0.6}), 0.5)
    assert begins_at(tracker_of(track={"kind": "bytetrack", "max_lost_s": 2.0}), 0.5)
