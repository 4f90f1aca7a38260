"""Every error that streamdet raises on purpose.

    StreamdetError
    ├── ConfigError          (ValueError)    the user's flags or file are wrong; exit code 2
    ├── MissingExtra         (ImportError)   an optional library is not installed
    ├── PictureReleased      (RuntimeError)  pixels were asked for after their lease had ended
    ├── EndOfStream                          a source has finished; nothing is wrong
    ├── SourceLost           (OSError)       a source broke off; `cause` says how; it may come back
    ├── SinkLost             (OSError)       a sink cannot take results; it may come back
    ├── EngineError          (ValueError)    an engine cannot be used
    │   ├── EngineNotFound   (LookupError)   no engine of that name on the shelf
    │   ├── ManifestInvalid                  manifest.json is malformed, or its file is not the one it names
    │   ├── EngineMismatch                   manifest, file, runtime or hardware do not fit each other
    │   └── ModelRefused                     a foreign model cannot become an engine
    ├── InferenceFailed      (RuntimeError)  a session failed while running
    ├── DataError            (ValueError)    labels or pictures to learn from cannot be used
    │   └── PictureUnreadable                a picture cannot be decoded
    └── TrainingFailed       (RuntimeError)  a training cannot go on; the message holds the diagnosis

A message says what, where, what was expected, what was got, and ends with a hint. Credentials never reach it.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

LossCause = Literal[
    "refused",  # nobody listens on the port
    "unreachable",  # no route, or the name does not resolve
    "timeout",  # silence for longer than the deadline, while opening
    "not_found",  # the server answers, the path does not exist
    "unauthorised",  # user or password rejected
    "tls",  # the certificate or the handshake was rejected
    "no_video",  # it opens, and holds no video stream
    "codec",  # the video cannot be decoded
    "stalled",  # it played, then fell silent
    "ended",  # a live stream closed the connection
    "crashed",  # the isolated decoder died
    "failed",  # anything else, the message says what
]
LOSS_CAUSES: tuple[LossCause, ...] = get_args(LossCause)

# user:password@ in any URL, also where the password itself holds an @ : the last @ before the path ends it.
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<secret>[^\s/?#\"'<>]*)@")
# secrets in query strings
_QUERY_SECRET = re.compile(
    r"(?i)(?P<key>[?&](?:[\w-]*(?:pass(?:word|wd)?|pwd|token|secret|auth|signature|api_?key|access_?key))=)[^&\s\"'#]+"
)
# HTTP and RTSP headers as FFmpeg prints them
_HEADER_SECRET = re.compile(r"(?i)(?P<key>authorization:\s*(?:basic|bearer|digest)\s+)[^\r\n\"']+")


def redact(text: str) -> str:
    """`text` without any credential that stands in a URL, a query string or an authorization header."""
    # A password may hold a slash only when it is percent-encoded; yet users paste raw ones: fail closed and
    # take everything from the scheme to the last @ of the word.
    text = re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'<>]*:[^\s\"'<>]*@(?=[^\s\"'<>@]+)", r"\1***@", text)
    text = _CREDENTIALS.sub(r"\g<scheme>***@", text)
    text = _QUERY_SECRET.sub(r"\g<key>***", text)
    return _HEADER_SECRET.sub(r"\g<key>***", text)


class StreamdetError(Exception):
    """The root. `str()` is the whole message, one line per fact, without credentials."""

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = redact(what)
        self.where = None if where is None else redact(str(where))
        self.expected = None if expected is None else redact(str(expected))
        self.got = None if got is None else redact(str(got))
        self.hint = None if hint is None else redact(hint)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("where", self.where), ("expected", self.expected), ("got", self.got)):
            if text is not None:
                lines.append(f"  {label}: {text}")
        if self.hint is not None:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    @property
    def line(self) -> str:
        """The message on one line, for logs and events."""
        return " · ".join(part.strip() for part in str(self).splitlines())


class ConfigError(StreamdetError, ValueError):
    """The user's flags or configuration are wrong."""


class MissingExtra(StreamdetError, ImportError):
    """An optional library is not installed; the hint holds the pip line."""

    def __init__(self, library: str, extra: str | None, purpose: str) -> None:
        package = f"streamdet[{extra}]" if extra else "streamdet"
        super().__init__(f"{library} is not installed, and {purpose} needs it", hint=f"pip install '{package}'")


class PictureReleased(StreamdetError, RuntimeError):
    """Pixels were asked for after their lease had ended; copy the picture while you hold it."""


class EndOfStream(StreamdetError):
    """A source has finished; nothing is wrong."""

    def __init__(self, what: str = "end of stream") -> None:
        super().__init__(what)


class SourceLost(StreamdetError, OSError):
    """A source broke off. The shell around it backs off and opens it again."""

    def __init__(
        self,
        cause: LossCause,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, got=got, hint=hint)
        self.cause: LossCause = cause


class SinkLost(StreamdetError, OSError):
    """A sink cannot take results at present."""


class EngineError(StreamdetError, ValueError):
    """An engine cannot be used."""


class EngineNotFound(EngineError, LookupError):
    """No engine of that name on the shelf."""


class ManifestInvalid(EngineError):
    """manifest.json is malformed, or the file beside it is not the one that it names."""


class EngineMismatch(EngineError):
    """Manifest, file, runtime or hardware do not fit each other; the message names both sides."""


class ModelRefused(EngineError):
    """A foreign model cannot become an engine."""


class InferenceFailed(StreamdetError, RuntimeError):
    """A session failed while running."""


class DataError(StreamdetError, ValueError):
    """Labels or pictures to learn from cannot be used."""


class PictureUnreadable(DataError):
    """A picture cannot be decoded."""


class TrainingFailed(StreamdetError, RuntimeError):
    """A training cannot go on; the message holds the diagnosis."""
