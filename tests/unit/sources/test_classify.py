"""FFmpeg's numbers and lines → causes."""

from __future__ import annotations

import errno

import pytest

from streamdet.errors import LOSS_CAUSES
from streamdet.sources.classify import classify, loss

INVALID = int.from_bytes(b"INDA", "little")
EXIT = int.from_bytes(b"EXIT", "little")


def http(code: bytes) -> int:
    return int.from_bytes(b"\xf8" + code, "little")


OPENING = [
    (errno.ECONNREFUSED, [], "refused"),
    (errno.EHOSTUNREACH, [], "unreachable"),
    (errno.ENETUNREACH, [], "unreachable"),
    (errno.EIO, ["[tcp] Failed to resolve hostname cam: Name or service not known"], "unreachable"),
    (errno.ETIMEDOUT, [], "timeout"),
    (EXIT, [], "timeout"),
    (INVALID, ["[rtsp] Failed reading RTSP data: Connection timed out"], "timeout"),
    (INVALID, ["[rtsp] Failed reading RTSP data: Immediate exit requested"], "timeout"),
    (http(b"404"), ["[rtsp] method DESCRIBE failed: 404 (Not Found)"], "not_found"),
    (errno.ENOENT, [], "not_found"),
    (http(b"401"), [], "unauthorised"),
    (http(b"403"), [], "unauthorised"),
    (errno.EIO, ["[rtsp] method DESCRIBE failed: 401 (Unauthorized)"], "unauthorised"),
    (errno.EIO, ["[tls] Peer certificate failed verification"], "tls"),
    (errno.EIO, ["[tls] The TLS connection was non-properly terminated."], "tls"),
    (INVALID, ["[rtsp] Failed reading RTSP data: Connection reset by peer"], "ended"),
    (http(b"DEC"), [], "codec"),
    (INVALID, [], "no_video"),
    (errno.EPROTONOSUPPORT, ["[rtsp] method SETUP failed: 461 (Unsupported transport)"], "failed"),
    (errno.EIO, [], "failed"),
    (None, [], "failed"),
]


@pytest.mark.parametrize(("number", "lines", "cause"), OPENING)
def test_an_error_while_opening_has_its_cause(number, lines, cause):
    assert cause == classify(number, "Input/output error", lines, "opening").cause


@pytest.mark.parametrize(
    ("number", "lines", "cause"),
    [
        (errno.ETIMEDOUT, [], "stalled"),
        (errno.ECONNRESET, [], "ended"),
        (errno.EIO, [], "ended"),
        (errno.EIO, ["[tls] The TLS connection was non-properly terminated."], "ended"),
        (errno.EIO, ["[http] Stream ends prematurely at 48, should be 99"], "ended"),
    ],
)
def test_an_error_while_playing_has_its_cause(number, lines, cause):
    assert cause == classify(number, "Input/output error", lines, "playing").cause


def test_a_secure_address_that_fails_without_a_word_failed_in_the_handshake():
    assert "tls" == classify(errno.EIO, "Input/output error", [], "opening", secure=True).cause


def test_an_unexplained_failure_after_the_whole_deadline_is_a_timeout():
    assert "timeout" == classify(errno.EIO, "Input/output error", [], "opening", secure=True, waited_out=True).cause


def test_a_name_that_does_not_resolve_is_not_repeated_as_it_may_be_a_piece_of_a_password():
    lines = ["[tcp] Failed to resolve hostname s3cret: Name or service not known"]
    assert "s3cret" not in classify(errno.EIO, "Input/output error", lines, "opening").words


@pytest.mark.parametrize("cause", LOSS_CAUSES)
def test_every_cause_has_a_sentence_and_hides_credentials(cause):
    error = loss(cause, where="rtsp://user:secret@host/1", got="x")
    assert cause == error.cause
    assert "secret" not in str(error)
    assert error.what
