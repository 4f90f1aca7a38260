"""Logs: text or JSON, redacted, and never a thousand times the same line."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from streamdet.errors import redact

Format = Literal["text", "json"]

_BURST = 5  # lines of one cause …
_WINDOW_S = 60.0  # … within so many seconds


class OncePerCause(logging.Filter):
    """Lets a few lines of each cause through, then counts; the next one let through says how many were held back.

    A line's cause is its `cause` attribute, or else the message before its values were put in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        cause = str(getattr(record, "cause", record.msg))
        begun_s, count = self._seen.get(cause, (record.created, 0))
        if record.created - begun_s > _WINDOW_S:
            if count > _BURST:
                record.msg = f"{record.getMessage()} ({count - _BURST} more of these were held back)"
                record.args = ()
            begun_s, count = record.created, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[cause] = (begun_s, count + 1)
        return count < _BURST


class TextFormatter(logging.Formatter):
    """`12:00:01 warning  message`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{moment} {record.levelname.lower():8} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return redact(text)


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


class _PlainFormatter(logging.Formatter):
    """The message alone."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(record.getMessage())


class _StandardError(logging.StreamHandler):  # type: ignore[type-arg] # generic only in stubs
    """Looks sys.stderr up at each line: the live table takes its place while it shows, so that lines go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr


def say(text: str, *, level: int = logging.INFO) -> None:
    """A line for whoever started the program, however quiet the log is: plain, or an object where lines are JSON."""
    print(line(text, level), file=sys.stderr, flush=True)


def line(text: str, level: int = logging.INFO) -> str:
    """What `say` prints; takes no lock, so that a signal handler may ask for it."""
    if not are_json():
        return redact(text)
    return JsonFormatter().format(logging.LogRecord("streamdet", level, "", 0, "%s", (text,), None))


def are_json() -> bool:
    """Lines are objects, as `configure` was told."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger("streamdet").handlers)


@contextmanager
def told(room: str) -> Iterator[None]:
    """What a room of the package logs of its progress is shown while this lasts: plain lines, for whoever waits."""
    handler = _StandardError()
    handler.setFormatter(_PlainFormatter())
    logger = logging.getLogger(f"streamdet.{room}")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def configure(verbosity: int, log_format: Format) -> None:
    """-v shows what goes on, -vv what goes on inside; tracebacks only there."""
    handler = _StandardError()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(OncePerCause())
    if verbosity < 2:
        handler.addFilter(_without_traceback)
    root = logging.getLogger("streamdet")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True
