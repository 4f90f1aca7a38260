"""Result and Event → versioned records, the rows of a JSONL file. Their JSON Schemas are in docs/."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from streamdet.errors import redact
from streamdet.frames import Event, PlateText, Readings, Result, TrackState
from streamdet.masks import ClassMap, runs_of, runs_pasted

RESULT_SCHEMA = "streamdet.result/1"
EVENT_SCHEMA = "streamdet.event/1"

_STATE_NAMES = {int(state): state.name.lower() for state in TrackState}


def result_record(result: Result) -> dict[str, Any]:
    """One frame's record; `objects` is None where the answer is unknown, [] where nothing was found."""
    frame = result.frame
    width, height = frame.size
    record: dict[str, Any] = {"schema": RESULT_SCHEMA, "stream": frame.stream}
    if frame.path is not None:
        record["file"] = frame.path
    record |= {
        "epoch": frame.epoch,
        "frame": frame.index,
        "pts_s": round(frame.pts_s, 6),
        "captured_at": wall_time(frame.captured_at),
        "time_source": frame.time_source,
        "width": width,
        "height": height,
        "objects": _objects(result),
    }
    if result.detections is not None and result.detections.class_map is not None:
        record["regions"] = _regions(result.detections.class_map, frame.size)
    if frame.quality != "good":
        record["quality"] = frame.quality
    if result.unknown_reason is not None:
        record["unknown_reason"] = redact(result.unknown_reason)
    return record


def _objects(result: Result) -> list[dict[str, Any]] | None:
    found, tracks = result.detections, result.tracks
    if found is None:
        return None
    boxes, scores, class_ids = _rounded(found.xyxy, 2), _rounded(found.score, 4), found.class_id.tolist()
    points = None if found.keypoints is None else _rounded(found.keypoints, 2)
    track_ids, states = (None, None) if tracks is None else (tracks.track_id.tolist(), tracks.state.tolist())
    objects: list[dict[str, Any]] = []
    for row, class_id in enumerate(class_ids):
        item: dict[str, Any] = {}
        if track_ids is not None and states is not None and track_ids[row] >= 0:
            item["track_id"] = track_ids[row]
            item["track_state"] = _STATE_NAMES[states[row]]
        item["class_id"] = class_id
        item["class"] = found.name(row)
        item["score"] = scores[row]
        item["xyxy"] = boxes[row]
        if points is not None and found.keypoints is not None and found.keypoints[row].any():
            item["keypoints"] = points[row]
        if found.masks is not None and found.masks[row].any():
            item["mask"] = runs_pasted(found.masks[row], found.xyxy[row].tolist(), result.frame.size)
        objects.append(item | _written(result.readings, row))
    return objects


def _regions(class_map: ClassMap, size: tuple[int, int]) -> list[dict[str, Any]]:
    """What each class of a segmenter covers; classes that cover nothing are left out."""
    labels = class_map.at(size)
    return [
        {
            "class_id": label - 1,
            "class": class_map.names[label - 1],
            "area_ratio": round(float(np.mean(labels == label)), 6),
            "mask": runs_of((labels == label).view(np.uint8)),
        }
        for label in np.unique(labels).tolist()
        if label
    ]


def _written(readings: Readings | None, row: int) -> dict[str, Any]:
    """What was read on an object."""
    text = None if readings is None else readings.text[row]
    if readings is None or text is None:
        return {}
    score = round(float(readings.score[row]), 4)
    return {"text": text.reveal(), "text_score": score, "text_state": readings.state[row]}


def _rounded(values: npt.NDArray[np.float32], digits: int) -> list[Any]:
    # In float64, because 0.93 as a float32 would be written 0.9300000071525574.
    rounded: list[Any] = values.astype(np.float64).round(digits).tolist()
    return rounded


def event_record(event: Event) -> dict[str, Any]:
    """One event's record; its own fields stand after the common ones and never replace them."""
    record = {
        "schema": EVENT_SCHEMA,
        "kind": event.kind,
        "stream": event.stream,
        "epoch": event.epoch,
        "pts_s": None if event.pts_s is None else round(event.pts_s, 6),
        "captured_at": wall_time(event.captured_at),
    }
    own = {name: _plain(value) for name, value in event.fields.items() if name not in record}
    return record | own


def to_line(record: dict[str, Any]) -> bytes:
    """One line of JSON, UTF-8, newline at its end; what is not a number is null."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # A file name need not be UTF-8: its odd bytes are lone surrogates here, and this is how JSON spells those.
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace") + b"\n"


def wall_time(seconds: float | None) -> str | None:
    """Seconds since 1970 → 2026-01-01T00:00:12.440Z."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None  # a camera that claims a year without a calendar
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    """A value as JSON knows it."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PlateText):
        return value.reveal()
    if value is None or isinstance(value, bool | int):
        return value
    return redact(str(value))  # an event may quote what a server or a decoder has said
