"""Pictures that a decoder leaves on a GPU. The decoder is FFmpeg's in software; its frames pretend to lie elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from streamdet.errors import EndOfStream, PictureReleased, SourceLost
from streamdet.frames import Frame
from streamdet.sources import hardware, reader, surfaces
from streamdet.sources.file import FileSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.planes import Orientation
from streamdet.sources.reader import Access, Reader
from streamdet.sources.surfaces import Surfaces
from streamdet.testing import check_source

FRAMES, GPU = 40, 1


class OnGpu:
    """A frame as PyAV gives it with is_hw_owned: no pixels, but planes with addresses, and a way to the host."""

    def __init__(self, frame: Any, stored: str = "nv12") -> None:
        self._frame = frame.reformat(format=stored)
        self.format, self.sw_format = SimpleNamespace(name="cuda"), self._frame.format
        self.lost = False

    @property
    def planes(self) -> list[Any]:
        names = ("buffer_ptr", "line_size", "width", "height")
        described = [{name: getattr(plane, name) for name in names} for plane in self._frame.planes]
        return [SimpleNamespace(**each, __dlpack_device__=lambda: (2, GPU)) for each in described]

    def reformat(self, format: str) -> Any:
        if self.lost:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        return self._frame.reformat(format=format)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


class Decoder:
    """What the pretended GPU decodes, and after how many packets it breaks down."""

    def __init__(self) -> None:
        self.stored = "nv12"
        self.fails_after = 10**9
        self.packets = 0
        self.opened_on: list[int | None] = []


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    made = Decoder()

    def frames_of(self: Reader, packet: Any) -> list[Any]:
        if self._gpu is None:
            return packet.decode()
        made.packets += 1
        if made.packets > made.fails_after:
            raise av.error.ExternalError(-542398533, "cuvidDecodePicture: CUDA_ERROR_ILLEGAL_ADDRESS")
        return [OnGpu(frame, made.stored) for frame in packet.decode()]

    def accelerator(gpu: int | None) -> None:
        made.opened_on.append(gpu)

    monkeypatch.setattr(reader, "why_not", lambda: None)
    monkeypatch.setattr(reader, "accelerator", accelerator)
    monkeypatch.setattr(hardware, "_given_up", {})
    monkeypatch.setattr(Reader, "_frames_of", frames_of)
    monkeypatch.setattr(Reader, "decoder", property(lambda self: "cpu" if self._gpu is None else f"cuda:{self._gpu}"))
    monkeypatch.setattr(Orientation, "of", classmethod(lambda cls, frame: cls()))
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 x 50, a key frame every ten pictures, B-frames between."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 70, 50, "yuv420p"
        y, x = np.mgrid[:50, :70]
        for number in range(FRAMES):
            gray = ((3 * x + 2 * y + 16 * number) % 256).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path


def source_of(clip: Path, **options: Any) -> FileSource:
    source = FileSource("s", clip, SourceOptions(**options))
    source.place = lambda: GPU
    return source


def frames_of(source: FileSource) -> Iterator[Frame]:
    source.open()
    with contextlib.suppress(EndOfStream):
        while True:
            yield source.read()
    source.close()


def test_pictures_stay_on_the_gpu_that_was_asked_for_and_their_host_copies_are_those_of_software(
    clip: Path, decoder: Decoder
):
    plain = [frame.picture.rgb() for frame in frames_of(FileSource("s", clip, SourceOptions(decode="cpu")))]
    source = source_of(clip)
    for expected, frame in zip(plain, frames_of(source), strict=True):
        assert (GPU, "nv12", (70, 50)) == (frame.picture.device, frame.picture.format, frame.size)
        luma, chroma = frame.picture.surface.planes
        assert ((50, 70), (25, 35, 2)) == (luma.shape, chroma.shape)
        first = np.frombuffer(ctypes.string_at(luma.pointer + 3 * luma.stride_bytes, 70), np.uint8)
        assert np.array_equal(first, frame.picture.planes[0][3])
        assert np.abs(expected.astype(int) - frame.picture.rgb()).max() <= 1
        assert "cuda:1" == source.decoder
        frame.picture.release()
    assert [GPU] == decoder.opened_on


def test_an_address_is_the_one_that_dlpack_names(clip: Path):
    frame = next(av.open(str(clip)).decode(video=0))
    for plane in frame.planes:
        assert np.from_dlpack(plane).ctypes.data == plane.buffer_ptr


def test_where_all_surfaces_are_lent_the_next_picture_comes_to_the_host_and_nobody_waits(clip: Path, decoder: Decoder):
    source = source_of(clip)
    held = list(frames_of(source))
    places = [frame.picture.device for frame in held]
    assert [GPU] * surfaces.SURFACES + [None] * (FRAMES - surfaces.SURFACES) == places
    for frame in held:
        frame.picture.release()
    assert [GPU] * 5 == [frame.picture.device for frame, _ in zip(frames_of(source), range(5), strict=False)]


def test_formats_that_engines_do_not_read_there_and_mirrored_ones_come_to_the_host(clip: Path, decoder: Decoder):
    decoder.stored = "yuv444p"
    assert {(None, "yuv422p")} == {(f.picture.device, f.picture.format) for f in frames_of(source_of(clip))}
    frame = OnGpu(next(av.open(str(clip)).decode(video=0)), "p010le")
    lender = Surfaces()
    assert (GPU, "p010") == (lambda p: (p.device, p.format))(lender.picture(frame, Orientation()))
    assert None is lender.picture(frame, Orientation(mirrored=True)).device


def test_a_gpu_that_is_lost_in_the_middle_of_a_file_costs_not_one_picture(
    clip: Path, decoder: Decoder, caplog: pytest.LogCaptureFixture
):
    expected = [frame.pts_s for frame in frames_of(FileSource("s", clip, SourceOptions(decode="cpu")))]
    decoder.fails_after = 17
    source = source_of(clip)
    with caplog.at_level(logging.WARNING):
        frames = list(frames_of(source))
    assert expected == [frame.pts_s for frame in frames]
    assert list(range(FRAMES)) == [frame.index for frame in frames]
    on_gpu = [frame.picture.device for frame in frames].count(GPU)
    assert 0 < on_gpu < 17
    assert {None} == {frame.picture.device for frame in frames[on_gpu:]}
    assert 0 == source.suspects()
    assert "decoded in software from here on, as cuda:1 failed 16 times in a row" in caplog.text
    assert FRAMES == len(list(frames_of(source_of(clip))))
    assert [GPU] == decoder.opened_on, "no other decoder is opened there"


def test_some_failures_are_the_videos_own(clip: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch):
    frames_of_packet = Reader._frames_of
    packets = iter(range(1000))

    def sometimes(self: Reader, packet: Any) -> list[Any]:
        if next(packets) in (20, 21, 22):
            raise av.error.InvalidDataError(-1094995529, "damaged")
        return frames_of_packet(self, packet)

    monkeypatch.setattr(Reader, "_frames_of", sometimes)
    source = source_of(clip)
    source.open()
    seen = 0
    with contextlib.suppress(EndOfStream):
        while True:
            source.read().picture.release()
            seen += 1
    assert "cuda:1" == source.decoder
    assert 3 == source.suspects()
    assert FRAMES - 10 <= seen < FRAMES


def test_cuda_asked_for_by_name_is_a_loss_when_it_breaks_down(clip: Path, decoder: Decoder):
    decoder.fails_after = 5
    with pytest.raises(SourceLost, match="16 times in a row") as raised:
        list(frames_of(source_of(clip, decode="cuda")))
    assert "codec" == raised.value.cause


def test_a_surface_that_was_lost_says_so_to_who_wants_its_pixels(clip: Path):
    frame = OnGpu(next(av.open(str(clip)).decode(video=0)))
    picture = Surfaces().picture(frame, Orientation())
    frame.lost = True
    with pytest.raises(PictureReleased, match="lost with the GPU"):
        _ = picture.planes


def test_without_an_engine_there_pictures_come_to_the_host(clip: Path, decoder: Decoder):
    source = source_of(clip)
    source.place = lambda: None
    assert {None} == {frame.picture.device for frame in frames_of(source)}
    assert [None] == decoder.opened_on


def test_such_a_source_keeps_the_contract_of_sources(clip: Path, decoder: Decoder):
    check_source(lambda: source_of(clip))
    assert {GPU} == set(decoder.opened_on)


def test_a_live_stream_whose_gpu_breaks_down_is_lost_and_comes_back_in_software(clip: Path, decoder: Decoder):
    access = Access(f"file:{clip}", "camera", remote=True, decode="auto", place=lambda: GPU)
    decoder.fails_after = 5
    first = Reader(access)
    with pytest.raises(SourceLost, match="16 times in a row") as raised:
        list(iter(first.next, None))
    first.close()
    assert "codec" == raised.value.cause
    again = Reader(access)
    assert again.next() is not None
    assert "cpu" == again.decoder
    again.close()
    assert [GPU] == decoder.opened_on
