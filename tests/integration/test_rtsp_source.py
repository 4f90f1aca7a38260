"""RTSP against a real server: what a camera does on a good day, and on all the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import pairwise

import pytest

from streamdet.errors import SourceLost
from streamdet.sources.catalogue import make_source
from streamdet.sources.network import NetworkSource
from streamdet.sources.options import SourceOptions

pytestmark = pytest.mark.integration

DEADLINE_S = 1.5


def source_of(url, **options):
    return NetworkSource("gate", url, SourceOptions(deadline_s=DEADLINE_S, **options))


def read(source, count):
    """Facts of so many frames, their pictures given back."""
    frames = []
    for _ in range(count):
        frame = source.read()
        frame.picture.release()
        frames.append(frame)
    return frames


def read_until_lost(source, limit_s=20.0):
    """The loss that ends the stream, and how long after the last frame it came."""
    started_s = last_s = time.monotonic()
    while time.monotonic() - started_s < limit_s:
        try:
            source.read().picture.release()
        except SourceLost as error:
            return error, time.monotonic() - last_s
        last_s = time.monotonic()
    raise AssertionError("the stream went on")


def loss_of_opening(source):
    started_s = time.monotonic()
    try:
        with pytest.raises(SourceLost) as caught:
            source.open()
    finally:
        source.close()
    return caught.value, time.monotonic() - started_s


@pytest.mark.parametrize("transport", ["auto", "tcp", "udp"])
def test_a_stream_plays_over_every_transport(rtsp_server, transport):
    source = source_of(rtsp_server(mounts={"/live": {}}).url(), transport=transport)
    source.open()
    frames = read(source, 30)
    source.close()
    assert list(range(frames[0].index, frames[0].index + 30)) == [frame.index for frame in frames]
    assert {0} == {frame.epoch for frame in frames}
    assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))
    assert pytest.approx(29 / 25, abs=0.2) == frames[-1].pts_s
    assert "arrival" == frames[0].time_source
    assert abs(frames[-1].captured_at - time.time()) < 5


def test_auto_falls_back_to_udp_where_the_server_refuses_tcp(rtsp_server):
    server = rtsp_server(mounts={"/live": {"protocols": "udp"}})
    refused, _ = loss_of_opening(source_of(server.url(), transport="tcp"))
    assert "failed" == refused.cause
    source = source_of(server.url())
    assert 5 == len(frames_once_it_plays(source, 5))
    source.close()


def frames_once_it_plays(source, count):
    """As a pipeline opens it: again, where the server has not yet put away what it refused (it says 5XX meanwhile)."""
    for _ in range(4):
        try:
            source.open()
            return read(source, count)
        except SourceLost:
            source.close()
            time.sleep(0.5)
    return []


def test_sender_reports_give_the_cameras_own_time_and_clock(rtsp_server):
    source = source_of(rtsp_server(mounts={"/live": {}}).url())
    source.open()
    frames = read(source, 1)
    until_s = time.monotonic() + 15
    while frames[-1].time_source != "rtcp" and time.monotonic() < until_s:
        frames += read(source, 1)
    frames += read(source, 20)
    source.close()
    dated = [frame for frame in frames if frame.time_source == "rtcp"]
    assert len(dated) >= 20
    assert all(0.03 < b.captured_at - a.captured_at < 0.05 for a, b in pairwise(dated))
    assert abs(dated[-1].clock_offset_s) < 1.0  # the same machine's clock, and the journey
    assert abs(dated[-1].captured_at - time.time()) < 5


def test_a_killed_server_is_an_ended_stream_then_refused_then_plays_again_from_a_key_frame(rtsp_server):
    server = rtsp_server(mounts={"/live": {"gop": 10}})
    source = source_of(server.url())
    source.open()
    read(source, 10)
    server.kill()
    lost, after_s = read_until_lost(source)
    assert lost.cause in ("ended", "refused")
    assert after_s < 1
    source.close()
    assert "refused" == loss_of_opening(source)[0].cause
    server.start()
    started_s = time.monotonic()
    source.open()
    first = read(source, 1)[0]
    assert time.monotonic() - started_s < 2.5
    assert (0, 0.0, "good") == (first.epoch, first.pts_s, first.quality)
    source.close()


def test_who_joins_in_the_middle_gets_nothing_before_the_key_frame(rtsp_server):
    server = rtsp_server(mounts={"/live": {"gop": 50}})
    watching = threading.Event()
    other = source_of(server.url())
    other.open()
    read(other, 20)

    def keep_watching():
        while not watching.is_set():
            read(other, 1)

    watcher = threading.Thread(target=keep_watching)
    watcher.start()
    try:
        source = source_of(server.url())
        source.open()
        first = read(source, 1)[0]
        skipped = source.suspects()
        source.close()
    finally:
        watching.set()
        watcher.join()
        other.close()
    assert skipped == first.index
    assert (0, "good") == (first.epoch, first.quality)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_frozen_server_is_noticed_within_the_deadline_and_a_second(rtsp_server, transport):
    server = rtsp_server(mounts={"/live": {}})
    source = source_of(server.url(), transport=transport)
    source.open()
    read(source, 10)
    server.freeze()
    lost, after_s = read_until_lost(source)
    source.close()
    assert "stalled" == lost.cause
    assert DEADLINE_S - 0.2 < after_s < DEADLINE_S + 1
    error, took_s = loss_of_opening(source)
    assert "timeout" == error.cause
    assert took_s < DEADLINE_S + 1
    server.thaw()


@pytest.mark.parametrize("credentials", ["", "viewer:wrong@", "stranger:secret@"])
def test_a_rejected_password_is_unauthorised_and_stays_out_of_the_message(rtsp_server, credentials):
    server = rtsp_server(mounts={"/live": {}}, user="viewer", password="s3cr@t/x")
    error, _ = loss_of_opening(source_of(server.url(credentials=credentials)))
    assert "unauthorised" == error.cause
    if credentials:
        text = f"{error} {error.line} {error!r} {error.__cause__} {error.__cause__!r}"
        assert credentials.split(":")[1] not in text


def test_a_password_with_special_characters_is_percent_encoded(rtsp_server):
    server = rtsp_server(mounts={"/live": {}}, user="viewer", password="s3cr@t/x")
    source = source_of(server.url(credentials="viewer:s3cr%40t%2Fx@"))
    source.open()
    assert 3 == len(read(source, 3))
    source.close()


def test_a_path_that_does_not_exist_is_not_found(rtsp_server):
    server = rtsp_server(mounts={"/live": {}})
    assert "not_found" == loss_of_opening(source_of(server.url("/nothing")))[0].cause


def test_an_untrusted_certificate_is_refused_a_given_one_is_trusted_and_verifying_may_be_waived(
    rtsp_server, certificate
):
    trusted, key = certificate
    server = rtsp_server(mounts={"/live": {}}, certificate=str(trusted), key=str(key))
    assert "tls" == loss_of_opening(source_of(server.url()))[0].cause
    for options in ({"tls_ca": trusted}, {"tls_verify": False}):
        source = source_of(server.url(), **options)
        source.open()
        assert 3 == len(read(source, 3))
        source.close()


def test_a_server_that_speaks_no_tls_is_a_tls_loss(rtsp_server):
    server = rtsp_server(mounts={"/live": {}})
    secure = server.url().replace("rtsp:", "rtsps:")
    assert loss_of_opening(source_of(secure))[0].cause in ("tls", "timeout")


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGSEGV, "crashed"), (signal.SIGKILL, "crashed"), (signal.SIGSTOP, "stalled")]
)
def test_an_isolated_stream_survives_its_decoder(rtsp_server, number, cause):
    server = rtsp_server(mounts={"/live": {"gop": 10}})
    source = make_source("gate", server.url(), SourceOptions(deadline_s=DEADLINE_S, isolate=True))
    source.open()
    read(source, 5)
    os.kill(source.child_pid, number)
    lost, after_s = read_until_lost(source)
    assert cause == lost.cause
    assert after_s < DEADLINE_S + 1
    source.close()
    source.open()
    assert 0 == read(source, 1)[0].epoch
    source.close()


def test_an_isolated_stream_reports_what_the_server_did(rtsp_server):
    server = rtsp_server(mounts={"/live": {}}, user="viewer", password="s3cret")
    options = SourceOptions(deadline_s=DEADLINE_S, isolate=True)
    source = make_source("gate", server.url(credentials="viewer:wr0ng@"), options)
    error, _ = loss_of_opening(source)
    assert "unauthorised" == error.cause
    assert "wr0ng" not in str(error)
    source = make_source("gate", server.url(credentials="viewer:s3cret@"), options)
    source.open()
    read(source, 5)
    server.freeze()
    lost, after_s = read_until_lost(source)
    source.close()
    server.thaw()
    assert "stalled" == lost.cause
    assert after_s < DEADLINE_S + 1


def test_many_connections_leave_nothing_behind(rtsp_server):
    server = rtsp_server(mounts={"/live": {"gop": 10}})
    source = source_of(server.url())

    def once():
        source.open()
        read(source, 2)
        source.close()

    once()
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(4):
        once()
    assert (descriptors, threads) == (len(os.listdir("/proc/self/fd")), threading.active_count())
