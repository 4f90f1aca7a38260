"""The RTSP server of the tests as a process that can be killed, frozen and brought back."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
_START_S = 30.0


def free_port() -> int:
    """A TCP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """One server process; its options are those of rtsp_server.py. A restart keeps the port."""

    def __init__(self, **options: Any) -> None:
        self.options = {"port": free_port(), **options}
        self.scheme = "rtsps" if "certificate" in options else "rtsp"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> RtspServer:
        """Start, or start again, and wait until it listens."""
        self._process = process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SCRIPT), json.dumps(self.options)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        line = process.stdout.readline() if ready else ""
        if not line.startswith("ready"):
            self.kill()
            raise RuntimeError(f"the RTSP server did not start: {line!r}")
        return self

    def url(self, path: str = "/live", credentials: str = "") -> str:
        """Of a mount; credentials are `user:password@`."""
        return f"{self.scheme}://{credentials}127.0.0.1:{self.options['port']}{path}"

    def kill(self) -> None:
        """End it without a goodbye."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def freeze(self) -> None:
        """Stop it in mid-sentence: connections stay, nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
