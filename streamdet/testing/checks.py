"""One check per contract: what every source, backend, tracker and sink must do, asked of an implementation.

Each takes a function that makes a fresh one, and raises AssertionError with a sentence that says which promise was
broken. They are what the project's own stations are held to; hold yours to them too:

    def test_my_source_keeps_the_contract() -> None:
        check_source(lambda: MySource("mine"))
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import EndOfStream, SourceLost
from streamdet.frames import Detections, Event, Frame, Result
from streamdet.infer.contract import Backend
from streamdet.picture import PIXEL_FORMATS, Picture
from streamdet.sinks.contract import Sink
from streamdet.sources.contract import Source
from streamdet.tracking.contract import Tracker


@contextmanager
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()]
    assert not left, f"threads outlive close: {left}"


# ---- sources


def check_source(make: Callable[[], Source], frames: int = 5) -> None:
    """A source that has at least `frames` frames to give keeps its contract."""
    with _no_thread_left():
        _source_in_any_state(make())
        source = make()
        first = _source_reads(source, frames)
        source.close()
        source.close()
        again = _source_reads(source, min(frames, 2))
        source.close()
        if not source.live:
            assert first[0] == again[0], "a recorded source begins with the same frame after each open"
            _source_ends(make())


def _source_in_any_state(source: Source) -> None:
    assert source.name, "a source has a name"
    assert isinstance(source.live, bool)
    assert source.deadline_s > 0, "a source promises a deadline"
    source.close()
    source.close()
    try:
        source.read().picture.release()
    except SourceLost:
        pass
    else:
        raise AssertionError("read before open raises SourceLost")


def _source_reads(source: Source, frames: int) -> list[tuple[int, int, float]]:
    source.open()
    seen: list[tuple[int, int, float]] = []
    for _ in range(frames):
        frame = source.read()
        _check_picture(frame.picture)
        assert frame.size == frame.picture.size
        if seen and frame.epoch == seen[-1][0]:
            assert frame.pts_s > seen[-1][2], "pts_s strictly increases within an epoch"
            assert frame.index > seen[-1][1], "index increases within an epoch"
        else:
            assert frame.epoch == (seen[-1][0] + 1 if seen else 0), "epochs count from 0 at each open"
        assert frame.captured_at is None or frame.captured_at > 0
        seen.append((frame.epoch, frame.index, frame.pts_s))
        frame.picture.release()
    assert source.suspects() >= 0
    assert source.suspects() == 0, "suspects counts since the last call"
    return seen


def _source_ends(source: Source) -> None:
    source.open()
    for _ in range(100_000):
        try:
            source.read().picture.release()
        except EndOfStream:
            break
    try:
        source.read()
    except EndOfStream:
        source.close()
    else:
        raise AssertionError("after its end a recorded source goes on raising EndOfStream")


def _check_picture(picture: Picture) -> None:
    assert picture.format in PIXEL_FORMATS, f"{picture.format} is not in the closed list"
    assert picture.width > 0
    assert picture.height > 0
    for plane in picture.planes:
        assert not plane.flags.writeable, "planes are read-only: they may belong to the decoder"
    height, width = picture.planes[0].shape[:2]
    assert (width, height) in (picture.size, picture.size[::-1])
    picture.hold().release()
    assert picture.planes is not None, "a second holder keeps the picture"
    assert picture.host().size == picture.size


# ---- backends


def check_backend(backend: Backend) -> None:
    """A detector's backend keeps its contract, whatever its network finds."""
    manifest = backend.manifest
    nms = manifest.nms
    assert nms is not None, "check_backend is for detectors"
    largest = min(manifest.input.batch[1], 3)
    with _no_thread_left():
        session, other = backend.session(1), backend.session(1)
        shape = (manifest.input.channels, *manifest.input.size[::-1])
        dice = np.random.default_rng(1)
        pictures = dice.integers(0, 256, (largest, *shape), np.uint8)
        alone = []
        for n in range(manifest.input.batch[0], largest + 1):
            batch = session.input(n)
            assert batch.shape == (n, *shape)
            assert batch.dtype == np.uint8
            assert batch.ctypes.data == session.input(n).ctypes.data, "input(n) is the same memory at every call"
            batch[:] = pictures[:n]
            arrays = session.run(n)
            _check_arrays(arrays, n, nms.max_detections)
            alone = [{name: np.array(array[row]) for name, array in arrays.items()} for row in range(n)]
        other.input(largest)[:] = pictures
        for row, expected in enumerate(alone):
            found = other.run(largest)
            assert all(np.allclose(found[name][row], expected[name], atol=1e-3) for name in expected), (
                "two sessions give the same answer"
            )
        for each in (session, other):
            each.close()
            each.close()


