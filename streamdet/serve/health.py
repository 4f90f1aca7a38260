"""A small HTTP server beside the pipeline: /metrics for Prometheus, /healthz and /readyz for supervisors."""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from streamdet.errors import ConfigError
from streamdet.metrics import Meter

log = logging.getLogger(__name__)

# → every required stream is healthy, and the state of each stream
Readiness = Callable[[], tuple[bool, dict[str, str]]]


class HealthServer:
    """Serves until `close`. /healthz answers 200 while the process lives; /readyz 200 or 503, with the states."""

    def __init__(self, meter: Meter, readiness: Readiness, *, port: int, host: str = "0.0.0.0") -> None:
        try:
            self._server = _Server((host, port), _handler(meter, readiness))
        except OSError as error:
            raise _port_error(host, port, error) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A second process on the port must be told so, not share it.
    allow_reuse_port = False
    # The standard library's 5 make a burst of clients wait a second for their next try.
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up before it has its answer is no news; anything else is a line in the log."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("the metrics server could not answer: %s: %s", type(error).__name__, error, exc_info=error)


def _port_error(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"the metrics port {port} is taken by another program",
            where=f"{host}:{port}",
            hint="choose another with --metrics-port, or 0 for any free one",
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            f"the metrics port {port} needs rights that this user does not have", hint="use a port above 1023"
        )
    return ConfigError("the metrics server cannot listen", where=f"{host}:{port}", got=error)


def _handler(meter: Meter, readiness: Readiness) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that connects and says nothing does not keep a thread

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, meter.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif path == "/healthz":
                self._answer(200, "ok\n", "text/plain")
            elif path == "/readyz":
                ready, states = readiness()
                body = json.dumps({"ready": ready, "streams": states}) + "\n"
                self._answer(200 if ready else 503, body, "application/json")
            else:
                self._answer(404, "/metrics, /healthz and /readyz are here\n", "text/plain")

        def _answer(self, status: int, body: str, kind: str) -> None:
            payload = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not news."""

    return Handler
