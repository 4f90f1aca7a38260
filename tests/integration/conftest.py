"""Real servers: GStreamer's RTSP server, and a web server that can be told to fall silent."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rtsp_process import SYSTEM_PYTHON, RtspServer

_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_INSTALL = (
    "apt-get install --no-install-recommends gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly python3-gi"
)


@pytest.fixture(scope="session")
def gstreamer() -> None:
    """Skips where the system's Python has no GStreamer RTSP server."""
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"{SYSTEM_PYTHON} does not exist")
    if subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True).returncode != 0:
        pytest.skip(f"GStreamer's RTSP server is not installed: {_INSTALL}")


@pytest.fixture
def rtsp_server(gstreamer: None) -> Iterator[Callable[..., RtspServer]]:
    """Start servers: `rtsp_server(mounts={"/live": {"gop": 25}})`; all are killed afterwards."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> RtspServer:
            server = RtspServer(**options).start()
            stack.callback(server.kill)
            return server

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that it signed itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    return certificate, key


class WebServer(http.server.ThreadingHTTPServer):
    """Serves a folder; `silent_after` and `dead_after` say after how many bytes of an answer it fails."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.silent_after: int | None = None
        self.dead_after: int | None = None
        self.closing = threading.Event()

    def url(self, name: str) -> str:
        """Of a file in the folder."""
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


class _Answers(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def translate_path(self, path: str) -> str:
        return str(self.server.folder / path.lstrip("/").partition("?")[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        sent = 0
        while chunk := source.read(8192):
            sent += len(chunk)
            if self.server.dead_after is not None and sent > self.server.dead_after:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if self.server.silent_after is not None and sent > self.server.silent_after:
                self.server.closing.wait(60)
                return
            outputfile.write(chunk)


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    """A web server on the test's own folder."""
    with WebServer(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()
