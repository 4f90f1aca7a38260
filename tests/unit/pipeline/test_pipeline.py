"""The pipeline as a whole, on stations of the kit."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from streamdet.errors import ConfigError, SourceLost
from streamdet.frames import Detections, Event, Frame, Result
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import Stream
from streamdet.pipeline.turns import Queued
from streamdet.sinks.contract import StreamStatus
from streamdet.sources.push import PushSource
from streamdet.testing import FakeDetector, ListSink, ManualClock, SyntheticSource


def test_every_frame_of_a_recorded_stream_comes_out_once_and_in_order() -> None:
    sink, source = ListSink(), SyntheticSource(frames=200)
    pipeline = Pipeline([sink])
    pipeline.add("one", Stream(source, (FakeDetector(),)))
    report = pipeline.run()
    assert 0 == report.exit_code
    assert list(range(200)) == [result.frame.index for result in sink.of("one")]
    assert 0 == source.leases


def test_four_streams_keep_their_order_with_two_detectors_each() -> None:
    sink = ListSink()
    detectors = (FakeDetector("a", ("car",)), FakeDetector("b", ("plate",)))
    pipeline = Pipeline([sink], cores=3)
    sources = [SyntheticSource(frames=100) for _ in range(4)]
    for number, source in enumerate(sources):
        pipeline.add(f"s{number}", Stream(source, detectors))
    report = pipeline.run()
    for number in range(4):
        results = sink.of(f"s{number}")
        assert list(range(100)) == [result.frame.index for result in results]
        assert ["car", "plate"] == sorted(results[0].detections.name(row) for row in range(2))
    assert all(balance.balanced for balance in report.sinks.values())
    assert [0] * 4 == [source.leases for source in sources]


def test_a_class_that_two_engines_share_is_asked_for_by_its_name_or_by_its_engine() -> None:
    detectors = (FakeDetector("a", ("car", "bus")), FakeDetector("b", ("car",)))
    for classes, wanted in (({"car"}, ["a/car", "b/car"]), ({"b/car"}, ["b/car"]), ({"bus"}, [])):
        sink = ListSink()
        pipeline = Pipeline([sink])
        pipeline.add("one", Stream(SyntheticSource(frames=1), detectors, classes=frozenset(classes)))
        pipeline.run()
        found = sink.results[0].detections
        assert wanted == sorted(found.name(row) for row in range(len(found)))


def test_the_same_engine_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="same engine twice"):
        Pipeline().add("one", Stream(SyntheticSource(frames=1), (FakeDetector("a"), FakeDetector("a"))))


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    pipeline = Pipeline([ListSink()])
    pipeline.add("one", Stream(SyntheticSource(frames=5), (FakeDetector(),)))
    pipeline.run()
    assert before == set(threading.enumerate())


def test_a_live_stream_that_breaks_off_comes_back_in_a_new_epoch() -> None:
    sink = ListSink()
    source = SyntheticSource(frames=30, live=True, lose_at={10: "refused", 20: "ended"})
    with ManualClock() as clock:
        pipeline = Pipeline([sink], clock=clock)
        pipeline.add("cam", Stream(source, (FakeDetector(),), stale_s=60))
        report = pipeline.run()
    assert 3 == source.opens
    assert {0, 1, 2} == {result.frame.epoch for result in sink.results}
    status = report.streams[0]
    assert 30 == status.captured == status.emitted + status.dropped
    assert ["refused", "ended"] == [
        event.fields["cause"] for event in sink.events if event.fields.get("state") == "backoff"
    ]


def test_a_recorded_source_that_is_lost_fails_the_run() -> None:
    pipeline = Pipeline([ListSink()])
    pipeline.add("one", Stream(SyntheticSource(frames=9, lose_at={5: "codec"}), (FakeDetector(),)))
    report = pipeline.run()
    assert 3 == report.exit_code
    assert ("one",) == report.failed_streams
    assert 5 == report.streams[0].emitted


@pytest.mark.parametrize("live", [True, False])
def test_a_stream_can_be_stopped_in_the_middle(live: bool) -> None:
    sink = ListSink()
    pipeline = Pipeline([sink], limits=Limits(drain_s=5))

    def stop_at_20(number: int) -> None:
        time.sleep(0.001)
        if number == 20:
            pipeline.stop()

    source = SyntheticSource(frames=1000, live=live, before_read=stop_at_20)
    pipeline.add("one", Stream(source, (FakeDetector(),)))
    report = pipeline.run()
    status = report.streams[0]
    assert status.captured < 1000
    assert status.captured == status.emitted + status.dropped
    assert 0 == source.leases


def test_streams_come_and_go_fifty_times_and_the_others_do_not_notice() -> None:
    sink = ListSink()
    detector = FakeDetector()
    pipeline = Pipeline([sink], cores=2)
    gate = threading.Event()

    def at_the_end(number: int) -> None:
        if number == 999:
            gate.wait(30)

    steady = SyntheticSource(frames=1000, before_read=at_the_end)
    pipeline.add("steady", Stream(steady, (detector,)))
    visitors = [SyntheticSource(frames=10_000, live=bool(number % 2)) for number in range(50)]

    def visit() -> None:
        for number, source in enumerate(visitors):
            pipeline.add(f"visitor{number}", Stream(source, (detector,)))
            time.sleep(0.005)
            pipeline.remove(f"visitor{number}")
        gate.set()

    visiting = threading.Thread(target=visit)
    pipeline.start()
    visiting.start()
    visiting.join()
    report = pipeline.run()
    assert list(range(1000)) == [result.frame.index for result in sink.of("steady")]
    assert [0] * 51 == [source.leases for source in (steady, *visitors)]
    assert all(status.captured == status.emitted + status.dropped for status in report.streams)
    assert "visitor" not in pipeline.meter.text()


def test_a_sink_that_never_returns_is_detached_and_the_rest_goes_on() -> None:
    class Hanging(ListSink):
        def write(self, item: object) -> None:
            hang.wait(20)

    hang = threading.Event()
    good, bad = ListSink("good"), Hanging("bad")
    pipeline = Pipeline([good, bad], limits=Limits(give_up_s=0.3))
    pipeline.add("one", Stream(SyntheticSource(frames=50), (FakeDetector(),)))
    report = pipeline.run()
    hang.set()
    assert ("bad",) == report.failed_sinks
    assert 4 == report.exit_code
    assert 50 == len(good.results)
    assert all(books.balanced for books in report.sinks.values())


def test_a_session_that_never_returns_is_replaced_and_its_frame_is_unknown() -> None:
    hang = threading.Event()

    def slow_at_five(frame: Frame) -> Detections:
        if frame.index == 5:
            hang.wait(20)
        return Detections.empty(("thing",))

    sink = ListSink()
    pipeline = Pipeline([sink], limits=Limits(inference_deadline_s=0.3), cores=2)
    pipeline.add("one", Stream(SyntheticSource(frames=20), (FakeDetector(found=slow_at_five),)))
    report = pipeline.run()
    hang.set()
    assert list(range(20)) == [result.frame.index for result in sink.results]
    assert [5] == [result.frame.index for result in sink.results if result.detections is None]
    assert "inference_deadline" == sink.results[5].unknown_reason
    assert 1 == report.streams[0].unknown


def test_a_detector_that_is_slow_by_its_nature_is_waited_for() -> None:
    def slow(frame: Frame) -> Detections:
        time.sleep(0.6)
        return Detections.empty(("thing",))

    detector = FakeDetector(found=slow)
    detector.least_deadline_s = 30.0  # type: ignore[attr-defined]
    sink = ListSink()
    pipeline = Pipeline([sink], limits=Limits(inference_deadline_s=0.1), cores=1)
    pipeline.add("one", Stream(SyntheticSource(frames=2), (detector,)))
    pipeline.run()
    assert [True, True] == [result.detections is not None for result in sink.results]


def test_a_live_stream_drops_what_it_cannot_do_and_a_recorded_one_does_not() -> None:
    def slow(frame: Frame) -> Detections:
        time.sleep(0.005)
        return Detections.empty(("thing",))

    sink = ListSink()
    pipeline = Pipeline([sink], cores=1)
    detector = FakeDetector(found=slow)
    pipeline.add("live", Stream(SyntheticSource(frames=100, live=True), (detector,)))
    pipeline.add("file", Stream(SyntheticSource(frames=100), (detector,)))
    pipeline.run()
    assert 100 == len(sink.of("file"))
    assert 0 < len(sink.of("live")) < 100
    dropped = pipeline.meter.value("streamdet_frames_dropped_total", stream="live", reason="superseded")
    assert 100 == len(sink.of("live")) + dropped


def test_max_fps_thins_a_stream_by_its_own_time() -> None:
    sink = ListSink()
    pipeline = Pipeline([sink])
    pipeline.add("one", Stream(SyntheticSource(frames=100, fps=25), (FakeDetector(),), max_fps=5))
    report = pipeline.run()
    assert 20 == len(sink.results)
    assert 80 == report.streams[0].dropped


def test_a_queue_plays_so_many_at_a_time_and_tells_when_each_is_done() -> None:
    sink, detector, done = ListSink(), FakeDetector(), []
    most_at_once = 0
    pipeline = Pipeline([sink])

    def make() -> Stream:
        nonlocal most_at_once
        most_at_once = max(most_at_once, len(pipeline.status()) + 1)
        return Stream(SyntheticSource(frames=20), (detector,))

    def note(name: str, status: StreamStatus) -> None:
        done.append((name, status.emitted, len(sink.of(name))))

    pipeline.queue((Queued(f"clip{number}", make) for number in range(7)), at_once=2, on_done=note)
    report = pipeline.run()
    assert [(f"clip{number}", 20, 20) for number in range(7)] == sorted(done)
    assert 2 == most_at_once
    assert 7 == len(report.streams)


@pytest.mark.parametrize(("required", "exit_code"), [(True, 3), (False, 0)])
def test_a_queued_stream_that_cannot_be_made_costs_only_itself(required: bool, exit_code: int) -> None:
    def gone() -> Stream:
        raise SourceLost("not_found", "there is no such file")

    sink = ListSink()
    pipeline = Pipeline([sink])
    pipeline.queue(
        [
            Queued("gone", gone, required=required),
            Queued("there", lambda: Stream(SyntheticSource(frames=5), (FakeDetector(),))),
        ],
        at_once=1,
    )
    report = pipeline.run()
    assert 5 == len(sink.of("there"))
    assert exit_code == report.exit_code
    assert (("gone",) if required else ()) == report.failed_streams


def test_an_item_that_poisons_a_sink_is_passed_over_and_counted() -> None:
    class Squeamish(ListSink):
        def write(self, item: Result | Event) -> None:
            if isinstance(item, Result) and item.frame.index == 7:
                raise ValueError("out of range")
            super().write(item)

    sink = Squeamish()
    with ManualClock() as clock:
        pipeline = Pipeline([sink], clock=clock)
        pipeline.add("one", Stream(SyntheticSource(frames=20), (FakeDetector(),)))
        report = pipeline.run()
    assert [number for number in range(20) if number != 7] == [result.frame.index for result in sink.results]
    assert (1, True) == (report.sinks["list"].failed, report.sinks["list"].balanced)
    assert 0 == report.exit_code


def test_rows_that_are_no_numbers_never_reach_a_record() -> None:
    def broken(frame: Frame) -> Detections:
        xyxy = np.array([[0, 0, 9, 9], [0, np.nan, 9, 9], [0, 0, 9, 9]], np.float32)
        return Detections(xyxy, np.array([0.9, 0.8, np.inf], np.float32), np.zeros(3, np.int32), ("thing",))

    sink = ListSink()
    pipeline = Pipeline([sink])
    pipeline.add("one", Stream(SyntheticSource(frames=3), (FakeDetector(found=broken),)))
    pipeline.run()
    assert [1, 1, 1] == [len(result.detections or ()) for result in sink.results]


class SlowSink(ListSink):
    """Takes its time with every result."""

    def __init__(self, seconds: float) -> None:
        super().__init__("slow", accepts="results")
        self._seconds = seconds

    def write(self, item: Result | Event) -> None:
        time.sleep(self._seconds)
        super().write(item)


@pytest.mark.parametrize("streams", [1, 6])
def test_recorded_streams_wait_for_a_slow_sink_and_lose_nothing_on_the_way_to_it(streams: int) -> None:
    sink = SlowSink(0.004)
    sink.needs_picture = True  # a short queue, shorter than what six streams have in flight
    pipeline = Pipeline([], loop=sink)
    for number in range(streams):
        pipeline.add(f"s{number}", Stream(SyntheticSource(frames=15), (FakeDetector(),)))
    report = pipeline.run()
    assert (15 * streams, 0) == (len(sink.results), report.sinks["slow"].dropped)


def test_the_drains_deadline_is_for_a_stop_and_not_for_a_slow_sink_at_the_end() -> None:
    sink = SlowSink(0.2)
    pipeline = Pipeline([], loop=sink, limits=Limits(drain_s=0.1))
    pipeline.add("one", Stream(SyntheticSource(frames=4), (FakeDetector(),), tracker=None))
    assert {} == pipeline.run().lost
    assert 4 == len(sink.results)


def test_a_stop_wakes_a_stream_that_waits_for_the_users_own_program() -> None:
    sink, source = ListSink(), PushSource("own", recorded=True)
    pipeline = Pipeline([sink])
    pipeline.add("own", Stream(source, (FakeDetector(),)))
    pipeline.start()
    for number in range(10):
        source.push(np.full((8, 8, 3), number, np.uint8), pts_s=number / 10)
    while len(sink.results) < 10:
        time.sleep(0.005)
    began_s = time.monotonic()
    report = pipeline.finish()
    assert time.monotonic() - began_s < 2
    assert 10 == report.streams[0].emitted


def test_a_source_that_turns_out_to_be_a_recording_loses_no_frame() -> None:
    class Playlist(SyntheticSource):
        def open(self) -> None:
            super().open()
            self.live = False

    def slow(frame: Frame) -> Detections:
        time.sleep(0.002)
        return Detections.empty(("thing",))

    sink, source = ListSink(), Playlist(frames=100, live=True)
    pipeline = Pipeline([sink])
    pipeline.add("one", Stream(source, (FakeDetector(found=slow),)))
    report = pipeline.run()
    assert (100, 0) == (report.streams[0].emitted, report.streams[0].dropped)
