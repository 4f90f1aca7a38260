"""The server of /metrics, /healthz and /readyz, asked over a real socket."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from streamdet.errors import ConfigError
from streamdet.metrics import Meter
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.stream import Stream
from streamdet.serve.health import HealthServer
from streamdet.testing import FakeDetector, ListSink, SyntheticSource


class States:
    """What the server is told when it asks."""

    def __init__(self) -> None:
        self.ready = True
        self.streams = {"gate": "running"}

    def __call__(self) -> tuple[bool, dict[str, str]]:
        return self.ready, self.streams


@pytest.fixture
def states() -> States:
    return States()


@pytest.fixture
def server(states: States) -> Iterator[HealthServer]:
    server = HealthServer(Meter(), states, port=0, host="127.0.0.1")
    yield server
    server.close()


def ask(server: HealthServer, path: str) -> tuple[int, str, str]:
    """Status, content type, body."""
    try:
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_port_0_takes_a_free_port_and_says_which(server: HealthServer) -> None:
    assert server.port > 0


def test_healthz_answers_while_the_process_lives_whatever_the_streams_do(server: HealthServer, states: States) -> None:
    states.ready = False
    assert (200, "ok\n") == ask(server, "/healthz")[::2]


def test_readyz_is_200_when_every_required_stream_is_healthy(server: HealthServer) -> None:
    status, kind, body = ask(server, "/readyz")
    assert (200, "application/json") == (status, kind)
    assert {"ready": True, "streams": {"gate": "running"}} == json.loads(body)


def test_readyz_is_503_and_names_the_states_when_one_is_not(server: HealthServer, states: States) -> None:
    states.ready, states.streams = False, {"gate": "backoff", "yard": "running"}
    status, _, body = ask(server, "/readyz?verbose")
    assert 503 == status
    assert {"ready": False, "streams": {"gate": "backoff", "yard": "running"}} == json.loads(body)


def test_metrics_are_in_the_text_format_that_prometheus_reads(server: HealthServer) -> None:
    status, kind, body = ask(server, "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (status, kind)
    assert "# TYPE streamdet_frames_captured_total counter" in body


def test_any_other_path_is_told_what_there_is(server: HealthServer) -> None:
    status, _, body = ask(server, "/")
    assert 404 == status
    assert "/metrics" in body


def test_a_port_that_is_taken_is_one_clear_error(server: HealthServer) -> None:
    with pytest.raises(ConfigError) as told:
        HealthServer(Meter(), States(), port=server.port, host="127.0.0.1")
    assert f"the metrics port {server.port} is taken by another program" == told.value.what
    assert "--metrics-port" in (told.value.hint or "")


def test_a_port_is_taken_also_when_only_one_address_of_it_is(server: HealthServer) -> None:
    with pytest.raises(ConfigError, match="is taken"):
        HealthServer(Meter(), States(), port=server.port, host="0.0.0.0")


def test_an_address_that_is_not_this_machines_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        HealthServer(Meter(), States(), port=0, host="192.0.2.1")


def test_the_port_is_free_again_after_close(states: States) -> None:
    first = HealthServer(Meter(), states, port=0, host="127.0.0.1")
    assert 200 == ask(first, "/healthz")[0]
    first.close()
    first.close()
    second = HealthServer(Meter(), states, port=first.port, host="127.0.0.1")
    assert 200 == ask(second, "/healthz")[0]
    second.close()


def test_clients_that_connect_and_say_nothing_block_nobody(server: HealthServer) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    try:
        silent[0].sendall(b"GET /metr")
        began_s = time.monotonic()
        assert 200 == ask(server, "/healthz")[0]
        assert time.monotonic() - began_s < 1.0
    finally:
        for client in silent:
            client.close()


def test_close_does_not_wait_for_a_silent_client() -> None:
    server = HealthServer(Meter(), States(), port=0, host="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port)):
        began_s = time.monotonic()
        server.close()
        assert time.monotonic() - began_s < 1.0


def test_a_client_that_hangs_up_leaves_no_traceback(server: HealthServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        # Linger of zero: the connection is reset, not closed.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert 200 == ask(server, "/healthz")[0]
    time.sleep(0.2)
    assert "" == capfd.readouterr().err


def test_readiness_follows_a_pipeline_from_its_start_to_an_outage_and_back() -> None:
    broken, mended = threading.Event(), threading.Event()

    def before_read(number: int) -> None:
        time.sleep(0.005)
        if number == 20:  # after the loss: connected again, and no picture yet
            broken.set()
            mended.wait(20)

    source = SyntheticSource(frames=10**9, live=True, lose_at={20: "stalled"}, before_read=before_read)
    pipeline = Pipeline([ListSink()])
    pipeline.add("gate", Stream(source, (FakeDetector(),)))
    pipeline.add("lobby", Stream(SyntheticSource(live=True, lose_at={0: "refused"}), (FakeDetector(),), required=False))
    server = HealthServer(pipeline.meter, lambda: pipeline.ready, port=0, host="127.0.0.1")
    try:
        assert 503 == ask(server, "/readyz")[0]
        pipeline.start()
        wait_for(lambda: ask(server, "/readyz")[0] == 200)
        assert broken.wait(20)
        status, _, body = ask(server, "/readyz")
        assert (503, "waiting") == (status, json.loads(body)["streams"]["gate"])
        mended.set()
        wait_for(lambda: ask(server, "/readyz")[0] == 200)
    finally:
        mended.set()
        pipeline.finish()
        server.close()


def wait_for(condition: object, within_s: float = 10.0) -> None:
    """Until it holds."""
    assert callable(condition)
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)
