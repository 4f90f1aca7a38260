"""The terminal: a live table where there is a person, plain lines where there is a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Annotated, Literal

from pydantic import Field
from rich.console import Console
from rich.live import Live

from streamdet.errors import SinkLost
from streamdet.frames import Event, Result
from streamdet.sinks.contract import Accepts, StreamStatus
from streamdet.sinks.options import SinkOptions
from streamdet.sinks.tables import event_line, live_view, plain_line

Status = Callable[[], Sequence[StreamStatus]]


class TerminalOptions(SinkOptions):
    """A live table of the streams, or plain lines where the output is no terminal."""

    kind: Literal["terminal"] = "terminal"
    refresh_s: Annotated[float, Field(ge=0.25, le=60, description="Between two pictures of the table.")] = 0.5
    line_s: Annotated[float, Field(ge=1, description="Between two plain lines about a stream.")] = 5.0


class Terminal:
    """Shows how the streams fare.

    It asks `status` from a thread of its own, which ends with `close`: so the table also tells of a silence. Events
    about streams are printed as a line each, above the table.
    """

    accepts: Accepts = "events"
    lossless = False
    needs_picture = False

    def __init__(self, options: TerminalOptions, status: Status, output: IO[str] | None = None) -> None:
        """`status` may be called from any thread; `output` is standard output where none is given."""
        self.name = options.name or options.kind
        self._options = options
        self._status = status
        self._output = output
        self._console: Console | None = None
        self._live: Live | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loss: OSError | None = None

    def open(self) -> None:
        """Begin to show the table."""
        if self._thread is not None:
            return
        self._loss = None
        self._stop.clear()
        output = self._output or sys.stdout
        # Said outright, because FORCE_COLOR in the environment would put cursor movements into a log file.
        self._console = console = Console(file=output, force_terminal=output.isatty(), highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(live_view(self._asked()), console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def write(self, item: Result | Event) -> None:
        """A line about an event that concerns a whole stream; others are for records."""
        self._raise_loss()
        if isinstance(item, Result) or not self._options.takes(item) or self._console is None:
            return
        line = event_line(item)
        if line is not None:
            self._print(line)
        self._raise_loss()

    def close(self) -> None:
        """Take the table away."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except (OSError, ValueError) as error:
                raise _lost(error) from error

    def _run(self) -> None:
        interval_s = self._options.line_s if self._live is None else self._options.refresh_s
        while not self._stop.wait(interval_s):
            try:
                self._show()
            except (OSError, ValueError) as error:  # ValueError: the output was closed
                self._loss = error if isinstance(error, OSError) else OSError(str(error))
                return

    def _show(self) -> None:
        statuses = self._asked()
        if self._live is not None:
            self._live.update(live_view(statuses), refresh=True)
            return
        for status in statuses:
            self._print(plain_line(status))

    def _asked(self) -> list[StreamStatus]:
        wanted = self._options.streams
        return [status for status in self._status() if wanted is None or status.stream in wanted]

    def _print(self, line: str) -> None:
        assert self._console is not None
        stamp = time.strftime("%H:%M:%S")
        try:
            self._console.print(f"{stamp}  {line}", markup=False, soft_wrap=True)
        except (OSError, ValueError) as error:
            raise _lost(error) from error

    def _raise_loss(self) -> None:
        if self._loss is not None:
            raise _lost(self._loss)


def _lost(error: Exception) -> SinkLost:
    return SinkLost("the terminal cannot be written to", got=error)
