"""Scenes drawn by ourselves, as sources."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import ConfigError, EndOfStream, SourceLost
from streamdet.frames import Frame
from streamdet.sources.synthetic import SyntheticSource, parse

BARS = "synthetic:bars?seed=2&size=64x48&fps=10&duration=1"


def _all(source: SyntheticSource) -> list[Frame]:
    frames = []
    source.open()
    while True:
        try:
            frames.append(source.read())
        except EndOfStream:
            source.close()
            return frames


def test_a_recorded_scene_has_exact_times_and_ends() -> None:
    source = SyntheticSource("s", BARS)
    frames = _all(source)
    assert not source.live
    assert 1.0 == source.duration_s
    assert [k / 10 for k in range(10)] == [frame.pts_s for frame in frames]
    assert list(range(10)) == [frame.index for frame in frames]
    assert {("s", 0, "synthetic", None)} == {(f.stream, f.epoch, f.time_source, f.captured_at) for f in frames}


def test_opened_again_it_shows_the_same() -> None:
    source = SyntheticSource("s", BARS)
    first, second = _all(source), _all(source)
    assert all(
        np.array_equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one.picture.planes, other.picture.planes, strict=True)
    )


def test_the_truth_of_any_frame_can_be_asked() -> None:
    source = SyntheticSource("s", BARS)
    source.open()
    source.read()
    assert source.truth(0) != source.truth(5)
    assert source.truth(5) == SyntheticSource("s", BARS).truth(5)
    assert "bar" == source.truth(3)[0].name


def test_the_truth_is_written_beside(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "truth.jsonl"
    source = SyntheticSource("s", f"synthetic:plates?size=320x180&duration=0.4&truth={path}")
    frames = _all(source)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(frames) == len(lines) == 10
    assert {"streamdet.truth/1"} == {line["schema"] for line in lines}
    assert [frame.index for frame in frames] == [line["frame"] for line in lines]
    entry = lines[0]["objects"][0]
    assert ["truth_id", "class", "xyxy", "corners", "visible_ratio", "text", "format"] == list(entry)


def test_a_truth_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = SyntheticSource("s", f"{BARS}&truth={tmp_path}/file/truth.jsonl")
    with pytest.raises(ConfigError, match="truth cannot be written"):
        source.open()
    source.close()


def test_a_live_scene_comes_in_real_time() -> None:
    source = SyntheticSource("s", "synthetic:bars?size=64x48&fps=50&live=1&duration=0.3")
    before = time.time()
    started = time.monotonic()
    frames = _all(source)
    took_s = time.monotonic() - started
    assert source.live
    assert 0.27 < took_s < 2
    assert all(frame.captured_at is not None and frame.captured_at >= before for frame in frames)


def test_a_live_scene_goes_on_with_the_present_when_nobody_fetched() -> None:
    source = SyntheticSource("s", "synthetic:bars?size=64x48&fps=100&live=1")
    assert source.duration_s is None
    source.open()
    assert 0 == source.read().index
    time.sleep(0.15)
    late = source.read().index
    assert late >= 14
    assert source.read().index > late
    source.close()


def test_pictures_are_read_only_and_odd_sizes_work() -> None:
    source = SyntheticSource("s", "synthetic:plates?size=161x91&duration=0.04")
    (frame,) = _all(source)
    assert (161, 91) == frame.size
    assert [(91, 161), (46, 81), (46, 81)] == [plane.shape for plane in frame.picture.planes]
    assert not any(plane.flags.writeable for plane in frame.picture.planes)


def test_closing_is_idempotent_and_a_closed_source_cannot_be_read() -> None:
    source = SyntheticSource("s", BARS)
    source.close()
    source.open()
    source.close()
    source.close()
    with pytest.raises(SourceLost):
        source.read()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("synthetic:plate", "synthetic:plates or synthetic:bars"),
        ("synthetic:", "no such synthetic scene"),
        ("synthetic:plates?sede=1", "seed, fps, size"),
        ("synthetic:bars?density=1", "count"),
        ("synthetic:plates?seed=1&seed=2", "twice"),
        ("synthetic:plates?fps=fast", "Frames per second"),
        ("synthetic:plates?size=big", "1280x720"),
        ("synthetic:plates?size=4x4", "16 to 8192"),
        ("synthetic:plates?seed=-1", "seed"),
        ("synthetic:plates?duration=0", "duration"),
    ],
)
def test_a_wrong_uri_is_one_clear_message(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(uri)
    assert message in str(caught.value)


def test_countries_are_checked_and_kept() -> None:
    with pytest.raises(ConfigError, match="no plates of these countries"):
        SyntheticSource("s", "synthetic:plates?size=64x64&countries=RO,QQ")
    source = SyntheticSource("s", "synthetic:plates?size=320x180&countries=nl")
    assert {"NL/car"} == {entry.format_key for k in range(20) for entry in source.truth(k * 10)}
