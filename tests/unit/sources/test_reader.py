"""What the reader does with streams that may fall silent."""

from __future__ import annotations

import logging

import av
import pytest
from made_clips import film

from streamdet.errors import SourceLost
from streamdet.sources.ffmpeg import load, scrub, told
from streamdet.sources.reader import Access, Reader


@pytest.fixture
def without_keys(tmp_path):
    """Pictures that only follow others: the key frame at their head is cut away."""
    whole = film(tmp_path / "whole.mkv", frames=40, options={"g": "100"})
    path = tmp_path / "headless.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if number and packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return path


def test_a_live_stream_that_never_sends_a_key_frame_is_lost_after_its_patience(without_keys):
    access = Access(f"file:{without_keys}", "gate", remote=True, deadline_s=1e-9, key_frame_s=1e-9)
    with pytest.raises(SourceLost):
        Reader(access).next()
    reader = Reader(Access(f"file:{without_keys}", "gate", remote=True, deadline_s=5.0, key_frame_s=5.0))
    assert reader.next() is None
    assert 39 == reader.suspects
    reader.close()
    reader.close()


def test_ffmpegs_lines_are_kept_from_the_terminal_and_lose_their_passwords(capfd):
    module = load()
    module.logging.log(module.logging.ERROR, "rtsp", "cannot open rtsp://user:s3cret@host/1")
    assert ("", "") == tuple(capfd.readouterr())
    with module.logging.Capture() as logs:
        module.logging.log(module.logging.ERROR, "rtsp", "cannot open rtsp://user:s3cret@host/1\n")
    assert ["[rtsp] cannot open rtsp://***@host/1"] == told(logs)
    assert not logging.getLogger("libav").propagate


def test_an_ffmpeg_error_forgets_the_address_that_it_carries():
    module = load()
    with pytest.raises(module.error.FFmpegError) as caught:
        module.open("rtsp://user:s3cret@127.0.0.1:1/live")
    scrub(caught.value)
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.args}"
