"""Everything that only a GPU can show: first whether it is right, then how fast.

    python benchmarks/gpu.py [--engine plate-detector] [--seconds 3] [--streams 1 4 16 64]

Writes docs/benchmarks-gpu.json and prints a table. What this machine lacks is skipped and called `not seen`; where a
figure has a target, the table says whether it is met. Nothing here runs without asking the driver first.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from gpu_rows import ROOT, NotSeen, Row, machine, table, verdicts

from streamdet.errors import StreamdetError
from streamdet.infer.shelf import Engine, Shelf
from streamdet.picture import Picture

RESULT = ROOT / "docs" / "benchmarks-gpu.json"
WIDTH, HEIGHT = 1920, 1080
BATCHES = (1, 4, 8, 16)
RUNS_COUNTED = 10


def main() -> None:
    """Run every section; one that fails does not keep the others from running."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--engine", default="plate-detector")
    words.add_argument("--seconds", type=float, default=3.0, help="how long each figure is measured")
    words.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16, 64])
    words.add_argument("--out", type=Path, default=RESULT)
    chosen = words.parse_args()
    engine = Shelf().open(chosen.engine)
    assert isinstance(engine, Engine), "name one engine, not a suite"
    rows: list[Row] = []
    for section, run in sections(engine, chosen.seconds, chosen.streams).items():
        try:
            rows += run()
        except NotSeen as missing:
            rows.append(Row(section, "everything", None, why=str(missing)))
        except StreamdetError as error:
            rows.append(Row(section, "everything", None, why=error.line))
        except Exception as error:  # noqa: BLE001 - on hardware that nobody has seen each section tells its own end
            rows.append(Row(section, "everything", None, why=f"failed: {type(error).__name__}: {error}"[:300]))
    rows += verdicts(rows)
    chosen.out.write_text(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(table(rows))


def sections(engine: Engine, seconds: float, streams: list[int]) -> dict[str, Callable[[], list[Row]]]:
    """What is measured, in order."""
    return {
        "kernels": lambda: list(kernels(engine, seconds)),
        "NVDEC": lambda: list(nvdec(seconds)),
        "tensorrt": lambda: list(runtime(engine, "tensorrt", seconds)),
        "onnx-cuda": lambda: list(runtime(engine, "onnx-cuda", seconds)),
        "suppression": lambda: list(suppression(engine, seconds)),
        "torch graph": lambda: list(torch_graph(engine, seconds)),
        "synchronisation": lambda: list(synchronisation(engine)),
        "whole road": lambda: list(whole_road(engine, streams)),
    }


# ---- kernels


def kernels(engine: Engine, seconds: float) -> Iterator[Row]:
    """Letterbox and crop against the CPU's, and against what copying as many bytes takes."""
    cuda = numba_cuda()
    from streamdet.infer.cuda_calls import Cuda
    from streamdet.infer.cuda_preprocess import CudaLetterbox, CudaWarp, GpuPlanes
    from streamdet.infer.preprocess import Letterbox, Warp

    wanted = engine.manifest.input
    width, height = wanted.size
    ours = Cuda().stream()
    stream = cuda.external_stream(ours.handle)
    copied = cuda.device_array(64 << 20, np.uint8)
    copy = cuda.device_array_like(copied)
    copy_s = on_gpu_s(cuda, stream, seconds, lambda: copy.copy_to_device(copied, stream=stream))
    bandwidth = 2 * copied.size / copy_s
    yield Row("kernels", "copy bandwidth, read and written", bandwidth / 1e9, "GB/s")
    for pixel_format, picture in pictures().items():
        expected = np.zeros((wanted.channels, height, width), np.uint8)
        Letterbox(wanted).write(picture, expected)
        out = cuda.to_device(np.zeros_like(expected), stream=stream)
        letterbox, planes = CudaLetterbox(wanted, stream), GpuPlanes(cuda, stream, 0)
        letterbox.write(picture, out, planes)
        apart = int(np.abs(out.copy_to_host(stream=stream).astype(int) - expected).max())
        yield Row("kernels", f"letterbox {pixel_format}: farthest from the CPU", apart, "levels", "<= 1", apart <= 1)
        there, kept = on_the_gpu(cuda, picture)
        letterbox.write(there, out, planes)
        kernel_s = captured_s(cuda, ours, stream, lambda box=letterbox, p=there, o=out, q=planes: box.write(p, o, q))
        host_s = on_gpu_s(cuda, stream, seconds, lambda box=letterbox, p=picture, o=out, q=planes: box.write(p, o, q))
        del kept
        touched = bytes_touched(letterbox, picture) + out.size
        share = touched / kernel_s / bandwidth
        yield Row("kernels", f"letterbox {pixel_format}, picture on the GPU", kernel_s * 1e6, "us")
        yield Row("kernels", f"letterbox {pixel_format}, picture on the host", host_s * 1e6, "us")
        yield Row("kernels", f"letterbox {pixel_format}: of copy bandwidth", 100 * share, "%", ">= 60", share >= 0.6)
    warp, corners = Warp((128, 32), "gray"), np.array([[600, 400], [900, 420], [890, 500], [590, 470]], np.float32)
    expected = np.zeros((1, 32, 128), np.uint8)
    warp.write(pictures()["nv12"], corners, expected)
    out = cuda.to_device(np.zeros_like(expected))
    CudaWarp(warp, stream).write(pictures()["nv12"], corners, out, GpuPlanes(cuda, stream, 0))
    apart = int(np.abs(out.copy_to_host(stream=stream).astype(int) - expected).max())
    yield Row("kernels", "crop: farthest from the CPU", apart, "levels", "<= 1", apart <= 1)


def numba_cuda() -> Any:
    """numba's CUDA where there is a GPU, after the driver answered."""
    from streamdet.infer.cuda_calls import why_not

    reason = why_not()
    if reason is not None:
        raise NotSeen(reason)
    try:
        from numba import cuda
    except ImportError as error:
        raise NotSeen(f"numba cannot be imported: {error}") from error
    if not cuda.is_available():
        raise NotSeen("numba finds no CUDA: pip install 'streamdet[gpu]'")
    return cuda


def on_gpu_s(cuda: Any, stream: Any, seconds: float, queue_work: Callable[[], object]) -> float:
    """The median time of one piece of work, by the GPU's own clock."""
    queue_work()
    stream.synchronize()
    took_s: list[float] = []
    while sum(took_s) < seconds / 4 and len(took_s) < 2000:
        start, end = cuda.event(), cuda.event()
        start.record(stream)
        queue_work()
        end.record(stream)
        end.synchronize()
        took_s.append(cuda.event_elapsed_time(start, end) / 1e3)
    return statistics.median(took_s)


def bytes_touched(letterbox: Any, picture: Picture) -> int:
    """Of the planes: whole rows, as memory comes in sectors wider than a step, but only those that are sampled."""
    from streamdet.infer.layouts import flat_planes

    plan = letterbox._on_host.plan(picture, tuple(stride for _, stride in flat_planes(picture)))
    rows = (len(np.unique(table)) for table in plan.rows)
    return sum(count * plane[0].nbytes for count, plane in zip(rows, picture.planes, strict=True))


def on_the_gpu(cuda: Any, picture: Picture) -> tuple[Picture, list[Any]]:
    """The picture as a decoder leaves it, and what keeps its memory."""
    from streamdet.picture import DevicePlane, Surface

    kept = [cuda.to_device(np.ascontiguousarray(plane)) for plane in picture.planes]
    cuda.synchronize()
    planes = tuple(
        DevicePlane(there.__cuda_array_interface__["data"][0], plane.shape, plane.strides[0], plane.dtype, 0, there)
        for there, plane in zip(kept, picture.planes, strict=True)
    )
    return Picture(Surface(planes, lambda: picture.planes), picture.format), kept


def captured_s(cuda: Any, ours: Any, stream: Any, queue_work: Callable[[], object], times: int = 64) -> float:
    """One piece of work among many of its kind in a CUDA graph: Python launches more slowly than a GPU computes."""
    graph = ours.capture(lambda: [queue_work() for _ in range(times)] and None)
    took_s = on_gpu_s(cuda, stream, 1.0, lambda: graph.launch(ours))
    graph.close()
    return took_s / times


def pictures() -> dict[str, Picture]:
    """1080p noise in the formats that decoders give."""
    random = np.random.default_rng(0)
    y = random.integers(16, 236, (HEIGHT, WIDTH), np.uint8)
    u, v = random.integers(96, 160, (2, HEIGHT // 2, WIDTH // 2), np.uint8)
    ten = [(plane.astype(np.uint16) << 8) for plane in (y, u, v)]
    return {
        "nv12": Picture((y, np.stack([u, v], axis=2)), "nv12"),
        "p010": Picture((ten[0], np.stack(ten[1:], axis=2)), "p010"),
        "yuv420p": Picture((y, u, v), "yuv420p"),
    }


# ---- decoding


def nvdec(seconds: float) -> Iterator[Row]:
    """Frames a second of one 1080p H.264 stream on the decoder, and the CPU that it costs."""
    ask_the_driver()
    import av
    from av.codec.hwaccel import HWAccel

    for what, stays in (("stays on the GPU", True), ("copied to the host", False)):
        with tempfile.TemporaryDirectory() as folder:
            path = clip(Path(folder) / "clip.mp4")
            try:
                hwaccel = HWAccel("cuda", allow_software_fallback=False, is_hw_owned=stays)
                container = av.open(str(path), hwaccel=hwaccel)
            except (OSError, RuntimeError, ValueError) as error:
                raise NotSeen(f"av opens no CUDA decoder: {error}") from error
            with container:
                began_s, cpu_s, frames = time.perf_counter(), own_cpu_s(), 0
                for _ in container.decode(video=0):
                    frames += 1
                    if time.perf_counter() - began_s > seconds:
                        break
                took_s, cpu_s = time.perf_counter() - began_s, own_cpu_s() - cpu_s
        yield Row("NVDEC", f"1080p H.264, one stream, {what}", frames / took_s, "frames/s")
        yield Row("NVDEC", f"CPU of it at 25 frames/s, {what}", 100 * cpu_s / frames * 25, "% of a core")


def ask_the_driver() -> None:
    """Raise NotSeen where no driver answers."""
    from streamdet.infer.cuda_calls import why_not

    reason = why_not()
    if reason is not None:
        raise NotSeen(reason)


def clip(path: Path, seconds: int = 20) -> Path:
    """A 1080p25 H.264 test card."""
    import av

    with av.open("testsrc2=size=1920x1080:rate=25", format="lavfi") as card, av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, 25)
        for number, frame in enumerate(card.decode(video=0)):
            if number == 25 * seconds:
                break
            frame = frame.reformat(format="yuv420p")
            frame.pts = number
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return path


# ---- inference


def runtime(engine: Engine, name: str, seconds: float) -> Iterator[Row]:
    """Whether a runtime finds what the engine finds, then latency and throughput per batch."""
    from streamdet.graft.check import check_engine
    from streamdet.infer.backends import available, open_backend

    reason = {place.name: place.why_not for place in available()}[name]
    if reason is not None:
        raise NotSeen(reason)
    for row in check_engine(engine).rows:
        if row.runtime == name:
            agrees = row.verdict == "agrees"
            yield Row(name, f"{row.precision} against its reference", float(agrees), "agrees", "1", agrees, row.why)
    for file in engine.manifest.files:
        if file.precision == "int8-u8":
            continue
        backend = open_backend(engine, name, file.precision)
        session = backend.session()
        for n in (batch for batch in BATCHES if batch <= backend.manifest.input.batch[1]):
            took_s = run_s(session, n, seconds)
            yield Row(name, f"{file.precision}, batch {n}: latency", took_s * 1e3, "ms")
            yield Row(name, f"{file.precision}, batch {n}: throughput", n / took_s, "pictures/s")
        session.close()
        backend.close()


def run_s(session: Any, n: int, seconds: float) -> float:
    """The median time of a run, copies included."""
    session.input(n)[:] = np.random.default_rng(0).integers(0, 256, session.input(n).shape, np.uint8)
    for _ in range(3):
        session.run(n)
    took_s: list[float] = []
    while sum(took_s) < seconds or len(took_s) < 10:
        started = time.perf_counter()
        session.run(n)
        took_s.append(time.perf_counter() - started)
    return statistics.median(took_s)


def suppression(engine: Engine, seconds: float) -> Iterator[Row]:
    """The tail's share: the whole plan against one that ends at the cut, at batch 16 or the largest."""
    from streamdet.infer.cut import before_cut, read_model
    from streamdet.infer.tensorrt_build import probe

    cuda, _ = probe()
    from streamdet.infer import tensorrt_calls
    from streamdet.infer.session import EngineSession
    from streamdet.infer.tensorrt_session import TensorRtNetwork

    seen = engine.manifest.input
    n = max(seen.batch[0], min(16, seen.batch[1]))
    shape = (n, seen.channels, seen.size[1], seen.size[0])
    recipe = tensorrt_calls.Recipe(seen.name, (shape, shape, shape), 3, None, False, False)
    manifest = engine.manifest.model_copy(update={"input": seen.model_copy(update={"batch": (n, n)})})
    _, path = engine.model()
    took_s = {}
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "cut.onnx"
        cut.write_bytes(before_cut(read_model(path)))
        for name, model in (("whole", path), ("cut", cut)):
            plan, _ = tensorrt_calls.build(model, recipe, b"", lambda phase, fraction: None)
            network = TensorRtNetwork(tensorrt_calls.LoadedPlan(plan, allow_host_code=False), cuda, manifest)
            # The names that the cut's plan puts out do not matter: only its time does.
            outputs = {port: port for port in network.run(n)}
            session = EngineSession(manifest.model_copy(update={"outputs": outputs}), network.buffer, network, False)
            took_s[name] = run_s(session, n, seconds)
            session.close()
    share = (took_s["whole"] - took_s["cut"]) / took_s["cut"]
    yield Row("suppression", f"of the network's time, batch {n}", 100 * share, "%", "<= 5 at batch 16", share <= 0.05)


def torch_graph(engine: Engine, seconds: float) -> Iterator[Row]:
    """Where TensorRT is missing: the engine's own operations, one for one, as a CUDA graph of torch. Not TensorRT."""
    ask_the_driver()
    from streamdet.infer.tensorrt import why_not

    if why_not() is None:
        raise NotSeen("not needed: TensorRT is here")
    try:
        import torch
        from torch_graph import Lacking, TorchGraph
    except ImportError as error:
        raise NotSeen(f"torch cannot be imported: {error}") from error
    if not torch.cuda.is_available():
        raise NotSeen("torch finds no GPU")
    from streamdet.infer.cut import read_model

    model, seen = read_model(engine.model()[1]), engine.manifest.input
    for n in sorted({max(seen.batch[0], min(batch, seen.batch[1])) for batch in BATCHES}):
        pictures = torch.randint(0, 256, (n, seen.channels, seen.size[1], seen.size[0]), dtype=torch.uint8).cuda()
        took_s = {}
        for what, outputs in (("whole", None), ("cut", ("sd_boxes", "sd_scores"))):
            try:
                took_s[what] = torch_s(torch, TorchGraph(model, "cuda", outputs), pictures, seconds)
            except Lacking as lacking:
                raise NotSeen(f"torch_graph.py lacks {lacking}") from lacking
        yield Row("torch graph", f"fp32, batch {n}: latency", took_s["whole"] * 1e3, "ms")
        share = (took_s["whole"] - took_s["cut"]) / took_s["cut"]
        yield Row("torch graph", f"suppression of the network's time, batch {n}", 100 * share, "%")


def torch_s(torch: Any, network: Any, pictures: Any, seconds: float) -> float:
    """The median time of one launch of the captured graph, by the GPU's own clock."""
    side = torch.cuda.Stream()
    with torch.inference_mode(), torch.cuda.stream(side):
        for _ in range(3):
            network(pictures)
        side.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            network(pictures)
        took_s: list[float] = []
        while sum(took_s) < seconds / 4 or len(took_s) < 10:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record(side)
            graph.replay()
            end.record(side)
            end.synchronize()
            took_s.append(start.elapsed_time(end) / 1e3)
    return statistics.median(took_s)


# ---- waiting


def synchronisation(engine: Engine) -> Iterator[Row]:
    """How often the host waits for the GPU in a batch of decoded pictures: calls of ours and of numba's, counted."""
    cuda = numba_cuda()
    from streamdet.frames import Frame
    from streamdet.infer.detector import load_detector

    detector = load_detector(engine)
    if detector.device != "cuda":
        raise NotSeen("no runtime for a GPU starts")
    worker = detector.worker()
    there, kept = on_the_gpu(cuda, pictures()["nv12"])
    frames = [Frame("s", number, 0.0, there) for number in range(min(8, detector.batch_limit))]
    worker.detect(frames)
    counted = waits(worker)
    for _ in range(RUNS_COUNTED):
        worker.detect(frames)
    del kept
    waited = len(counted) / RUNS_COUNTED
    yield Row("synchronisation", f"waits per batch on {detector.backend_name}", waited, "", "1", waited == 1)
    worker.close()
    detector.close()


def waits(worker: Any) -> list[str]:
    """From now on, the name of every call that makes the host wait."""
    counted: list[str] = []

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted_call(*arguments: Any) -> Any:
            counted.append(name)
            return call(*arguments)

        return counted_call

    calls = worker._session.cuda._calls
    for name in [name for name in calls if name.endswith("Synchronize")]:
        calls[name] = counting(name, calls[name])
    from numba.cuda.cudadrv import driver

    for name in ("cuStreamSynchronize", "cuCtxSynchronize", "cuEventSynchronize", "cuMemcpyHtoD", "cuMemcpyDtoH"):
        for holder in (driver.driver, getattr(driver, "binding", None)):
            if hasattr(holder, name):
                setattr(holder, name, counting(name, getattr(holder, name)))
    return counted


# ---- the whole road


def whole_road(engine: Engine, streams: list[int]) -> Iterator[Row]:
    """So many 1080p files at once through the pipeline, as fast as it goes: throughput, and CPU per stream."""
    ask_the_driver()
    from streamdet.config.assemble import assemble
    from streamdet.config.validation import read_options

    with tempfile.TemporaryDirectory() as folder:
        path = clip(Path(folder) / "clip.mp4", seconds=8)
        for n in streams:
            values = {
                "streams": {f"s{number}": {"source": str(path)} for number in range(n)},
                "detect": {"engine": str(engine.folder)},
                "sinks": [{"kind": "jsonl", "path": str(Path(folder) / "out.jsonl"), "existing": "replace"}],
            }
            pipeline = assemble(read_options(None, lambda _, values=values: values))
            began_s, cpu_s = time.perf_counter(), own_cpu_s()
            report = pipeline.run()
            took_s, cpu_s = time.perf_counter() - began_s, own_cpu_s() - cpu_s
            frames = sum(status.emitted for status in report.streams)
            share = cpu_s / frames * 25
            decoded = {
                sample.labels["decoder"]
                for family in pipeline.meter.registry.collect()
                for sample in family.samples
                if sample.name == "streamdet_stream_decoder" and sample.value == 1
            }
            on_gpu = bool(decoded) and "cpu" not in decoded
            yield Row("whole road", f"{n} streams", frames / took_s, "frames/s")
            what = f"{n} streams: CPU of one at 25 frames/s, decoded on {', '.join(sorted(decoded)) or 'nothing'}"
            verdict = share <= 0.03 if on_gpu else None
            yield Row("whole road", what, 100 * share, "% of a core", "<= 3" if on_gpu else "", verdict)


def own_cpu_s() -> float:
    """CPU time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
