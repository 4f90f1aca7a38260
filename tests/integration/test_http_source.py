"""HTTP and HLS against a real web server."""

from __future__ import annotations

import socket
import threading
import time

import av
import numpy as np
import pytest
from made_clips import film

from streamdet.errors import EndOfStream, SourceLost
from streamdet.sources.network import NetworkSource
from streamdet.sources.options import SourceOptions

pytestmark = pytest.mark.integration

DEADLINE_S = 1.5
RNG = np.random.default_rng(5)
NOISE = [RNG.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(10)]


def source_of(url):
    return NetworkSource("web", url, SourceOptions(deadline_s=DEADLINE_S))


def play(source):
    """How many frames it gave, and what ended it."""
    count = 0
    try:
        source.open()
        while True:
            source.read().picture.release()
            count += 1
    except (EndOfStream, SourceLost) as end:
        return count, end
    finally:
        source.close()


@pytest.fixture
def recording(tmp_path):
    """Four seconds that compress badly, so that the server can fail in the middle."""
    path = tmp_path / "film.mp4"
    return film(
        path, frames=100, size=(160, 120), picture=lambda k: NOISE[k % 10], container_options={"movflags": "faststart"}
    )


def test_a_recording_plays_to_its_end(web_server, recording):
    source = source_of(web_server.url("film.mp4?token=1"))
    assert not source.live
    count, end = play(source)
    assert (100, EndOfStream) == (count, type(end))


def test_a_recording_in_hls_is_known_by_its_duration(web_server, tmp_path):
    film(
        tmp_path / "film.m3u8",
        frames=100,
        container="hls",
        options={"g": "25"},
        container_options={"hls_time": "1", "hls_playlist_type": "vod"},
    )
    source = source_of(web_server.url("film.m3u8"))
    assert source.live
    source.open()
    assert not source.live
    assert pytest.approx(4.0, abs=0.1) == source.duration_s
    source.close()
    count, end = play(source)
    assert (100, EndOfStream) == (count, type(end))


def test_a_server_that_hangs_up_in_the_middle_is_a_loss_not_an_end(web_server, recording):
    web_server.dead_after = recording.stat().st_size // 2
    count, end = play(source_of(web_server.url("film.mp4")))
    assert 20 < count < 80
    assert "ended" == getattr(end, "cause", None)


def test_a_server_that_falls_silent_is_noticed_within_the_deadline(web_server, recording):
    web_server.silent_after = recording.stat().st_size // 2
    source = source_of(web_server.url("film.mp4"))
    source.open()
    last_s = time.monotonic()
    with pytest.raises(SourceLost) as caught:  # noqa: PT012
        while True:
            source.read().picture.release()
            last_s = time.monotonic()
    source.close()
    assert "stalled" == caught.value.cause
    assert time.monotonic() - last_s < DEADLINE_S + 1


@pytest.mark.parametrize("name", ["none.mp4", "none.m3u8"])
def test_what_is_not_there_is_not_found(web_server, name):
    _, end = play(source_of(web_server.url(name)))
    assert "not_found" == getattr(end, "cause", None)


def test_a_page_is_no_video(web_server, tmp_path):
    (tmp_path / "index.html").write_text("<html><body>camera offline</body></html>" * 50)
    _, end = play(source_of(web_server.url("index.html")))
    assert "no_video" == getattr(end, "cause", None)


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtsps"])
@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_says_nothing_or_drips_is_given_up_within_the_deadline(scheme, drip):
    closing = threading.Event()

    def answer(connection):
        with connection:
            while not closing.wait(0.1):
                try:
                    if drip:
                        connection.send(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        accepting = threading.Thread(target=lambda: answer(listener.accept()[0]))
        accepting.start()
        started_s = time.monotonic()
        _, end = play(source_of(f"{scheme}://127.0.0.1:{port}/live"))
        took_s = time.monotonic() - started_s
        closing.set()
        accepting.join()
    assert getattr(end, "cause", None) in (("timeout", "tls") if scheme.endswith("s") else ("timeout",))
    assert took_s < DEADLINE_S + 1


def test_live_hls_comes_at_its_own_pace_and_a_playlist_that_stops_growing_is_a_stall(web_server, tmp_path):
    stop = threading.Event()

    def broadcast():
        options = {"hls_time": "1", "hls_list_size": "4", "hls_flags": "delete_segments"}
        with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options=options) as out:
            stream = out.add_stream("libx264", rate=25, options={"g": "25", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            started_s = time.monotonic()
            k = 0
            while not stop.wait(max(0.0, started_s + k / 25 - time.monotonic())):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), k % 255, np.uint8), format="rgb24")
                out.mux(stream.encode(frame))
                k += 1
            (tmp_path / "last.m3u8").write_bytes((tmp_path / "live.m3u8").read_bytes())  # before it is finished

    station = threading.Thread(target=broadcast)
    station.start()
    try:
        time.sleep(4.0)
        source = source_of(web_server.url("live.m3u8"))
        source.open()
        assert source.live
        started_s = time.monotonic()
        frames = [source.read() for _ in range(50)]
        assert 1.5 < time.monotonic() - started_s < 4.0
        assert {"arrival"} == {frame.time_source for frame in frames}
        source.close()
    finally:
        stop.set()
        station.join()
    playlist = (tmp_path / "last.m3u8").read_text()
    assert "ENDLIST" not in playlist
    source = source_of(web_server.url("last.m3u8"))
    count, end = play(source)
    assert count > 0
    assert "stalled" == getattr(end, "cause", None)
