"""Readers in the pipeline: crops, the vote, and a frame's way through both."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from record_schema import assert_conforms, records_of

from streamdet.frames import Detections, Event, Frame, PlateText, Result
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import ReadStage, Stream
from streamdet.plates.privacy import Veil
from streamdet.plates.reader import Look, PlateView
from streamdet.plates.vote import VoteOptions
from streamdet.records import event_record, result_record
from streamdet.sinks.jsonl import Jsonl, JsonlOptions
from streamdet.testing import FakeDetector, FakeReader, ListSink, ManualClock, Saboteur, SyntheticSource
from streamdet.tracking.bytetrack import ByteTrackOptions
from streamdet.tracking.catalogue import make_tracker

TEXT = "SB07XYZ"


def plate_at(frame: Frame) -> Detections:
    """One plate that drifts slowly, with its four corners."""
    x, y = 100.0 + frame.index, 60.0
    corners = np.array([(x, y), (x + 94, y), (x + 94, y + 20), (x, y + 20)], np.float32)
    points = np.concatenate([corners, np.full((4, 1), 0.9, np.float32)], axis=1)
    return Detections(
        np.array([[x, y, x + 94, y + 20]], np.float32),
        np.array([0.9], np.float32),
        np.zeros(1, np.int32),
        ("plate",),
        points[None],
    )


def stream_of(source: SyntheticSource, reader: object, *, tracked: bool = True, **stage: object) -> Stream:
    tracker = (
        (lambda previous, gap_s: make_tracker(ByteTrackOptions(), previous=previous, gap_s=gap_s)) if tracked else None
    )
    read = ReadStage(reader, frozenset({"plate"}), **stage)  # type: ignore[arg-type]
    return Stream(source, (FakeDetector("finder", ("plate",), plate_at),), tracker=tracker, read=(read,))


def played(reader: object, frames: int = 20, **stage: object) -> tuple[ListSink, Pipeline, SyntheticSource]:
    sink, source = ListSink(), SyntheticSource(frames=frames, size=(320, 200))
    pipeline = Pipeline([sink], cores=2)
    pipeline.add("gate", stream_of(source, reader, **stage))
    report = pipeline.run()
    assert 0 == report.exit_code
    assert list(range(frames)) == [result.frame.index for result in sink.of("gate")]
    assert 0 == source.leases
    return sink, pipeline, source


def events_of(sink: ListSink, kind: str) -> list[Event]:
    return [event for event in sink.events if event.kind == kind]


def text_of(result: Result) -> str | None:
    assert result.readings is not None
    return None if result.readings.text[0] is None else result.readings.text[0].reveal()


def test_a_plate_is_read_in_every_frame_and_final_when_it_has_left() -> None:
    reader = FakeReader(lambda frame, view: TEXT)
    sink, pipeline, _ = played(reader)
    assert [TEXT] * 20 == [text_of(result) for result in sink.results]
    assert ["single", "provisional"] == [sink.results[i].readings.state[0] for i in (0, 1)]
    (final,) = events_of(sink, "plate_final")
    assert PlateText(TEXT) == final.fields["text"]
    assert "final" == final.fields["state"]
    assert reader.crops == pipeline.meter.value("streamdet_reads_total", stream="gate", outcome="read")
    assert reader.crops < 20, "what is well known is read now and then only"
    assert 0 == reader.open_workers


def test_its_records_keep_the_schema() -> None:
    sink, _, _ = played(FakeReader(lambda frame, view: TEXT))
    record = result_record(sink.results[5])
    assert_conforms(record)
    (item,) = record["objects"]
    assert (TEXT, "provisional") == (item["text"], item["text_state"])
    assert 4 == len(item["keypoints"])
    event = event_record(events_of(sink, "plate_final")[0])
    assert_conforms(event)
    assert TEXT == event["text"]


def test_a_plate_in_view_for_long_is_final_before_it_leaves() -> None:
    sink, _, _ = played(FakeReader(lambda frame, view: TEXT), frames=80)
    states = [result.readings.state[0] for result in sink.results]
    assert "final" == states[-1]
    assert 50 <= states.index("final") <= 65  # two seconds at 25 frames each, seen when it is next read
    assert ["settled"] == [event.fields["reason"] for event in events_of(sink, "plate_final")]
    assert 1 == len(events_of(sink, "plate_left"))


def test_the_text_of_a_row_does_not_flicker_with_the_frames() -> None:
    def said(frame: Frame, view: PlateView) -> str:
        return TEXT if frame.index % 3 else "SB07XVZ"

    sink, _, _ = played(FakeReader(said), frames=40)
    texts = [text_of(result) for result in sink.results]
    assert [TEXT] * 35 == texts[5:]


def test_pictures_without_tracks_are_read_one_by_one() -> None:
    sink, _, _ = played(FakeReader(lambda frame, view: TEXT), frames=3, tracked=False)
    assert [TEXT] * 3 == [text_of(result) for result in sink.results]
    assert ["single"] * 3 == [result.readings.state[0] for result in sink.results]


@pytest.mark.parametrize("times", [1, 3])
def test_a_reader_that_raises_costs_texts_and_no_frame(times: int) -> None:
    reader = FakeReader(lambda frame, view: TEXT)
    sabotaged = Saboteur(reader, "read", 1, times=times, inside=("worker",))
    sink, pipeline, _ = played(sabotaged)
    assert [None] * times == [text_of(result) for result in sink.results[:times]]
    assert TEXT == text_of(sink.results[-1])
    assert times == pipeline.meter.value("streamdet_reads_total", stream="gate", outcome="failed")
    assert times == pipeline.meter.value("streamdet_inference_failures_total", engine="fake-reader", reason="failed")


def test_every_third_call_of_the_reader_may_fail() -> None:
    calls = iter(range(1000))

    def said(frame: Frame, view: PlateView) -> str:
        if next(calls) % 3 == 2:
            raise RuntimeError("now and then")
        return TEXT

    sink, _, _ = played(FakeReader(said), frames=30)
    assert [TEXT] * 30 == [text_of(result) for result in sink.results]


def test_a_frame_waits_for_its_crops_until_their_deadline() -> None:
    waiting, gate = threading.Event(), threading.Event()

    def said(frame: Frame, view: PlateView) -> str:
        if frame.index == 2:
            waiting.set()
            gate.wait(20)
        return TEXT

    sink, source = ListSink(), SyntheticSource(frames=6, size=(320, 200))
    clock = ManualClock()
    pipeline = Pipeline([sink], cores=2, clock=clock, limits=Limits(inference_deadline_s=1000))
    pipeline.add("gate", stream_of(source, FakeReader(said), deadline_s=1.0))
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    assert waiting.wait(20)
    while len(sink.results) < 3:
        clock.advance(0.5)
        time.sleep(0.01)
    assert TEXT == text_of(sink.results[2]), "the text stays as it was"
    gate.set()
    while thread.is_alive():
        clock.advance(0.1)
        time.sleep(0.002)
    assert list(range(6)) == [result.frame.index for result in sink.results]
    assert pipeline.meter.value("streamdet_reads_total", stream="gate", outcome="failed") >= 1
    assert 0 == source.leases
    assert all(status.captured == status.emitted for status in pipeline.status())


def test_a_stuck_reader_is_replaced() -> None:
    gate = threading.Event()
    stuck: list[int] = []

    def said(frame: Frame, view: PlateView) -> str:
        if not stuck:
            stuck.append(frame.index)
            gate.wait(30)
        return TEXT

    sink, source = ListSink(), SyntheticSource(frames=10, size=(320, 200))
    with ManualClock() as clock:
        pipeline = Pipeline([sink], cores=2, clock=clock, limits=Limits(inference_deadline_s=2))
        pipeline.add("gate", stream_of(source, FakeReader(said), deadline_s=60))
        pipeline.run()
    gate.set()
    assert 10 == len(sink.results)
    assert TEXT == text_of(sink.results[-1])
    assert 1 == pipeline.meter.value("streamdet_inference_failures_total", engine="fake-reader", reason="deadline")


def test_more_plates_than_crops_take_turns_and_the_rest_is_counted() -> None:
    def many(frame: Frame) -> Detections:
        left = np.arange(6, dtype=np.float32) * 110
        xyxy = np.stack([left, left * 0 + 50, left + 94, left * 0 + 70], axis=1)
        return Detections(xyxy, np.full(6, 0.9, np.float32), np.zeros(6, np.int32), ("plate",))

    def said(frame: Frame, view: PlateView) -> str:
        return f"B12AB{'ABCDEF'[int(view.corners[0, 0]) // 110]}"

    sink, source = ListSink(), SyntheticSource(frames=20, size=(700, 200))
    pipeline = Pipeline([sink], cores=2)
    stream = stream_of(source, FakeReader(said), crops_per_frame=2)
    stream.detectors = (FakeDetector("finder", ("plate",), many),)
    pipeline.add("gate", stream)
    pipeline.run()
    texts = [text.reveal() for text in sink.results[-1].readings.text]
    assert [f"B12AB{'ABCDEF'[number]}" for number in range(6)] == texts
    assert pipeline.meter.value("streamdet_reads_total", stream="gate", outcome="passed_over") > 0


def test_a_plate_that_is_too_small_is_not_read_and_the_metrics_say_so() -> None:
    reader = FakeReader()
    _, pipeline, _ = played(reader, vote=VoteOptions(min_height_px=30))
    assert 0 == reader.crops
    assert 20 == pipeline.meter.value("streamdet_reads_total", stream="gate", outcome="too_small")
    assert 20 == pipeline.meter.value("streamdet_plate_height_px_count", stream="gate")


def test_with_privacy_the_text_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def said(frame: Frame, view: PlateView) -> Look | str:
        if frame.index == 3:
            raise RuntimeError("now and then")
        return TEXT

    path = tmp_path / "records.jsonl"
    veil = Veil("blur", b"0123456789abcdef")
    sink, source = ListSink(), SyntheticSource(frames=20, size=(320, 200))
    pipeline = Pipeline([sink, Jsonl(JsonlOptions(path=path))], cores=2)
    watch = tmp_path / "watch.txt"
    watch.write_text(f"{TEXT}, the boss\n")
    pipeline.add("gate", stream_of(source, FakeReader(said), veil=veil, vote=VoteOptions(watch=watch, evidence="crop")))
    pipeline.run()
    written = path.read_text()
    records = records_of(path)
    assert any(record["kind"] == "plate_watched" for record in records if "kind" in record)
    shown = {item["text"] for record in records for item in record.get("objects") or [] if "text" in item}
    assert 1 == len(shown)
    assert next(iter(shown)).startswith("hmac:")
    everything = [written, caplog.text, pipeline.meter.text(), repr(sink.results), repr(sink.events)]
    assert [] == [part for part in everything if TEXT in part]
    assert all(len(result.private_xyxy) >= 1 for result in sink.results)
    assert "crop_png" not in written
    assert json.loads(written.splitlines()[0])


def test_without_privacy_logs_and_metrics_are_still_free_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink, pipeline, _ = played(FakeReader(lambda frame, view: TEXT))
    assert TEXT not in caplog.text + pipeline.meter.text() + repr(sink.results) + repr(sink.events)
    assert TEXT not in f"{PlateText(TEXT)} {PlateText(TEXT)!r}"


def test_a_reader_may_take_long_to_start_and_no_look_is_lost() -> None:
    reader, opened = FakeReader(lambda frame, view: TEXT), threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(reader, name)

        def worker(self, threads: int = 1) -> object:
            opened.wait(20)
            return reader.worker(threads)

    sink, source = ListSink(), SyntheticSource(frames=5, size=(320, 200))
    clock = ManualClock()
    pipeline = Pipeline([sink], cores=2, clock=clock)
    pipeline.add("gate", stream_of(source, Slow(), deadline_s=0.5))
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    for _ in range(20):
        clock.advance(0.2)
        time.sleep(0.005)
    assert [] == sink.results
    opened.set()
    thread.join(20)
    assert [TEXT] * 5 == [text_of(result) for result in sink.results]


def test_points_that_are_none_cost_the_texts_and_no_frame() -> None:
    def odd(frame: Frame) -> Detections:
        found = plate_at(frame)
        found.keypoints = np.zeros((1, 4), np.float32)
        return found

    sink, source = ListSink(), SyntheticSource(frames=5, size=(320, 200))
    pipeline = Pipeline([sink], cores=2)
    stream = stream_of(source, FakeReader(lambda frame, view: TEXT))
    stream.detectors = (FakeDetector("finder", ("plate",), odd),)
    pipeline.add("gate", stream)
    assert 0 == pipeline.run().exit_code
    assert 5 == len(sink.results)
    assert 0 == source.leases
