"""The one door to PyAV: loads it, keeps FFmpeg's own lines to itself, and takes URLs out of its errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import ModuleType

from streamdet.errors import MissingExtra, redact

_KEPT_LINES = 20  # of FFmpeg's log per call: an error is explained by its last few


def load() -> ModuleType:
    """The module `av`, set up so that FFmpeg's warnings can be captured and never reach the terminal by themselves.

    They name URLs with passwords in them. Whoever wants to read them puts a handler on the logger "libav".
    """
    try:
        import av
        import av.logging
    except ImportError as error:  # pragma: no cover - a base dependency
        raise MissingExtra("av", None, "reading video") from error
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)  # a second failure like the first has to say why, too
        logger = logging.getLogger("libav")
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    return av


def told(logs: Sequence[tuple[int, str, str]]) -> list[str]:
    """FFmpeg's warnings and errors out of an `av.logging.Capture`, as `[tls] text`, without credentials."""
    return [redact(f"[{name}] {text.strip()}") for _, name, text in logs[-_KEPT_LINES:]]


def scrub(error: BaseException) -> None:
    """Leave an FFmpeg error its number and its words, not the URL and log line that it carries: they hold passwords."""
    error.args = error.args[:2]