def _check_arrays(arrays: Mapping[str, npt.NDArray[Any]], n: int, rows: int) -> None:
    expected = {"count": ((n,), "i4"), "xyxy": ((n, rows, 4), "f4"), "score": ((n, rows), "f4")}
    for name, (shape, kind) in {**expected, "class_id": ((n, rows), "i4")}.items():
        array = arrays[name]
        assert array.shape == shape, f"{name} is {array.shape}, not {shape}"
        assert array.dtype == np.dtype(kind), f"{name} is {array.dtype}"
    for picture, count in enumerate(arrays["count"]):
        score = arrays["score"][picture]
        assert (np.diff(score[:count]) <= 0).all(), "best first"
        assert not arrays["xyxy"][picture, count:].any(), "rows beyond count are zero"
        assert not score[count:].any(), "rows beyond count are zero"


# ---- trackers


def check_tracker(make: Callable[[], Tracker]) -> None:
    """A tracker keeps its contract: rows stay as they came, time may jump, nothing raises, nothing is shared."""
    clip = _walk(40)
    alone = [_ids(make_one, clip) for make_one in (make, make)]
    assert alone[0] == alone[1], "two instances on the same input give the same ids"
    first, second = make(), make()
    mixed: tuple[list[list[int]], list[list[int]]] = ([], [])
    for pts_s, found in clip:
        for tracker, ids in zip((first, second), mixed, strict=True):
            ids.append(tracker.update(found, pts_s).track_id.tolist())
    assert list(mixed) == alone, "instances share nothing"
    kept = {ids[0] for ids in alone[0][5:] if ids}
    assert len(kept) == 1, "an object that moves steadily keeps its id"
    assert -1 not in kept
    _tracker_takes_anything(make())
    tracker = make()
    for pts_s, found in clip:
        tracker.update(found, pts_s)
    assert tracker.active >= 1
    assert any(event.kind == "track_ended" for event in tracker.finish()), "finish ends the tracks that live"
    assert tracker.finish() == (), "finish ends each track once"


def _walk(frames: int) -> list[tuple[float, Detections]]:
    """One object going right, one that is only there for a while, in frames of uneven spacing."""
    clip = []
    for number in range(frames):
        pts_s = number / 25 + (0.013 if number % 3 else 0)
        rows = [[10 + 60 * pts_s, 20, 50 + 60 * pts_s, 100]]
        if 10 < number < 20:
            rows.append([300, 20, 340, 100])
        xyxy = np.array(rows, np.float32)
        clip.append((pts_s, Detections(xyxy, np.full(len(rows), 0.9, np.float32), np.zeros(len(rows), np.int32))))
    return clip


def _ids(make: Callable[[], Tracker], clip: Sequence[tuple[float, Detections]]) -> list[list[int]]:
    tracker = make()
    ids = []
    for pts_s, found in clip:
        before = found.xyxy.copy()
        tracks = tracker.update(found, pts_s)
        assert len(tracks.track_id) == len(tracks.state) == len(tracks.smooth_xyxy) == len(found), "row by row"
        assert tracks.track_id.dtype == np.int64
        assert np.array_equal(before, found.xyxy), "detections are read, never altered"
        ids.append(tracks.track_id.tolist())
    return ids


def _tracker_takes_anything(tracker: Tracker) -> None:
    broken = np.array([[0, 0, 9, 9], [np.nan, 0, 9, 9], [9, 9, 0, 0], [0, np.inf, 9, 9]], np.float32)
    rows = Detections(broken, np.array([0.9, 0.9, 0.9, np.nan], np.float32), np.zeros(4, np.int32))
    for pts_s in (0.0, 0.04, 0.04, -5.0, 7200.0, float("nan"), 7200.04):
        tracks = tracker.update(rows, pts_s)
        assert len(tracks.track_id) == 4, "row by row, also where the input is broken"
        assert (tracks.track_id[1:] == -1).all(), "a row that is no box belongs to no track"
    empty = tracker.update(Detections.empty(), 7201.0)
    assert len(empty.track_id) == 0


# ---- sinks


def check_sink(make: Callable[[], Sink], results: int = 8) -> None:
    """A sink keeps its contract. It is given small results of one stream, and events where it takes them."""
    with _no_thread_left():
        fresh = make()
        assert fresh.name, "a sink has a name"
        assert fresh.accepts in ("results", "events", "both")
        fresh.close()
        fresh.close()
        fresh.open()
        fresh.close()
        sink = make()
        sink.open()
        _write_some(sink, 0, results)
        sink.close()
        sink.close()
        sink.open()
        _write_some(sink, results, 2)
        sink.close()


def _write_some(sink: Sink, start: int, count: int) -> None:
    for number in range(start, start + count):
        if sink.accepts in ("results", "both"):
            y = np.full((48, 64), 40 + number, np.uint8)
            chroma = np.full((24, 32), 128, np.uint8)
            picture = Picture((y, chroma, chroma), "yuv420p")
            frame = Frame("gate", number, number / 25, picture)
            box = np.array([[8, 8, 40, 40]], np.float32)
            found = Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int32), ("thing",))
            if not sink.needs_picture:
                picture.release()  # a sink that did not ask for pixels must not look
            sink.write(Result(frame, found if number % 4 else None))
            picture.release()
        if sink.accepts in ("events", "both"):
            sink.write(Event("stream_state", "gate", 0, None, 1_700_000_000.0, {"state": "running"}))
