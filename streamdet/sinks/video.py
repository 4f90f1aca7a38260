"""Annotated video: what was found, drawn on the pictures it was found in, as MP4 files that any player shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from streamdet.drawing.overlay import DrawOptions, Overlay
from streamdet.drawing.planes import colours_of, even_size, lay_down
from streamdet.errors import SinkLost
from streamdet.frames import Event, Frame, Result
from streamdet.sinks.contract import Accepts
from streamdet.sinks.loss import make_folder, make_writable_folder
from streamdet.sinks.naming import Earlier, Naming
from streamdet.sinks.options import SinkOptions
from streamdet.sinks.recording import Recording

log = logging.getLogger(__name__)

_ACTION = "video cannot be written"
_GRACE_S = 10.0  # between the word that a stream has ended and its last frames, which may still be on their way

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]


class VideoOptions(SinkOptions):
    """Annotated MP4 files, H.264."""

    kind: Literal["video"] = "video"
    path: Annotated[
        Path,
        Field(description="A folder, with a file for each stream and epoch; or a name ending in .mp4, for one stream."),
    ]
    crf: Annotated[
        int, Field(ge=0, le=51, description="Quality: smaller is better and larger on disk; 23 is usual.")
    ] = 23
    preset: Annotated[Preset, Field(description="Time spent on compression.")] = "veryfast"
    bitrate_kbps: Annotated[int | None, Field(ge=10, description="Aim at this bit rate, instead of at a quality.")] = (
        None
    )
    max_fps: Annotated[
        float | None, Field(gt=0, description="At most so many frames per second; all where not given.")
    ] = None
    existing: Annotated[
        Earlier, Field(description="Files of earlier runs: keep them and number the new ones, or replace them.")
    ] = "keep"
    draw: Annotated[DrawOptions, Field(description="What is drawn on the pictures.")] = DrawOptions()


@dataclass(slots=True)
class _Take:
    """What belongs together in one file."""

    epoch: int
    looks: object  # size and colours; another one needs another file
    recording: Recording
    overlay: Overlay
    last_pts_s: float = float("-inf")
    due_s: float = float("-inf")


class Video:
    """Draws results on a copy of their planes and encodes it; a file per stream, epoch and picture size.

    A new epoch or size begins a new file, and so does time that runs backwards: a stream that was removed and added
    again. A while after the event that a stream has ended, its file is finished. Unrelated pictures are not a video:
    frames with a path of their own are passed over. An odd width or height is padded by one pixel, right or below,
    because H.264 at 4:2:0 knows even sizes only.
    """

    accepts: Accepts = "both"
    lossless = True
    needs_picture = True

    def __init__(self, options: VideoOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = options.name or options.kind
        self._options = options
        self._clock = clock
        self._naming = Naming(options.path, ".mp4", options.existing)
        self._takes: dict[str, _Take] = {}
        self._ended_s: dict[str, float] = {}  # streams said to have ended, and when

    def open(self) -> None:
        """Make the folder; the files begin with their first frames."""
        make_writable_folder(self._naming.folder, _ACTION)

    def write(self, item: Result | Event) -> None:
        """One more frame of its stream's file."""
        self._finish_ended()
        if not self._options.takes(item):
            return
        if isinstance(item, Event):
            self._note(item)
        elif item.frame.path is None:
            self._record(item)

    def close(self) -> None:
        """Finish every file, also where one of them cannot be; the first loss is raised."""
        self._ended_s.clear()
        losses: list[SinkLost] = []
        for stream in list(self._takes):
            try:
                self._finish(stream)
            except SinkLost as loss:
                losses.append(loss)
        if losses:
            raise losses[0]

    def _note(self, event: Event) -> None:
        if event.kind != "stream_state":
            return
        if event.fields.get("state") in ("ended", "failed"):
            self._ended_s[event.stream] = self._clock()
        else:
            self._ended_s.pop(event.stream, None)

    def _record(self, result: Result) -> None:
        frame = result.frame
        take = self._take_for(frame)
        if frame.pts_s < take.due_s - 1e-4:  # times are rounded somewhere on their way
            return
        canvas = take.recording.canvas
        lay_down(frame.picture, canvas)
        take.overlay.draw(canvas, result)
        try:
            take.recording.add(frame.pts_s)
        except SinkLost:
            # The frame comes again once the sink is opened again, in a new file: this one ends before it.
            del self._takes[frame.stream]
            if not take.recording.abandon():
                self._naming.give_back(take.recording.path)
            raise
        take.last_pts_s = frame.pts_s
        if self._options.max_fps is not None:
            take.due_s = max(take.due_s + 1 / self._options.max_fps, frame.pts_s)

    def _take_for(self, frame: Frame) -> _Take:
        looks = even_size(frame.picture), colours_of(frame.picture)
        take = self._takes.get(frame.stream)
        if take is not None and (take.epoch, take.looks) == (frame.epoch, looks) and take.last_pts_s < frame.pts_s:
            return take
        self._finish(frame.stream)
        path = self._naming.next(frame.stream, frame.epoch)
        options = self._options
        try:
            make_folder(self._naming.folder, _ACTION)
            recording = Recording(
                path, frame.picture, crf=options.crf, preset=options.preset, bitrate_kbps=options.bitrate_kbps
            )
        except SinkLost:
            self._naming.give_back(path)
            raise
        log.info("stream %s is recorded in %s", frame.stream, path)
        take = _Take(frame.epoch, looks, recording, Overlay(options.draw), due_s=frame.pts_s)
        self._takes[frame.stream] = take
        return take

    def _finish_ended(self) -> None:
        if not self._ended_s:
            return
        now_s = self._clock()
        for stream in [stream for stream, ended_s in self._ended_s.items() if now_s - ended_s > _GRACE_S]:
            del self._ended_s[stream]
            self._finish(stream)

    def _finish(self, stream: str) -> None:
        take = self._takes.pop(stream, None)
        if take is not None:
            take.recording.close()
