"""Which objects of a stream count, and by what names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streamdet.frames import Detections, Tracks, TrackState
from streamdet.infer.contract import Detector
from streamdet.pipeline.joining import class_table
from streamdet.pipeline.stream import Polygon, Stream


class Selection:
    """Which objects count: classes and places before the tracker, scores after it."""

    def __init__(self, stream: Stream, names: tuple[str, ...]) -> None:
        self._ignore = stream.ignore
        self._allowed: npt.NDArray[np.bool_] | None = None
        # Asked for by a name that several engines share, a class is meant of each of them.
        plain = [name for detector in stream.detectors for name in detector.names]
        if stream.classes is not None:
            self._allowed = np.array([not stream.classes.isdisjoint(both) for both in zip(names, plain, strict=True)])
        self._threshold = thresholds(stream.detectors, stream.score, stream.class_scores)

    def before_tracking(self, found: Detections) -> Detections:
        """Without unwanted classes, without what lies in an ignored area, and without numbers that are none."""
        if found.class_map is not None and self._allowed is not None:
            found = replace(found, class_map=found.class_map.only(self._allowed))
        if not len(found):
            return found
        sound = np.isfinite(found.xyxy).all(axis=1) & np.isfinite(found.score)
        if not sound.all():
            found = found.rows(sound)
        if self._allowed is not None and len(found):
            found = found.rows(self._allowed[found.class_id])
        if self._ignore and len(found):
            centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
            inside = np.zeros(len(found), np.bool_)
            for polygon in self._ignore:
                inside |= inside_polygon(centres, polygon)
            found = found.rows(~inside)
        return found

    def for_records(self, found: Detections, tracks: Tracks | None) -> tuple[Detections, Tracks | None]:
        """The rows above their threshold or on a confirmed track."""
        if not len(found):
            return found, tracks
        shown = found.score >= self._threshold[found.class_id]
        if tracks is not None:
            shown |= (tracks.track_id >= 0) & (tracks.state == TrackState.CONFIRMED)
        if shown.all():
            return found, tracks
        if tracks is not None:
            tracks = Tracks(
                tracks.track_id[shown], tracks.smooth_xyxy[shown], tracks.state[shown], tracks.coasting, tracks.events
            )
        return found.rows(shown), tracks


def thresholds(
    detectors: Sequence[Detector], score: float | None, class_scores: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """From which score on a detection of each class counts: as was said of the class, of all, or by its engine."""
    names = class_table(detectors)[1]
    plain = [name for detector in detectors for name in detector.names]
    recommended = [np.full(max(len(detector.names), 1), detector.score, np.float32) for detector in detectors]
    found = np.concatenate(recommended)
    if score is not None:
        found[:] = score
    for row, both in enumerate(zip(names, plain, strict=True)):
        for name in both:
            if name in class_scores:
                found[row] = class_scores[name]
                break
    return found


def inside_polygon(points: npt.NDArray[np.floating], polygon: Polygon) -> npt.NDArray[np.bool_]:
    """[N, 2] → [N]: an upward ray crosses the outline an odd number of times."""
    inside = np.zeros(len(points), np.bool_)
    x, y = points[:, 0], points[:, 1]
    corners = list(polygon)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
