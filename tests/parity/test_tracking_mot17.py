"""Golden figures on the second halves of MOT17: one default setting, all frames and many lost. TrackEval counts."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from streamdet.evaluation.replay import LOSSES, kept_frames, load_recordings, replay
from streamdet.evaluation.tracks import score_tracks
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, SortOptions, make_tracker


class Golden(NamedTuple):
    """What was measured; shares hold to 0.2, switches to a tenth."""

    hota: float
    mota: float
    idf1: float
    switches: int


@pytest.fixture(scope="module")
def recordings(shared_data):
    return load_recordings(shared_data / "mot17_half" / "MOT17-val")


def score(recordings, options, *, clock="stream", loss=None, seed=0):
    sequences = {}
    for index, one in enumerate(recordings):
        kept = None if loss is None else kept_frames(LOSSES[loss], len(one.frames), 100 * seed + index)
        sequences[one.name] = replay(one, make_tracker(options), kept=kept, clock=clock).sequence
    return score_tracks(sequences)[-1]


def check(golden, got):
    for what in ("hota", "mota", "idf1"):
        assert getattr(golden, what) == pytest.approx(getattr(got, what), abs=0.2)
    assert golden.switches == pytest.approx(got.switches, rel=0.1)


@pytest.mark.parametrize(
    ("options", "clock", "golden"),
    [
        (ByteTrackOptions(), "stream", Golden(68.30, 78.24, 80.33, 165)),
        (ByteTrackOptions(), "counted", Golden(68.07, 78.26, 79.77, 163)),
        (OcSortOptions(), "stream", Golden(67.19, 76.59, 78.34, 251)),
        (SortOptions(), "stream", Golden(64.40, 75.98, 72.55, 331)),
    ],
    ids=["bytetrack", "bytetrack counting frames", "ocsort", "sort"],
)
def test_all_frames_score_as_measured(recordings, options, clock, golden):
    check(golden, score(recordings, options, clock=clock))


def test_plain_overlap_in_counted_time_is_no_worse_than_the_published_byte_track(recordings):
    """67.68 HOTA, 78.04 MOTA and 79.16 IDF1 were published for these detections; measured here: 68.11, 77.85, 79.92."""
    got = score(recordings, ByteTrackOptions(similarity="iou"), clock="counted")
    check(Golden(68.11, 77.85, 79.92, 171), got)
    assert got.hota > 67.68 - 0.3
    assert got.mota > 78.04 - 0.5
    assert got.idf1 > 79.16 - 0.3


@pytest.mark.parametrize(
    ("loss", "golden"),
    [
        ("half at random", Golden(68.05, 77.60, 79.06, 216)),
        ("bursts", Golden(66.97, 77.98, 77.38, 219)),
        ("every sixth only", Golden(64.59, 71.57, 74.59, 266)),
    ],
)
def test_lost_frames_score_as_measured_and_better_than_counting(recordings, loss, golden):
    got = score(recordings, ByteTrackOptions(), loss=loss)
    check(golden, got)
    counted = score(recordings, ByteTrackOptions(), loss=loss, clock="counted")
    assert got.hota > counted.hota
    assert got.switches < 0.9 * counted.switches
