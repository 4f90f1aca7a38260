"""THE table of metrics, and the Meter that counts. One row a metric; labels come from the configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

PREFIX = "streamdet_"

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HEIGHT_PX = (6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 32.0, 48.0, 64.0, 96.0)
_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. A counter's name ends in _total on the wire."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _LATENCY_S


TABLE: tuple[Row, ...] = (
    Row("frames_captured", "counter", "Frames that a source handed over.", ("stream",)),
    Row(
        "frames_emitted",
        "counter",
        "Frames whose result left the lane; outcome is known or unknown.",
        ("stream", "outcome"),
    ),
    Row("frames_dropped", "counter", "Frames given up, by reason.", ("stream", "reason")),
    Row("frames_in_flight", "gauge", "Frames captured and neither emitted nor dropped yet.", ("stream",)),
    Row("frames_suspect", "counter", "Frames the decoder marked damaged, by what was done.", ("stream", "action")),
    Row("stage_seconds", "histogram", "Time one frame spent in a stage.", ("stream", "stage")),
    Row("capture_to_result_seconds", "histogram", "From the decoded frame to its emitted result.", ("stream",)),
    Row("last_frame_age_seconds", "gauge", "Since the last frame was captured.", ("stream",)),
    Row("stream_state", "gauge", "1 for the state that a stream is in, 0 for the others.", ("stream", "state")),
    Row("stream_decoder", "gauge", "1 for where a stream is decoded: cpu, or a GPU as cuda:0.", ("stream", "decoder")),
    Row("stream_required", "gauge", "1 where readiness waits for this stream.", ("stream",)),
    Row("stream_frozen", "gauge", "1 while the picture of a live stream does not change.", ("stream",)),
    Row("reconnects", "counter", "Times a source was lost, by cause.", ("stream", "cause")),
    Row("epochs", "counter", "Discontinuities: connections and jumps in time.", ("stream",)),
    Row("clock_offset_seconds", "gauge", "This machine's clock minus the camera's.", ("stream",)),
    Row("batch_frames", "histogram", "Frames in a batch.", ("engine",), _BATCH),
    Row("batch_wait_seconds", "histogram", "From a frame's arrival to the start of its batch.", ("engine",)),
    Row("inference_failures", "counter", "Batches without an answer, by reason.", ("engine", "reason")),
    Row(
        "engine_gpu_in_service",
        "gauge",
        "1 while an engine runs on that GPU, 0 once it was given up there.",
        ("engine", "gpu"),
    ),
    Row("nms_truncated", "counter", "Candidates beyond an engine's limit, never seen by its NMS.", ("engine",)),
    Row("queue_depth", "gauge", "Items waiting.", ("queue",)),
    Row("detections", "counter", "Objects above the score threshold.", ("stream",)),
    Row("tracks_active", "gauge", "Tracks tentative, confirmed or lost.", ("stream",)),
    Row("tracks_started", "counter", "Tracks confirmed.", ("stream",)),
    Row("reads", "counter", "Plates looked at, by what came of it.", ("stream", "outcome")),
    Row("plate_height_px", "histogram", "How high plates are in the picture, read or not.", ("stream",), _HEIGHT_PX),
    Row("plate_agreement", "histogram", "Looks that said just what was settled on, by plate.", ("stream",), _BATCH),
    Row("sink_records", "counter", "Results and events by what became of them.", ("sink", "outcome")),
    Row("sink_errors", "counter", "Times a sink failed.", ("sink",)),
    Row("sink_detached", "gauge", "1 once a sink was given up.", ("sink",)),
    Row("build_info", "gauge", "1; the version as a label.", ("version", "python")),
    Row("engine_info", "gauge", "1; the engines in use.", ("engine", "backend", "precision")),
)


class Meter:
    """One attribute per metric, so that a misspelt name is an error.

    Each pipeline has its own; `registry` is what /metrics shows. A metric with labels is used as
    `meter.reconnects.labels(stream, cause).inc()`.
    """

    frames_captured: Counter
    frames_emitted: Counter
    frames_dropped: Counter
    frames_in_flight: Gauge
    frames_suspect: Counter
    stage_seconds: Histogram
    capture_to_result_seconds: Histogram
    last_frame_age_seconds: Gauge
    stream_state: Gauge
    stream_decoder: Gauge
    stream_required: Gauge
    stream_frozen: Gauge
    reconnects: Counter
    epochs: Counter
    clock_offset_seconds: Gauge
    batch_frames: Histogram
    batch_wait_seconds: Histogram
    inference_failures: Counter
    engine_gpu_in_service: Gauge
    nms_truncated: Counter
    queue_depth: Gauge
    detections: Counter
    tracks_active: Gauge
    tracks_started: Counter
    reads: Counter
    plate_height_px: Histogram
    plate_agreement: Histogram
    sink_records: Counter
    sink_errors: Counter
    sink_detached: Gauge
    build_info: Gauge
    engine_info: Gauge

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time and descriptors of this process
        for row in TABLE:
            name = PREFIX + row.name
            metric: Counter | Gauge | Histogram
            if row.kind == "counter":
                metric = Counter(name, row.help, row.labels, registry=self.registry)
            elif row.kind == "gauge":
                metric = Gauge(name, row.help, row.labels, registry=self.registry)
            else:
                metric = Histogram(name, row.help, row.labels, registry=self.registry, buckets=row.buckets)
            setattr(self, row.name, metric)

    def text(self) -> str:
        """The exposition, as /metrics answers it."""
        from prometheus_client import generate_latest

        return generate_latest(_Rows(self.registry)).decode()

    def value(self, name: str, **labels: str) -> float:
        """One sample by its full name, 0 where it has not been touched: for tests and the terminal."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def forget_stream(self, stream: str) -> None:
        """Drop every series of a stream that was removed, so that labels stay bounded."""
        for row in TABLE:
            if "stream" in row.labels:
                getattr(self, row.name).remove_by_labels({"stream": stream})


class _Rows:
    """The registry as the table has it: prometheus_client adds a `…_created` to every counter and histogram, which
    doubles the series of the counters, and which nobody asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
