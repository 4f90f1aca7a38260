"""What went wrong, in one word: FFmpeg's numbers and lines → a LossCause and a sentence."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streamdet.errors import LossCause, SourceLost

Phase = Literal["opening", "playing"]


def _tag(text: bytes) -> int:
    """FFmpeg's own error numbers are four letters, as PyAV reports them: positive."""
    return int.from_bytes(text, "little")


INVALID_DATA = _tag(b"INDA")
_BY_NUMBER: dict[int, LossCause] = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "not_found",
    errno.ENODEV: "not_found",
    errno.ENXIO: "not_found",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.ETIMEDOUT: "timeout",
    _tag(b"EXIT"): "timeout",  # PyAV's own deadline on opening
    errno.ECONNRESET: "ended",
    errno.ECONNABORTED: "ended",
    errno.EPIPE: "ended",
    _tag(b"EOF "): "ended",
    _tag(b"\xf8401"): "unauthorised",
    _tag(b"\xf8403"): "unauthorised",
    _tag(b"\xf8404"): "not_found",
    _tag(b"\xf8DEC"): "codec",
}

# FFmpeg often says EIO or "invalid data" and puts the reason in its log: first match wins.
_BY_LINE: tuple[tuple[str, LossCause], ...] = (
    (r"\b40[13] \(?(Unauthorized|Forbidden)", "unauthorised"),
    (r"authorization failed|authentication failed", "unauthorised"),
    (r"certificate|^\[tls\].*(handshake|verif|alert|fatal|version|non-properly)", "tls"),
    (r"\b404 \(?Not Found|\b454 \(?Session|No such file or directory|No such device", "not_found"),
    (r"failed to resolve hostname|No route to host|Network is unreachable", "unreachable"),
    (r"Connection refused", "refused"),
    (r"timed out|immediate exit", "timeout"),
    (r"could not find codec parameters|unknown codec|no decoder", "codec"),
    (r"Connection reset|Broken pipe|End of file|ends prematurely", "ended"),
)

_SENTENCES: dict[LossCause, str] = {
    "refused": "nobody listens at the address",
    "unreachable": "the host cannot be reached",
    "timeout": "no answer within the deadline",
    "not_found": "there is nothing at that path",
    "unauthorised": "user or password was rejected",
    "tls": "the server's certificate or TLS handshake was rejected",
    "no_video": "there is no video in it",
    "codec": "the video cannot be decoded",
    "stalled": "the stream fell silent",
    "ended": "the connection was closed",
    "crashed": "the decoder process died",
    "failed": "reading failed",
}

_HINTS: dict[LossCause, str] = {
    "refused": "is the camera on, and is the port right?",
    "unreachable": "check the host name and the network",
    "timeout": "raise deadline_s if the camera is slow to answer",
    "unauthorised": "check user and password; percent-encode special characters: @ is %40, / is %2F",
    "tls": "give the camera's certificate as tls_ca, or switch tls_verify off on a network that you trust",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cause, and FFmpeg's own words for it."""

    cause: LossCause
    words: str


def classify(
    number: int | None,
    words: str,
    lines: Sequence[str],
    phase: Phase,
    *,
    secure: bool = False,
    waited_out: bool = False,
) -> Verdict:
    """From an error's number and text, and the log lines before it (redacted), to one cause.

    `secure` says that the address asks for TLS, `waited_out` that the whole deadline had passed.
    """
    cause: LossCause | None = _BY_NUMBER.get(number) if number is not None else None
    said = words
    if cause is None:
        for pattern, found in _BY_LINE:
            line = next((line for line in reversed([words, *lines]) if re.search(pattern, line, re.IGNORECASE)), None)
            if line is not None:
                cause, said = found, line
                break
    if cause is None and waited_out:
        cause = "timeout"
    if cause is None and number == errno.EIO and phase == "playing":
        cause = "ended"
    if cause is None and number == errno.EIO and secure and phase == "opening":
        cause = "tls"  # a handshake with a server that does not speak TLS fails without a word
    if cause == "unreachable" and "resolve" in said:
        # The name is left out: in a URL with an unquoted password it may be a part of the password.
        said = "the name does not resolve"
    if cause is None and number == INVALID_DATA and phase == "opening":
        cause, said = "no_video", lines[-1] if lines else "no format that FFmpeg can read"
    if cause == "tls" and phase == "playing":
        cause = "ended"  # a peer that hangs up without TLS's goodbye
    if cause == "timeout" and phase == "playing":
        cause = "stalled"
    return Verdict(cause or "failed", said)


def loss(cause: LossCause, *, where: object, got: object = None, hint: str | None = None) -> SourceLost:
    """A SourceLost in the usual words of its cause."""
    return SourceLost(cause, _SENTENCES[cause], where=where, got=got, hint=hint or _HINTS.get(cause))
