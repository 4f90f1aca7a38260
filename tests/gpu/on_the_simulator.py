"""Pictures prepared on the GPU, in numba's CUDA simulator, on the pretended GPU: run by test_on_the_simulator.py.

The simulator knows neither memory of others nor streams: both are lent to it here. A kernel that is launched is queued
in the fake driver's stream and runs when somebody waits, so that what it reads must be there by then and not before.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_pictures import OnGpu
from fake_cuda import FakeDriver
from fake_onnxruntime import FakeOnnxRuntime
from made_pictures import picture_of
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from pretended import Machine, MakeMachine
from tiny_engines import parrot

from streamdet.errors import EndOfStream, InferenceFailed
from streamdet.frames import Detections, Frame, Result
from streamdet.infer import cuda_preprocess
from streamdet.infer.detector import EngineDetector, EngineWorker, load_detector
from streamdet.infer.gpu_input import GpuWarp
from streamdet.infer.preprocess import Warp
from streamdet.infer.shelf import open_engine
from streamdet.manifest import Nms
from streamdet.picture import Picture
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import Stream
from streamdet.testing import ListSink

one_at_a_time = threading.Lock()
FORMATS = ("nv12", "p010", "yuv420p", "rgb24", "gray")


class NumbasStream:
    def __init__(self, handle: int) -> None:
        self.handle = handle


class Kernel:
    """A simulated kernel whose launches wait in a stream of the fake driver."""

    def __init__(self, driver: FakeDriver, simulated: Any) -> None:
        self._driver, self._simulated = driver, simulated

    def __getitem__(self, launch: Any) -> Any:
        grid, block, stream = launch

        def queue(*arguments: Any) -> None:
            assert 0 == self._driver._ready(stream.handle), "the stream is of the GPU that is current"
            self._driver.enqueue(stream.handle, lambda: self.simulate(grid, block, *arguments))

        return queue

    def simulate(self, grid: Any, block: Any, *arguments: Any) -> None:
        """One at a time: the simulator knows one kernel only."""
        with one_at_a_time:
            self._simulated[grid, block](*arguments)


class Immediately(Kernel):
    """The same, for what the benchmark reads back without the fake driver; captured where a capture goes on."""

    def __getitem__(self, launch: Any) -> Any:
        grid, block, stream = launch

        def run(*arguments: Any) -> None:
            capturing = self._driver.streams[stream.handle].capturing
            if capturing is None:
                self.simulate(grid, block, *arguments)
            else:
                capturing.append(lambda: self.simulate(grid, block, *arguments))

        return run


real_kernel = cuda_preprocess._kernel


@pytest.fixture
def bench(machine: MakeMachine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = machine(devices=2)

    def as_cuda_array(thing: Any, sync: bool) -> Any:
        described = thing.__cuda_array_interface__
        assert (sync, described["typestr"], described["strides"]) == (False, "|u1", None)
        shape, (pointer, _) = described["shape"], described["data"]
        size = int(np.prod(shape))
        assert made.driver.is_device(pointer, size)
        memory = (ctypes.c_uint8 * size).from_address(pointer)
        array = FakeCUDAArray(np.frombuffer(memory, np.uint8).reshape(shape))
        array.owner = thing
        return array

    kernel = cuda_preprocess._kernel
    monkeypatch.setattr(cuda, "as_cuda_array", as_cuda_array, raising=False)
    monkeypatch.setattr(cuda, "external_stream", NumbasStream, raising=False)
    monkeypatch.setattr(cuda_preprocess, "_kernel", lambda name: Kernel(made.driver, kernel(name)))
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return parrot(tmp_path / "parrot", n_candidates=16, nms=Nms(candidates=16, max_detections=8))


@pytest.fixture(params=["tensorrt", "onnx-cuda"])
def detector(
    request: pytest.FixtureRequest, bench: Machine, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> EngineDetector:
    if request.param == "onnx-cuda":
        monkeypatch.setitem(sys.modules, "onnxruntime", FakeOnnxRuntime(bench.driver))
    return load_detector(engine, request.param)


def picture(seed: int, pixel_format: str = "nv12", rotation: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (21, 33, 3), np.uint8)
    return picture_of(pixels, pixel_format, rotation=rotation)


def on_the_cpu(engine: Path, *pictures: Picture) -> list[Detections]:
    detector = load_detector(engine, "onnx-cpu", tail="graph")
    worker = detector.worker()
    return worker.detect([Frame("s", 0, 0.0, each) for each in pictures])


def same(wanted: list[Detections], got: list[Detections]) -> None:
    assert len(wanted) == len(got)
    for one, other in zip(wanted, got, strict=True):
        assert np.array_equal(one.xyxy, other.xyxy)
        assert np.array_equal(one.score, other.score)


def prepares_on_the_gpu(worker: EngineWorker) -> bool:
    return worker._on_gpu is not None


def test_a_batch_of_surfaces_and_host_pictures_is_answered_as_on_the_cpu_and_nothing_is_copied_back(
    detector: EngineDetector, engine: Path, bench: Machine
):
    worker = detector.worker()
    assert prepares_on_the_gpu(worker)
    made = [OnGpu(bench.driver, picture(1)), OnGpu(bench.driver, picture(2, "p010", rotation=90))]
    host = [picture(3, "yuv420p"), picture(4, "rgb24", rotation=180)]
    frames = [made[0].frame(), *(Frame("h", 0, 0.0, each) for each in host), made[1].frame()]
    expected = on_the_cpu(engine, picture(1), *host, picture(2, "p010", rotation=90))
    same(expected, worker.detect(frames))
    assert [0, 0] == [each.downloads for each in made]
    worker.close()


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_each_format_is_answered_as_on_the_cpu(pixel_format: str, engine: Path, bench: Machine):
    worker = load_detector(engine, "tensorrt").worker()
    made = OnGpu(bench.driver, picture(7, pixel_format))
    same(on_the_cpu(engine, picture(7, pixel_format)), worker.detect([made.frame()]))
    assert 0 == made.downloads


def test_a_steady_state_waits_once_per_batch_and_allocates_nothing(detector: EngineDetector, bench: Machine):
    worker = detector.worker()
    frames = [OnGpu(bench.driver, picture(i)).frame() for i in range(3)]
    worker.detect(frames)
    before = bench.driver.allocated()
    bench.driver.calls.clear()
    worker.detect(frames)
    worker.detect(frames)
    assert before == bench.driver.allocated()
    assert 2 == sum("Synchronize" in call for call in bench.driver.calls)
    assert not any("Memcpy" in call and "HtoD" in call for call in bench.driver.calls)


def test_streams_of_different_sizes_that_change_places_make_room_once(
    bench: Machine, engine: Path, monkeypatch: pytest.MonkeyPatch
):
    worker = load_detector(engine, "tensorrt").worker()
    made: list[object] = []
    device_array = cuda.device_array
    monkeypatch.setattr(cuda, "device_array", lambda *shape: made.append(shape) or device_array(*shape))
    small, large = (picture_of(np.full((side, 16, 3), 90, np.uint8), "nv12") for side in (8, 20))
    frames = [Frame("s", 0, 0.0, each) for each in (small, large)]
    first = worker.detect(frames)
    worker.detect(frames[::-1])
    rooms = len(made)
    same(first, worker.detect(frames))
    same(first[::-1], worker.detect(frames[::-1]))
    assert rooms == len(made) <= 8


def test_what_a_decoder_has_not_finished_writing_is_waited_for_on_the_gpu(
    detector: EngineDetector, engine: Path, bench: Machine
):
    worker = detector.worker()
    expected = on_the_cpu(engine, picture(5))
    made, finished = OnGpu(bench.driver, picture(6)), OnGpu(bench.driver, picture(5))

    def write() -> None:
        for target, source in zip(made.picture.surface.planes, finished.picture.surface.planes, strict=True):
            ctypes.memmove(target.pointer, source.pointer, source.span_bytes)

    bench.driver.decode(0, write)
    same(expected, worker.detect([made.frame()]))


def test_a_surface_stays_until_the_run_is_over_though_its_frame_was_given_up(detector: EngineDetector, bench: Machine):
    if detector.backend_name != "tensorrt":
        pytest.skip("the fake that can be held is TensorRT's")
    worker = detector.worker()
    made = OnGpu(bench.driver, picture(1))
    bench.faults.hold = held = threading.Event()
    thread = threading.Thread(target=lambda: worker.detect([made.frame()]))
    thread.start()
    assert bench.faults.holding.wait(10)
    made.picture.release()  # the lane has given up waiting
    assert 0 == made.released
    held.set()
    thread.join()
    assert 1 == made.released


def test_a_gpu_that_is_lost_in_the_middle_fails_the_batch_and_keeps_no_picture(
    detector: EngineDetector, bench: Machine
):
    worker = detector.worker()
    made = [OnGpu(bench.driver, picture(i)) for i in range(2)]
    worker.detect([each.frame() for each in made])
    bench.driver.lose(0)
    with pytest.raises(InferenceFailed, match="ILLEGAL_ADDRESS"):
        worker.detect([each.frame() for each in made])
    for each in made:
        each.picture.release()
    assert [1, 1] == [each.released for each in made]
    worker.close()


def test_a_picture_on_another_gpu_goes_by_way_of_the_host(bench: Machine, engine: Path):
    detector = load_detector(engine, "tensorrt")
    worker = detector.worker()
    made = OnGpu(bench.driver, picture(9), gpu=1)
    same(on_the_cpu(engine, picture(9)), worker.detect([made.frame()]))
    assert 1 == made.downloads


def test_crops_of_a_surface_are_cut_where_it_lies_and_those_of_a_host_picture_on_the_cpu(
    detector: EngineDetector, bench: Machine
):
    session = detector._backend.session()
    width, height = detector.manifest.input.size
    crops = GpuWarp((width, height), "rgb", session)
    made = OnGpu(bench.driver, picture(11))
    corners = np.array([[3, 2], [28, 4], [30, 18], [2, 17]], np.float32)
    nowhere = np.zeros((4, 2), np.float32)
    both = [(made.picture, corners), (picture(12), corners), (made.picture, nowhere)]
    assert [True, True, False] == crops.write(both)
    session.stream.wait()
    for i, seed in enumerate((11, 12)):
        expected = np.zeros((3, height, width), np.uint8)
        Warp((width, height), "rgb").write(picture(seed), corners, expected)
        got = np.frombuffer(ctypes.string_at(session.place(i).pointer, expected.size), np.uint8)
        assert np.abs(got.reshape(expected.shape).astype(int) - expected).max() <= 1
    assert 0 == made.downloads
    session.close()


def test_everything_is_given_back(detector: EngineDetector, bench: Machine):
    worker = detector.worker()
    made = OnGpu(bench.driver, picture(1))
    worker.detect([made.frame()])
    made.picture.release()
    worker.close()
    del worker
    gc.collect()
    assert {} == bench.driver.device
    assert {} == bench.driver.streams


def test_the_benchmarks_kernels_and_waits_are_measured(bench: Machine, engine: Path, monkeypatch: pytest.MonkeyPatch):
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", path)
    benchmark = sys.modules["gpu_benchmark"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    kept = []

    def on_the_gpu(cuda: Any, picture: Picture) -> tuple[Picture, list[Any]]:
        kept.append(OnGpu(bench.driver, picture))
        return kept[-1].picture, []

    def once(cuda: Any, stream: Any, seconds: float, queue_work: Any) -> float:
        queue_work()
        return 1e-3

    shapes = {name: picture(3, name) for name in ("nv12", "p010", "yuv420p")}
    monkeypatch.setattr(benchmark, "pictures", lambda: shapes)
    monkeypatch.setattr(benchmark, "on_the_gpu", on_the_gpu)
    monkeypatch.setattr(benchmark, "on_gpu_s", once)
    monkeypatch.setattr(cuda_preprocess, "_kernel", lambda name: Immediately(bench.driver, real_kernel(name)))
    monkeypatch.setattr(benchmark.captured_s, "__defaults__", (2,))
    monkeypatch.setattr(benchmark, "RUNS_COUNTED", 1)
    opened = open_engine(engine)
    rows = list(benchmark.kernels(opened, 0.001))
    assert [0, 0, 0] == [row.value for row in rows if "letterbox" in row.what and "farthest" in row.what]
    assert 3 == sum("of copy bandwidth" in row.what and row.met is not None for row in rows)
    monkeypatch.setattr(cuda_preprocess, "_kernel", lambda name: Kernel(bench.driver, real_kernel(name)))
    (row,) = benchmark.synchronisation(opened)
    assert (1.0, True) == (row.value, row.met)


class DecodesOnGpu:
    """A recorded source whose pictures lie on the GPU that it is told; at most `limit` at a time, then on the host."""

    name, live, deadline_s, duration_s = "s", False, 5.0, None

    def __init__(self, driver: FakeDriver, frames: int, limit: int) -> None:
        self._driver, self._frames, self._limit = driver, frames, limit
        self.made: list[OnGpu] = []
        self.place: Any = None
        self.number = 0

    @property
    def decoder(self) -> str | None:
        return None if self._gpu is None else f"cuda:{self._gpu}"

    def open(self) -> None:
        self._gpu = self.place()

    def read(self) -> Frame:
        if self.number == self._frames:
            raise EndOfStream
        self.number += 1
        lent = len(self.made) - sum(each.released for each in self.made)
        if lent >= self._limit:
            return Frame("s", self.number, self.number / 25, picture(self.number))
        self.made.append(OnGpu(self._driver, picture(self.number), self._gpu))
        return self.made[-1].frame(self.number)

    def suspects(self) -> int:
        return 0

    def close(self) -> None: ...


class Pixels(ListSink):
    """A sink that looks at pixels."""

    needs_picture = True

    def write(self, item: Any) -> None:
        super().write(item)
        if isinstance(item, Result):
            assert np.array_equal(item.frame.picture.planes[0], picture(item.frame.index).planes[0])
            assert item.frame.picture.host().size == item.frame.size


@pytest.mark.parametrize("limit", [1, 100])
def test_a_run_decodes_prepares_and_infers_on_the_gpu_and_gives_every_surface_back(
    limit: int, bench: Machine, engine: Path
):
    detector = load_detector(engine, "tensorrt", all_gpus=True)
    assert ((0, 1), True) == (detector.gpus, detector.takes_surfaces)
    sink = Pixels()
    pipeline = Pipeline([ListSink("other"), sink], cores=2, limits=Limits(inference_deadline_s=100.0))
    source = DecodesOnGpu(bench.driver, 12, limit)
    source.place = lambda: pipeline.place("s", [detector])
    pipeline.add("s", Stream(source, (detector,)))
    report = pipeline.run()
    assert 0 == report.exit_code
    assert 12 == len(sink.of("s"))
    assert all(result.detections is not None for result in sink.of("s"))
    assert [1] * len(source.made) == [each.released for each in source.made]
    assert [1] * len(source.made) == [each.downloads for each in source.made], "one copy for all who want pixels"
    assert 1 == pipeline.meter.value("streamdet_stream_decoder", stream="s", decoder="cuda:0")
    expected = on_the_cpu(engine, *(picture(result.frame.index) for result in sink.of("s")))
    for wanted, result in zip(expected, sink.of("s"), strict=True):
        above = wanted.score >= detector.score
        assert np.array_equal(wanted.xyxy[above], result.detections.xyxy)
    detector.close()
