"""A suite on the shelf: detect, read and vote by one name, with a real engine that reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from record_schema import records_of
from tiny_engines import parrot_reader, plate_for_parrots

from streamdet.config.assemble import Streams, open_reader
from streamdet.config.models import ReadOptions, RunOptions
from streamdet.errors import ConfigError, EngineMismatch, ManifestInvalid
from streamdet.frames import Detections, Frame
from streamdet.manifest import SuiteManifest, dump_manifest
from streamdet.picture import Picture
from streamdet.pipeline.pipeline import Pipeline
from streamdet.plates.vote import VoteOptions
from streamdet.sinks.jsonl import Jsonl, JsonlOptions
from streamdet.testing import FakeDetector, ListSink, SyntheticSource

TEXT = "SB07XYZ"


class Gate(SyntheticSource):
    """A plate that drifts over a dark picture."""

    def read(self) -> Frame:
        frame = super().read()
        plane = np.zeros(frame.picture.planes[0].shape, np.uint8)
        plane[60:100, 40 + frame.index : 228 + frame.index] = plate_for_parrots(TEXT)
        plane.flags.writeable = False
        inner = frame.picture
        frame.picture = Picture((plane,), "gray", on_release=inner.release)
        return frame


def found(frame: Frame) -> Detections:
    left = 40.0 + frame.index
    xyxy = np.array([[left, 60, left + 188, 100], [5, 5, 60, 30]], np.float32)
    points = np.array([[left, 60, 1], [left + 188, 60, 1], [left + 188, 100, 1], [left, 100, 1]], np.float32)
    keypoints = np.stack([points, np.zeros_like(points)])
    return Detections(xyxy, np.array([0.9, 0.8], np.float32), np.array([0, 1], np.int32), ("plate", "car"), keypoints)


def finder() -> FakeDetector:
    return FakeDetector("finder", ("plate", "car"), found)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shelf"
    parrot_reader(folder / "parrot-reader")
    suite = SuiteManifest(
        name="gate", kind="suite", detect="finder", read="parrot-reader", on=("plate",), vote={"settle_s": 0.5}
    )
    (folder / "gate").mkdir()
    (folder / "gate" / "manifest.json").write_text(dump_manifest(suite))
    monkeypatch.setenv("STREAMDET_ENGINES", str(folder))
    return folder


def options_of(**more: object) -> RunOptions:
    return RunOptions.model_validate(
        {"streams": {"one": {"source": "synthetic:bars"}}, "detect": {"engine": "gate"}, **more}
    )


def stages_of(options: RunOptions) -> tuple[object, ...]:
    workshop = Streams(options, load=lambda detect: finder())
    stream = options.streams["one"]
    try:
        return workshop.read_of("one", stream, workshop.detectors_of("one", stream))
    finally:
        workshop.close()


def test_the_whole_road_with_a_suite_and_a_real_reader(shelf: Path, tmp_path: Path) -> None:
    options = options_of()
    workshop = Streams(options, load=lambda detect: finder())
    sink, path = ListSink(), tmp_path / "records.jsonl"
    source = Gate(frames=40, size=(320, 160))
    stream = workshop.make("one", options.streams["one"], "synthetic:bars")
    stream.source = source
    pipeline = Pipeline([sink, Jsonl(JsonlOptions(path=path))], on_finished=workshop.close)
    pipeline.add("one", stream)
    assert 0 == pipeline.run().exit_code
    assert 0 == source.leases
    records = [record for record in records_of(path) if "objects" in record]
    plates = [item for record in records for item in record["objects"] if item["class"] == "plate"]
    cars = [item for record in records for item in record["objects"] if item["class"] == "car"]
    assert {TEXT} == {item["text"] for item in plates}
    assert "final" == plates[-1]["text_state"]
    assert not any("text" in car for car in cars)
    assert ["plate_final", "plate_left"] == [each.kind for each in sink.events if each.kind.startswith("plate")]


def test_a_suite_brings_its_reader_its_classes_and_its_vote(shelf: Path) -> None:
    (stage,) = stages_of(options_of())
    assert "parrot-reader" == stage.reader.name
    assert frozenset({"plate"}) == stage.on
    assert VoteOptions(settle_s=0.5) == stage.vote


def test_what_the_user_says_of_the_vote_wins_and_the_rest_stays(shelf: Path) -> None:
    (stage,) = stages_of(options_of(vote={"countries": ["RO"]}))
    assert VoteOptions(settle_s=0.5, countries=("RO",)) == stage.vote


def test_no_reader_is_asked_for_with_an_empty_list(shelf: Path) -> None:
    assert () == stages_of(options_of(read=[]))


def test_readers_are_named_with_the_classes_that_they_read(shelf: Path) -> None:
    read = [{"engine": "parrot-reader", "on": "plate", "vote": {"countries": ["DE"]}, "crops_per_frame": 2}]
    (stage,) = stages_of(options_of(read=read))
    assert (2, ("DE",)) == (stage.crops_per_frame, stage.vote.countries)
    with pytest.raises(ConfigError, match="does not know"):
        stages_of(options_of(read=[{"engine": "parrot-reader", "on": "ship"}]))


def test_a_detector_is_no_reader(shelf: Path) -> None:
    manifest = json.loads((shelf / "parrot-reader" / "manifest.json").read_text())
    manifest |= {"kind": "segmenter", "outputs": {"mask": "core"}, "classes": ["ink"]}
    (shelf / "parrot-reader" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineMismatch, match="does not read"):
        open_reader(ReadOptions(engine="parrot-reader", backend="onnx-cpu"))


def test_a_vote_that_a_suite_has_wrong_is_said(shelf: Path) -> None:
    path = shelf / "gate" / "manifest.json"
    path.write_text(path.read_text().replace('"settle_s": 0.5', '"settle_s": -1'))
    with pytest.raises(ManifestInvalid, match="vote is invalid"):
        stages_of(options_of())


def test_privacy_without_a_key_is_refused_before_anything_runs(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMDET_PLATE_KEY", raising=False)
    with pytest.raises(ConfigError, match="secret key"):
        stages_of(options_of(privacy="hash"))
