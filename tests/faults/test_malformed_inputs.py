"""64 inputs that are not as they should be: each ends as it may, in bounded time, with one message of ours at most."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_clips import film, joined, sound

from streamdet.errors import EndOfStream, StreamdetError
from streamdet.sources.catalogue import expand, make_source
from streamdet.sources.options import SourceOptions

Make = Callable[[Path], Path]

CODECS = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "avi": "mpeg4", "webm": "libvpx", "flv": "libx264"}
LONGEST_S = 20.0


def clip(folder: Path, ending: str) -> Path:
    """A second of moving noise: every byte of it matters."""
    rng = np.random.default_rng(11)
    pictures = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(25)]
    return film(folder / f"clip.{ending}", CODECS[ending], frames=25, picture=lambda k: pictures[k], options={"g": "8"})


def photo(folder: Path, ending: str) -> Path:
    path = folder / f"photo.{ending}"
    cv2.imwrite(str(path), np.random.default_rng(12).integers(0, 255, (48, 64, 3), np.uint8))
    return path


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def truncated(ending: str, share: float) -> Make:
    def make(folder: Path) -> Path:
        path = clip(folder, ending)
        return written(folder, path.name, path.read_bytes()[: int(path.stat().st_size * share)])

    return make


def flipped(ending: str, share: float) -> Make:
    """A share of all bits turned over, here and there."""

    def make(folder: Path) -> Path:
        path = photo(folder, ending) if ending in ("jpg", "png") else clip(folder, ending)
        bits = np.unpackbits(np.frombuffer(path.read_bytes(), np.uint8))
        bits ^= (np.random.default_rng(13).random(bits.size) < share).astype(np.uint8)
        return written(folder, path.name, np.packbits(bits).tobytes())

    return make


def renamed(make: Make, ending: str) -> Make:
    return lambda folder: (path := make(folder)).rename(path.with_suffix(f".{ending}"))


def patched(ending: str, old: bytes, new: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = clip(folder, ending)
        return written(folder, path.name, path.read_bytes().replace(old, new))

    return make


def timed(name: str, times_ms: list[int], **more: object) -> Make:
    return lambda folder: film(folder / name, frames=len(times_ms), times_ms=times_ms, **more)  # type: ignore[arg-type]


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def dangling(folder: Path) -> Path:
    (folder / "link.mp4").symlink_to(folder / "gone.mp4")
    return folder / "link.mp4"


def folder_like_a_file(folder: Path) -> Path:
    (folder / "clip.mp4").mkdir()
    return folder / "clip.mp4"


def sizes(ending: str, *each: tuple[int, int]) -> Make:
    def make(folder: Path) -> Path:
        container = {"h264": "h264", "ts": "mpegts"}[ending]
        parts = [film(folder / f"{k}.part", size=size, frames=6, container=container) for k, size in enumerate(each)]
        return joined(folder / f"sizes.{ending}", *parts)

    return make


def run_back(folder: Path) -> Path:
    late = film(folder / "late.ts", container_options={"output_ts_offset": "100"})
    early = film(folder / "early.ts")
    return joined(folder / "back.ts", late, early)


def cut_short(folder: Path) -> Path:
    path = photo(folder, "jpg")
    return written(folder, path.name, path.read_bytes()[:-500])


def text(name: str, content: str) -> Make:
    return lambda folder: written(folder, name, content.encode())


NOISE = np.random.default_rng(14).integers(0, 255, 50_000, np.uint8).tobytes()

# What becomes of it: "plays" at least one frame and ends; "lost" is told by one SourceLost or ConfigError; "either"
# depends on which bits were hit.
CASES: dict[str, tuple[Make, str]] = {
    **{f"{ending} cut to a tenth": (truncated(ending, 0.1), "either") for ending in CODECS},
    **{f"{ending} cut in half": (truncated(ending, 0.5), "either") for ending in CODECS},
    **{f"{ending} without its last bytes": (truncated(ending, 0.99), "either") for ending in CODECS},
    **{f"{ending} with one bit in a thousand flipped": (flipped(ending, 1e-3), "either") for ending in CODECS},
    **{f"{ending} with one bit in fifty flipped": (flipped(ending, 0.02), "either") for ending in CODECS},
    "jpg with flipped bits": (flipped("jpg", 1e-3), "either"),
    "png with flipped bits": (flipped("png", 1e-3), "either"),
    "empty mp4": (text("empty.mp4", ""), "lost"),
    "empty ts": (text("empty.ts", ""), "lost"),
    "empty png": (text("empty.png", ""), "lost"),
    "empty file without an ending": (text("empty", ""), "lost"),
    "picture called mp4": (renamed(lambda folder: photo(folder, "png"), "mp4"), "plays"),
    "film called jpg": (renamed(lambda folder: clip(folder, "mp4"), "jpg"), "either"),
    "film called avi": (renamed(lambda folder: clip(folder, "mkv"), "avi"), "plays"),
    "text called mp4": (text("letter.mp4", "Dear camera,\n" * 400), "lost"),
    "text called png": (text("letter.png", "Dear camera,\n" * 400), "lost"),
    "text": (text("letter.txt", "Dear camera,\n" * 400), "lost"),
    "web page called ts": (text("page.ts", "<html>" + "offline " * 900), "lost"),
    "noise called mp4": (lambda folder: written(folder, "noise.mp4", NOISE), "either"),
    "noise called ts": (lambda folder: written(folder, "noise.ts", NOISE), "either"),
    "noise called h264": (lambda folder: written(folder, "noise.h264", NOISE), "either"),
    "sound only, mp4": (lambda folder: sound(folder / "sound.mp4"), "lost"),
    "sound only, wav": (lambda folder: sound(folder / "sound.wav"), "lost"),
    "one frame": (lambda folder: film(folder / "one.mp4", frames=1), "plays"),
    "one pixel": (lambda folder: film(folder / "dot.mkv", "ffv1", frames=3, size=(1, 1)), "plays"),
    "16384 wide": (lambda folder: film(folder / "wide.mkv", "ffv1", frames=2, size=(16384, 16)), "plays"),
    "size that changes, h264": (sizes("h264", (64, 48), (320, 240), (48, 64)), "plays"),
    "size that changes, ts": (sizes("ts", (64, 48), (320, 240), (48, 64)), "plays"),
    "no times": (lambda folder: film(folder / "raw.h264", container="h264"), "plays"),
    "negative times": (timed("negative.nut", [-400, -200, 0, 200]), "plays"),
    "times that wrap": (
        lambda folder: film(folder / "wrap.ts", frames=60, container_options={"output_ts_offset": "95442.5"}),
        "plays",
    ),
    "times with a leap of a day": (timed("leap.mkv", [0, 40, 80, 86_400_000, 86_400_040]), "plays"),
    "times that run back": (run_back, "plays"),
    "jpg cut short": (cut_short, "lost"),
    "playlist that leads nowhere": (text("list.m3u8", "#EXTM3U\n#EXTINF:2,\ngone.ts\n#EXT-X-ENDLIST\n"), "lost"),
    "folder called mp4": (folder_like_a_file, "lost"),
    "no such codec": (patched("mp4", b"avc1", b"zzzz"), "lost"),
    "pipe that nobody writes": (fifo, "lost"),
    "link to nowhere": (dangling, "lost"),
}


def outcome(uri: str) -> tuple[int, StreamdetError]:
    """Frames read, and what ended it; anything but our own errors passes through and fails the test."""
    frames = 0
    try:
        (uri,) = expand(uri)
        source = make_source("bad", uri, SourceOptions(deadline_s=5))
    except StreamdetError as error:
        return 0, error
    try:
        source.open()
        while frames < 1000:
            frame = source.read()
            assert (frame.size[1], frame.size[0], 3) == frame.picture.rgb().shape
            frame.picture.release()
            frames += 1
        raise AssertionError("it does not end")
    except StreamdetError as error:
        return frames, error
    finally:
        source.close()


def test_there_are_64_of_them():
    assert 64 == len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_input_ends_as_it_may(tmp_path, capfd, name):
    make, wanted = CASES[name]
    path = make(tmp_path)
    capfd.readouterr()
    started_s = time.monotonic()
    frames, end = outcome(str(path))
    assert time.monotonic() - started_s < LONGEST_S
    assert ("", "") == tuple(capfd.readouterr())
    if wanted == "plays":
        assert frames > 0
        assert isinstance(end, EndOfStream)
    elif wanted == "lost":
        assert 0 == frames
        assert not isinstance(end, EndOfStream)
    else:
        assert frames > 0 or not isinstance(end, EndOfStream)
    if not isinstance(end, EndOfStream):
        assert "\n" not in end.what
        assert end.where
