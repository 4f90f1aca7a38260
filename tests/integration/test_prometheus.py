"""A real Prometheus scrapes a running pipeline, and every query of the dashboard and of the rules is put to it.

Ten seconds by default. For a minute, with the answers shown:

    STREAMDET_SCRAPE_S=60 python -m pytest -s tests/integration/test_prometheus.py
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import yaml

from streamdet.frames import Detections, Frame
from streamdet.infer.contract import DetectorWorker
from streamdet.picture import Picture
from streamdet.pipeline.pipeline import Limits, Pipeline
from streamdet.pipeline.stream import ReadStage, Stream
from streamdet.serve.health import HealthServer
from streamdet.sinks.counting import Counting
from streamdet.testing import FakeDetector, FakeReader, ListSink, Saboteur, SyntheticSource
from streamdet.tracking.bytetrack import ByteTrackOptions
from streamdet.tracking.catalogue import make_tracker

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "monitoring"
SCRAPE_S = float(os.environ.get("STREAMDET_SCRAPE_S", "10"))
FPS = 50

pytestmark = pytest.mark.integration


class Camera(SyntheticSource):
    """Live, 50 frames a second, lost twice, frozen once; its clock is 0.3 s slow, one frame in a hundred damaged."""

    FROZEN = range(3 * FPS, 5 * FPS)

    def __init__(self) -> None:
        losses = {FPS: "stalled", 6 * FPS: "ended"}
        super().__init__(frames=10**9, live=True, fps=FPS, lose_at=losses, before_read=lambda _: time.sleep(1 / FPS))  # type: ignore[arg-type]
        self._number = 0

    def read(self) -> Frame:
        """The kit's frame, with what a real camera would tell."""
        frame = super().read()
        frame.clock_offset_s = 0.3
        self._number += 1
        if self._number in self.FROZEN:
            frame.picture.release()
            frame.picture = Picture((np.zeros((48, 64), np.uint8),), "gray")
        return frame

    def suspects(self) -> int:
        """Every hundredth frame."""
        return int(self._number % 100 == 99)


def crowd(frame: Frame) -> Detections:
    """One box, and three candidates beyond the engine's limit."""
    box = np.array([[16, 12, 48, 36]], np.float32)
    return Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int32), ("thing",), truncated=3)


class OnAGpu(FakeDetector):
    """Says that it works on the first GPU."""

    gpus = (0,)

    def worker(self, threads: int = 1, gpu: int | None = None) -> DetectorWorker:
        """The same as on the CPU."""
        return super().worker(threads)


@dataclass
class Prometheus:
    """Its HTTP interface."""

    url: str

    def ask(self, path: str, **parameters: object) -> Any:
        """The `data` of the answer, which must be a success."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            body = json.load(answer)
        assert "success" == body["status"], body
        return body["data"]

    def series(self, expression: str) -> list[dict[str, Any]]:
        """What a query returns over the whole run, a point a second."""
        now = time.time()
        found: list[dict[str, Any]] = self.ask(
            "query_range", query=expression, start=now - SCRAPE_S - 10, end=now, step=1
        )["result"]
        return found


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A recorded stream, a live one that is lost and comes back, an engine and a sink that fail; not yet started."""
    detector = Saboteur(OnAGpu(found=crowd), "detect", 300, times=3, inside=("worker",))
    shaky = Saboteur(ListSink("shaky"), "write", 200, times=2)
    pipeline = Pipeline([Counting(), shaky], limits=Limits(drain_s=3))

    def tracker(previous: Any, gap_s: float | None) -> Any:
        return make_tracker(ByteTrackOptions(), previous=previous, gap_s=gap_s)

    film = SyntheticSource(frames=10**9, before_read=lambda _: time.sleep(1 / FPS))
    film.decoder = "cuda:0"  # type: ignore[attr-defined]
    pipeline.add("film", Stream(film, (detector,), tracker=tracker))  # type: ignore[arg-type]
    gate = Stream(Camera(), (detector,), tracker=tracker, max_fps=40, frozen_s=1)  # type: ignore[arg-type]
    gate.read = (ReadStage(FakeReader(), frozenset({"thing"})),)
    pipeline.add("gate", gate)
    yield pipeline
    report = pipeline.finish()
    assert all(status.captured == status.emitted + status.dropped for status in report.streams)


