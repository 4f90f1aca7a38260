"""A camera that never stops: memory stays flat, ids stay exact, and a day is not slower than its first minute."""

from __future__ import annotations

import gc
import os
import resource
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from moving_boxes import crowd

from streamdet.tracking import columns as c
from streamdet.tracking.catalogue import ByteTrackOptions, OcSortOptions, make_tracker

FPS = 25


def resident_bytes() -> int:
    """What this process holds now."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_for(hours: float, options) -> tuple[int, int, int]:
    """Bytes held after a twentieth of the time and at the end, and tracks begun."""
    loop = list(islice(crowd(12, 4), 500))  # looped with a jump, so that tracks end and begin for ever
    tracker = make_tracker(options)
    frames = int(hours * 3600 * FPS)
    early = 0
    begun = ended = 0
    for frame in range(frames):
        tracks = tracker.update(loop[frame % 500], frame / FPS)
        for event in tracks.events:
            if event.kind == "track_started":
                begun += 1
            else:
                ended += 1
        if frame == frames // 20:
            gc.collect()
            early = resident_bytes()
    gc.collect()
    late = resident_bytes()
    ended += len(tracker.finish())
    assert begun == ended
    assert tracker._columns.capacity <= 264
    assert tracker._columns.capacity == tracker._columns.tally[c.N_FREE] + tracker._columns.tally[c.N_ENDED]
    slots = np.concatenate(
        [
            tracker._columns.lists[c.FREE, : tracker._columns.tally[c.N_FREE]],
            tracker._columns.lists[c.ENDED, : tracker._columns.tally[c.N_ENDED]],
        ]
    )
    assert len(slots) == len(set(slots.tolist()))
    return early, late, begun


@pytest.mark.parametrize("options", [ByteTrackOptions(), OcSortOptions()], ids=lambda options: options.kind)
def test_an_hour_in_fast_motion_leaves_memory_flat(options):
    early, late, begun = run_for(1.0, options)
    assert begun > 500
    assert late - early < 2**20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_in_fast_motion_leaves_memory_flat():
    early, late, begun = run_for(24.0, ByteTrackOptions())
    assert begun > 10_000
    assert late - early < 2**20
