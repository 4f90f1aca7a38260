"""Decoding on a GPU where there is none: asked for, it really fails; software takes over, or a message says why."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import EndOfStream, SourceLost
from streamdet.sources import hardware
from streamdet.sources.file import FileSource
from streamdet.sources.options import SourceOptions

if hardware.why_not() is None:
    pytest.skip("this machine has a GPU that decodes", allow_module_level=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(hardware._clip(av))
    return path


def played(source: FileSource) -> int:
    source.open()
    frames = 0
    with contextlib.suppress(EndOfStream):
        while True:
            source.read().picture.release()
            frames += 1
    source.close()
    return frames


def test_auto_decodes_in_software_where_there_is_no_gpu(clip: Path):
    source = FileSource("s", clip)
    source.open()
    assert "cpu" == source._player.reader.decoder
    source.close()
    assert 8 == played(source)


def test_a_gpu_that_fails_when_the_file_is_opened_is_said_and_software_takes_over(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("streamdet.sources.reader.why_not", lambda: None)  # av then really asks for the GPU
    source = FileSource("s", clip)
    with caplog.at_level(logging.WARNING):
        assert 8 == played(source)
    assert "decoded in software, as the GPU failed" in caplog.text


def test_cuda_asked_for_by_name_is_a_loss_with_the_reason_where_it_cannot_be_had(clip: Path):
    with pytest.raises(SourceLost, match="decode: cuda, and libnvcuvid") as raised:
        FileSource("s", clip, SourceOptions(decode="cuda")).open()
    assert "codec" == raised.value.cause


def test_cpu_never_asks(clip: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streamdet.sources.reader.why_not", None)
    assert 8 == played(FileSource("s", clip, SourceOptions(decode="cpu")))


def test_the_probe_believes_the_gpu_only_where_its_pictures_are_those_of_software(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: None)
    probe = hardware.why_not.__wrapped__
    assert "FFmpeg cannot use it" in (probe() or "")  # PyAV's own refusal, for want of a driver
    lumas = hardware._lumas
    monkeypatch.setattr(hardware, "_lumas", lambda av, clip, gpu: lumas(av, clip, None))
    assert "in software all the same" in (probe() or "")
    monkeypatch.setattr(hardware, "_lumas", lambda av, clip, gpu: (lumas(av, clip, None)[0], True))
    assert None is probe()
    monkeypatch.setattr(
        hardware,
        "_lumas",
        lambda av, clip, gpu: ([luma + np.uint8(gpu is not None) for luma in lumas(av, clip, None)[0]], True),
    )
    assert "other pictures" in (probe() or "")


def test_pictures_stay_on_the_gpu_that_is_named_in_the_context_that_all_share():
    assert {"primary_ctx": "1"} == hardware.accelerator().options
    assert (False, 0) == (hardware.accelerator().is_hw_owned, hardware.accelerator().device_id)
    there = hardware.accelerator(1)
    assert (True, 1, {"primary_ctx": "1"}) == (there.is_hw_owned, there.device_id, there.options)


def test_an_older_pyav_brings_pictures_to_the_host(monkeypatch: pytest.MonkeyPatch):
    real = av.codec.hwaccel.HWAccel

    def older(device_type, device=None, allow_software_fallback=True, options=None, flags=None):  # type: ignore[no-untyped-def]
        return real(device_type, device, allow_software_fallback, options, flags)

    monkeypatch.setattr("av.codec.hwaccel.HWAccel", older)
    assert (False, 1) == (hardware.accelerator(1).is_hw_owned, hardware.accelerator(1).device_id)
