"""Several GPUs: streams are placed where they cost least, and a GPU that fails leaves its work to the others."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamdet.errors import InferenceFailed
from streamdet.frames import Detections, Frame
from streamdet.metrics import Meter
from streamdet.picture import DevicePlane, Picture, Surface
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.gpus import Gpus
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import Stream
from streamdet.testing import FakeDetector, ListSink, ManualClock, SyntheticSource


def gpus_of(*numbers: int) -> Gpus:
    return Gpus(numbers, "engine", Meter())


def places(gpus: Gpus, streams: int) -> Counter[int | None]:
    return Counter(gpus.place(f"s{number}") for number in range(streams))


def test_streams_are_spread_evenly_before_anything_was_measured():
    assert {0: 3, 1: 3, 2: 2} == places(gpus_of(0, 1, 2), 8)


def test_a_gpu_that_was_measured_three_times_as_fast_gets_three_times_as_many():
    gpus = gpus_of(0, 1)
    gpus.answered(0, 8, 0.024)
    gpus.answered(1, 8, 0.008)
    assert {0: 2, 1: 6} == places(gpus, 8)


def test_a_stream_stays_where_it_was_until_it_is_over():
    gpus = gpus_of(0, 1)
    first = gpus.place("a")
    assert first == gpus.place("a")
    gpus.place("b")
    gpus.forget("a")
    assert first == gpus.place("c")


def test_a_gpu_goes_out_of_service_after_failures_in_a_row_and_its_streams_are_placed_anew():
    gpus = gpus_of(0, 1)
    homes = {name: gpus.place(name) for name in "abcd"}
    for _ in range(4):
        assert not gpus.failed(1)
    gpus.answered(1, 1, 0.01)  # it works all the same
    assert [False] * 4 + [True] == [gpus.failed(1) for _ in range(5)]
    assert (0,) == gpus.in_service
    assert {0} == {gpus.place(name) for name in homes}
    assert not gpus.failed(1)


def test_gpus_too_fast_to_measure_share_the_streams():
    gpus = gpus_of(0, 1)
    gpus.answered(0, 4, 0.0)
    assert [0, 1, 0, 1] == [gpus.place(name) for name in "abcd"]


def test_the_last_gpu_is_never_given_up():
    gpus = gpus_of(0)
    assert not any(gpus.failed(0) for _ in range(50))
    assert (0,) == gpus.in_service


def test_an_engine_on_no_gpu_places_nothing():
    gpus = gpus_of()
    gpus.answered(None, 1, 1.0)
    assert not gpus.failed(None)
    assert None is gpus.place("a")


class OnGpus(FakeDetector):
    """A detector on pretended GPUs; `behave` is called with the GPU's number before each batch and each start."""

    device = "cuda"
    takes_surfaces = True

    def __init__(self, gpus: tuple[int, ...], behave: Callable[[int, str], None] = lambda gpu, what: None) -> None:
        super().__init__(batch_limit=4)
        self.gpus = gpus
        self._behave = behave
        self.seen: list[tuple[int, int | None]] = []  # the GPU that answered, and the one that the picture lay on

    def worker(self, threads: int = 1, gpu: int | None = None):  # type: ignore[no-untyped-def]
        assert gpu in self.gpus
        self._behave(gpu, "start")
        inner = super().worker(threads)
        outer = self

        class Worker:
            def detect(self, frames: Sequence[Frame]) -> list[Detections]:
                outer._behave(gpu, "detect")
                outer.seen += [(gpu, frame.picture.device) for frame in frames]
                return inner.detect(frames)

            def close(self) -> None:
                inner.close()

        return Worker()


class Decoded(SyntheticSource):
    """Pictures that lie on the GPU that `place` names when the source is opened; None: on the host."""

    place: Callable[[], int | None] = staticmethod(lambda: None)

    def open(self) -> None:
        super().open()
        self._gpu = self.place()

    def read(self) -> Frame:
        frame = super().read()
        if self._gpu is None:
            return frame
        plane = DevicePlane(0, (48, 64), 64, np.dtype(np.uint8), self._gpu)
        host = frame.picture
        moved = Picture(Surface((plane,), lambda: host.planes), "gray", on_release=host.release)
        return replace(frame, picture=moved)


def run(
    detector: OnGpus, streams: int, frames: int = 40, clock: Clock | None = None
) -> tuple[Pipeline, ListSink, list[Decoded]]:
    sink = ListSink()
    pipeline = Pipeline([sink], cores=2, clock=clock)
    sources = [Decoded(f"s{number}", frames) for number in range(streams)]
    for source in sources:
        source.place = lambda source=source: pipeline.place(source.name, [detector])
        pipeline.add(source.name, Stream(source, (detector,)))
    report = pipeline.run()
    assert None is report.error
    assert 0 == report.exit_code
    return pipeline, sink, sources


def unknown(sink: ListSink) -> int:
    return sum(result.detections is None for result in sink.results)


def test_each_picture_is_looked_at_on_the_gpu_that_it_lies_on():
    detector = OnGpus((0, 1, 2))
    _, sink, sources = run(detector, 6)
    assert 240 == len(sink.results)
    assert 0 == unknown(sink)
    assert 240 == len(detector.seen)
    assert all(answered == lies_on for answered, lies_on in detector.seen)
    assert 0 == sum(source.leases for source in sources)


