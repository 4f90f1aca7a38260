"""What the documents say about records and sinks is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from made_results import make_result
from record_schema import SCHEMAS, assert_conforms, records_of, validator

from streamdet.frames import Detections, Event, TimeSource, TrackState
from streamdet.records import event_record, result_record, to_line

DOCS = SCHEMAS.parent


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_the_schemas_are_valid_schemas(path):
    Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_the_schema_knows_every_time_source_and_track_state():
    schema = validator("streamdet.result/1").schema
    assert list(get_args(TimeSource)) == schema["properties"]["time_source"]["enum"]
    states = [state.name.lower() for state in TrackState if state != TrackState.NONE]
    assert states == schema["$defs"]["object"]["properties"]["track_state"]["enum"]


def test_the_examples_in_the_document_conform():
    decoder = json.JSONDecoder()
    schemas = []
    for block in blocks("records.md", "json"):
        while block.strip():
            record, end = decoder.raw_decode(block.strip())
            assert_conforms(record)
            schemas.append(record["schema"])
            block = block.strip()[end:]
    assert ["streamdet.result/1", "streamdet.event/1", "streamdet.event/1"] == schemas


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"objects": [{"class_id": 0, "class": "a", "score": 2, "xyxy": [0, 0, 1, 1]}]},
        {"objects": [{"class_id": 0, "class": "a", "score": 0.5, "xyxy": [0, 0, 1]}]},
        {"objects": [{"class_id": 0, "class": "a", "score": 0.5, "xyxy": [0, 0, 1, 1], "track_id": 4}]},
        {"unknown_reason": "timeout"},
        {"captured_at": "yesterday"},
        {"schema": "streamdet.result/2"},
    ],
)
def test_a_result_that_is_not_as_described_is_refused(change):
    with pytest.raises(ValidationError):
        validator("streamdet.result/1").validate(result_record(make_result(0)) | change)


def test_points_of_an_engine_and_wall_times_conform():
    result = make_result(0, objects=2)
    assert result.detections is not None
    result.detections.keypoints = np.full((2, 4, 3), 0.5, np.float32)
    result.frame.captured_at = 1767225612.44
    result.frame.quality = "suspect"
    record = result_record(result)
    assert_conforms(record)
    assert ("2026-01-01T00:00:12.440Z", "suspect") == (record["captured_at"], record["quality"])
    result.detections = Detections.empty()
    result.tracks = None
    assert_conforms(result_record(result))


def test_numbers_are_written_as_short_as_they_are_meant():
    result = make_result(0, objects=1)
    assert result.detections is not None
    result.detections.xyxy = np.array([[0.1, 33.333333, 100.456, 1919.999]], np.float32)
    assert b'"score":0.93,"xyxy":[0.1,33.33,100.46,1920.0]' in to_line(result_record(result))


def test_an_event_carries_its_own_fields_and_never_a_password():
    event = Event(
        "stream_state",
        "gate",
        2,
        1.5,
        fields={
            "state": "backoff",
            "detail": "rtsp://me:secret@camera/1 refused",
            "kind": "mine",
            "box": np.array([1.5, np.nan], np.float32),
            "path": Path("/a/b"),
            "count": np.int64(3),
            "where": {"zone": ("a", 1)},
        },
    )
    record = event_record(event)
    assert_conforms(record)
    assert "stream_state" == record["kind"]
    assert "rtsp://***@camera/1 refused" == record["detail"]
    assert ([1.5, None], "/a/b", 3, {"zone": ["a", 1]}) == tuple(
        record[name] for name in ("box", "path", "count", "where")
    )
    assert record == json.loads(to_line(record))


def test_a_file_name_that_is_not_utf8_comes_back_as_it_was():
    record = result_record(make_result(0, path="caf\udce9.jpg"))
    line = to_line(record)
    assert "caf\udce9.jpg" == json.loads(line.decode("utf-8"))["file"]


def test_the_sink_of_the_document_works(tmp_path):
    [source] = blocks("add-a-sink.md", "python")
    names: dict[str, object] = {}
    exec(compile(source, "docs/add-a-sink.md", "exec", dont_inherit=True), names)
    options, kind = names["LatestOptions"], names["Latest"]
    sink = kind(options(path=tmp_path / "web" / "latest.txt"))  # type: ignore[operator]
    sink.open()
    for result in (make_result(0, objects=3), make_result(0, stream="yard", objects=1), make_result(1, known=False)):
        sink.write(result)
    sink.close()
    assert "gate 3\nyard 1\n" == (tmp_path / "web" / "latest.txt").read_text()


def test_the_reader_of_the_document_works(tmp_path):
    path = tmp_path / "records.jsonl"
    lines = [result_record(make_result(0, objects=1)), result_record(make_result(1, known=False))]
    path.write_bytes(
        b"".join(map(to_line, [*lines, event_record(Event("track_ended", "gate", 0, 1.0, fields={"track_id": 1}))]))
    )
    assert 3 == len(records_of(path))
    [source] = blocks("records.md", "python")
    names: dict[str, object] = {}
    exec(compile(source, "docs/records.md", "exec", dont_inherit=True), names)
    assert [("gate", 0.0, "plate", [2.25, 6.25, 18.25, 26.25])] == list(names["objects"](path))  # type: ignore[operator]
