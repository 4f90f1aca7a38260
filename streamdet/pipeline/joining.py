"""Several detectors on one frame: their answers as one, under one table of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamdet.frames import Detections
from streamdet.infer.contract import Detector
from streamdet.masks import ClassMap


def class_table(detectors: Sequence[Detector]) -> tuple[list[int], tuple[str, ...]]:
    """Class ids of several engines index one table; a name that two engines share is told apart by the engine."""
    offsets: list[int] = []
    names: list[str] = []
    for detector in detectors:
        offsets.append(len(names))
        others = {name for other in detectors if other is not detector for name in other.names}
        names += [f"{detector.name}/{name}" if name in others else name for name in detector.names]
    return offsets, tuple(names)


def join(answers: Sequence[Detections | None], offsets: Sequence[int], names: tuple[str, ...]) -> Detections:
    """All answers in one, best first; `offsets` are where each detector's classes begin in `names`."""
    found = [answer for answer in answers if answer is not None]
    if len(found) == 1:
        return found[0]
    joined = Detections(
        np.concatenate([each.xyxy for each in found]),
        np.concatenate([each.score for each in found]),
        np.concatenate([each.class_id + offset for each, offset in zip(found, offsets, strict=True)], dtype=np.int32),
        names,
        _joined_keypoints(found),
        _joined_masks(found),
        sum(each.truncated for each in found),
        _joined_maps(found, offsets, names),
    )
    return joined.rows(np.argsort(-joined.score, kind="stable"))


def _joined_keypoints(found: list[Detections]) -> npt.NDArray[np.float32] | None:
    """[N, P, 3] of several detectors; zeros where one has fewer points, or none."""
    known = [each.keypoints for each in found if each.keypoints is not None]
    if not known:
        return None
    joined = np.zeros((sum(map(len, found)), max(points.shape[1] for points in known), 3), np.float32)
    for row, each in zip(_starts(found), found, strict=True):
        if each.keypoints is not None:
            joined[row : row + len(each), : each.keypoints.shape[1]] = each.keypoints
    return joined


def _joined_masks(found: list[Detections]) -> npt.NDArray[np.float32] | None:
    """[N, h, w] of several detectors, in the finest of their sizes; zeros where one has none."""
    known = [each.masks for each in found if each.masks is not None]
    if not known:
        return None
    height, width = (max(masks.shape[axis] for masks in known) for axis in (1, 2))
    joined = np.zeros((sum(map(len, found)), height, width), np.float32)
    for row, each in zip(_starts(found), found, strict=True):
        if each.masks is not None:
            down = np.arange(height) * each.masks.shape[1] // height
            across = np.arange(width) * each.masks.shape[2] // width
            joined[row : row + len(each)] = each.masks[:, down][:, :, across]
    return joined


def _joined_maps(found: list[Detections], offsets: Sequence[int], names: tuple[str, ...]) -> ClassMap | None:
    """One map of several, in the finest of their sizes; where two say something, the first one is believed."""
    maps = [(each.class_map, offset) for each, offset in zip(found, offsets, strict=True) if each.class_map is not None]
    if not maps:
        return None
    height, width = (max(each.labels.shape[axis] for each, _ in maps) for axis in (0, 1))
    joined = np.zeros((height, width), np.uint8)
    for each, offset in maps:
        labels = each.at((width, height))
        joined = np.where((joined == 0) & (labels > 0), labels + offset, joined)
    return ClassMap(joined, names)


def _starts(found: list[Detections]) -> list[int]:
    """The first row of each."""
    return [sum(map(len, found[:number])) for number in range(len(found))]