def test_a_stream_with_a_few_pictures_on_the_host_keeps_its_gpu():
    class NowAndThen(Decoded):
        def read(self) -> Frame:
            home, self._gpu = self._gpu, None if self._index % 3 == 0 else self._gpu
            try:
                return super().read()
            finally:
                self._gpu = home

    detector, sink = OnGpus((0, 1)), ListSink()
    pipeline = Pipeline([sink], cores=2)
    for number in range(2):
        source = NowAndThen(f"s{number}", 60)
        source.place = lambda number=number: number
        pipeline.add(source.name, Stream(source, (detector,)))
    assert 0 == pipeline.run().exit_code
    assert {(0, 0), (1, 1)} == {pair for pair in detector.seen if pair[1] is not None}
    assert 120 == len(sink.results)


def test_where_a_stream_is_decoded_is_told_anew_after_each_connection():
    class Falls(SyntheticSource):
        """On the GPU first, after the loss on the CPU."""

        @property
        def decoder(self) -> str:
            return "cuda:1" if self.opens == 1 else "cpu"

    with ManualClock() as clock:
        pipeline = Pipeline([ListSink()], clock=clock)
        pipeline.add("s", Stream(Falls("s", 20, live=True, lose_at={10: "stalled"}), (FakeDetector(),), max_frames=15))
        pipeline.run()
    told = [pipeline.meter.value("streamdet_stream_decoder", stream="s", decoder=name) for name in ("cuda:1", "cpu")]
    assert [0, 1] == told


def test_pictures_on_the_host_are_taken_by_whichever_gpu_is_free():
    def slow_on_the_first(gpu: int, what: str) -> None:
        time.sleep(0.02 if gpu == 0 and what == "detect" else 0.001)

    detector = OnGpus((0, 1), slow_on_the_first)
    detector.takes_surfaces = False
    _, sink, _ = run(detector, 2, 100)
    answered = Counter(gpu for gpu, _ in detector.seen)
    assert 200 == len(sink.results)
    assert answered[0] < answered[1]


@pytest.mark.parametrize("what", ["start", "detect"])
def test_a_gpu_that_fails_again_and_again_takes_its_streams_to_the_others(what: str, caplog: pytest.LogCaptureFixture):
    healthy_batches = iter(range(5))

    def fail(gpu: int, doing: str) -> None:
        if gpu == 1 and doing == what and (what == "start" or next(healthy_batches, None) is None):
            raise InferenceFailed("CUDA failed", got="CUDA_ERROR_ILLEGAL_ADDRESS")
        while gpu == 0 and what == "start" and "out of service" not in caplog.text:
            time.sleep(0.001)  # else the healthy one may have done all the work before the fifth start failed

    detector = OnGpus((0, 1), fail)
    with caplog.at_level(logging.ERROR), ManualClock() as clock:
        pipeline, sink, sources = run(detector, 4, 200, clock)
    assert 800 == len(sink.results)
    assert unknown(sink) <= 5 * 4 + 4  # five batches, and at most one more that was under way
    if what == "detect":  # one that never started may be out of service before a stream has opened on it
        assert (0, 1) in Counter(detector.seen), "what lies on the lost GPU is taken by the other"
    assert 0 == sum(source.leases for source in sources)
    in_service = [pipeline.meter.value("streamdet_engine_gpu_in_service", engine="fake", gpu=gpu) for gpu in "01"]
    assert [1, 0] == in_service
    assert 5 <= pipeline.meter.value("streamdet_inference_failures_total", engine="fake", reason="failed")
    assert 1 == caplog.text.count("GPU 1 fails again and again and is out of service; its streams go to GPU 0")
    assert (0,) == pipeline._crews.of(detector).gpus.in_service


def test_a_gpu_that_hangs_is_left_to_itself():
    forever = threading.Event()

    def hang(gpu: int, what: str) -> None:
        if gpu == 1 and what == "detect":
            forever.wait(20)

    detector = OnGpus((0, 1), hang)
    try:
        sink = ListSink()
        pipeline = Pipeline([sink], cores=2, limits=Limits(inference_deadline_s=0.2, drain_s=1.0))
        for number in range(4):
            source = Decoded(f"s{number}", 30)
            source.place = lambda source=source: pipeline.place(source.name, [detector])
            pipeline.add(source.name, Stream(source, (detector,)))
        pipeline.run()
        assert 120 == len(sink.results)
        assert (0,) == pipeline._crews.of(detector).gpus.in_service
        assert 5 <= pipeline.meter.value("streamdet_inference_failures_total", engine="fake", reason="deadline")
    finally:
        forever.set()


def test_a_machine_whose_every_gpu_fails_to_start_ends_the_run_and_says_why():
    def fail(gpu: int, what: str) -> None:
        raise InferenceFailed("CUDA failed", got="CUDA_ERROR_OUT_OF_MEMORY")

    detector = OnGpus((0, 1), fail)
    with ManualClock() as clock:
        pipeline = Pipeline([ListSink()], limits=Limits(drain_s=0.5), clock=clock)
        pipeline.add("s", Stream(Decoded("s", 10), (detector,)))
        report = pipeline.run()
    assert 3 == report.exit_code
    assert "OUT_OF_MEMORY" in str(report.error)