@pytest.fixture(scope="module")
def prometheus(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A server with the project's own configuration, that has scraped the pipeline for a while."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    metrics = HealthServer(pipeline.meter, lambda: pipeline.ready, port=0, host="127.0.0.1")
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / "alerts.yaml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{metrics.port}"]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        found = Prometheus(f"http://{address}")
        wait_for_a_scrape(found, server, log)
        pipeline.start()
        time.sleep(SCRAPE_S)
        yield found
    finally:
        server.terminate()
        server.wait(10)
        metrics.close()


def wait_for_a_scrape(prometheus: Prometheus, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the target was scraped once: seconds after the start. Prometheus' log is shown where that fails."""
    until = time.monotonic() + 30
    scraped = False
    while not scraped:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
        with contextlib.suppress(URLError):
            scraped = bool(prometheus.ask("query", query="up == 1")["result"])


def panels() -> list[dict[str, Any]]:
    found = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def filled_in(expression: str) -> str:
    """A panel's query as Grafana sends it, with everything chosen."""
    for variable, value in (("$__rate_interval", "5s"), ("$job", "streamdet"), ("$instance", ".*"), ("$stream", ".*")):
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


def test_the_target_is_scraped_without_an_error(prometheus: Prometheus) -> None:
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert ("up", "") == (target["health"], target["lastError"])
    scrapes = prometheus.ask("query", query=f"count_over_time(up[{SCRAPE_S + 10:.0f}s])")["result"]
    assert float(scrapes[0]["value"][1]) >= SCRAPE_S - 2


def test_every_query_of_the_dashboard_returns_data(prometheus: Prometheus) -> None:
    empty = []
    for panel in panels():
        for target in panel["targets"]:
            series = prometheus.series(filled_in(target["expr"]))
            points = sum(len(each["values"]) for each in series)
            print(f"{panel['title']:42} {len(series):3} series {points:6} points")
            if not series:
                empty.append(panel["title"])
    assert [] == empty


def test_every_query_fills_the_labels_that_its_legend_names(prometheus: Prometheus) -> None:
    for panel in panels():
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for series in prometheus.series(filled_in(target["expr"])):
                assert wanted <= set(series["metric"]), panel["title"]


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {"ok"} == {rule["health"] for rule in rules}
    written = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in (rule for group in written for rule in group["rules"]):
        prometheus.ask("query", query=rule["expr"])
    assert len(rules) == sum(len(group["rules"]) for group in written)


def test_the_camera_was_seen_lost_and_back(prometheus: Prometheus) -> None:
    lost = prometheus.series('streamdet_reconnects_total{stream="gate"} > 0')
    assert {"stalled", "ended"} == {series["metric"]["cause"] for series in lost}
    (running,) = prometheus.ask("query", query='streamdet_stream_state{stream="gate", state="running"}')["result"]
    assert "1" == running["value"][1]


def test_the_sink_that_failed_is_an_alert(prometheus: Prometheus) -> None:
    seen = {series["metric"]["alertname"] for series in prometheus.series('ALERTS{alertstate=~"pending|firing"}')}
    assert "StreamdetSinkFailing" in seen
    assert "StreamdetDown" not in seen


def test_at_every_scrape_the_books_of_frames_balance(prometheus: Prometheus) -> None:
    """Captured, emitted and dropped are read one after the other: a frame may be between two of them."""
    books = (
        "sum by (stream) (streamdet_frames_captured_total) - sum by (stream) (streamdet_frames_emitted_total)"
        " - (sum by (stream) (streamdet_frames_dropped_total) or 0 * sum by (stream) (streamdet_frames_captured_total))"
    )
    for series in prometheus.series(books):
        assert all(-2 <= float(value) <= 10 for _, value in series["values"]), series
