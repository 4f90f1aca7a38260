"""Tracks as MOTChallenge text, which evaluation tools read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from streamdet.boxes import xyxy_to_xywh
from streamdet.errors import SinkLost
from streamdet.frames import Event, Frame, Result, TrackState
from streamdet.sinks.contract import Accepts
from streamdet.sinks.lines import LineFile
from streamdet.sinks.loss import make_writable_folder
from streamdet.sinks.naming import Earlier, Naming
from streamdet.sinks.options import SinkOptions


class MotOptions(SinkOptions):
    """MOTChallenge CSV files of tracks."""

    kind: Literal["mot"] = "mot"
    path: Annotated[
        Path,
        Field(description="A folder, with a file for each stream and epoch; or a name ending in .csv, for one stream."),
    ]
    boxes: Annotated[
        Literal["detected", "smoothed"], Field(description="The detector's boxes, or those of the tracker's filter.")
    ] = "detected"
    existing: Annotated[
        Earlier, Field(description="Files of earlier runs: keep them and number the new ones, or replace them.")
    ] = "keep"


@dataclass(slots=True)
class _Take:
    """What belongs together in one file."""

    epoch: int
    last_index: int
    file: LineFile


class Mot:
    """One line per tracked object: frame, id, left, top, width, height, score, class, visibility.

    Frames and classes count from 1, as MOTChallenge has it, so that class 0 of an engine (the person, with COCO's
    classes) is its pedestrian. Left and top are edges counted from 0, like everywhere else here. Visibility is not
    known: −1. Only objects of confirmed tracks are written: a box that is never seen again would cost more in every
    score than the one frame by which a track is confirmed late. A frame's lines are written all at once or not at all.
    """

    accepts: Accepts = "results"
    lossless = True
    needs_picture = False

    def __init__(self, options: MotOptions) -> None:
        self.name = options.name or options.kind
        self._options = options
        self._naming = Naming(options.path, ".csv", options.existing)
        self._takes: dict[str, _Take] = {}

    def open(self) -> None:
        """Make the folder; the files begin with their first frames."""
        make_writable_folder(self._naming.folder, "tracks cannot be written")

    def write(self, item: Result | Event) -> None:
        """The tracked objects of one frame."""
        if isinstance(item, Event) or not self._options.takes(item):
            return
        frame = item.frame
        take = self._take_for(frame)
        lines = _lines(item, self._options.boxes == "smoothed")
        if lines:
            take.file.append(lines)
        take.last_index = frame.index

    def close(self) -> None:
        """Let go of every file; writing goes on at their ends."""
        for take in self._takes.values():
            take.file.close()

    def _take_for(self, frame: Frame) -> _Take:
        take = self._takes.get(frame.stream)
        if take is not None and take.epoch == frame.epoch and take.last_index < frame.index:
            if not take.file.is_open:
                take.file.open("append")
            return take
        if take is not None:
            take.file.close()
        path = self._naming.next(frame.stream, frame.epoch)
        take = _Take(frame.epoch, -1, LineFile(path, is_ours=lambda start: start[:1].isdigit()))
        try:
            take.file.open("replace")
        except SinkLost:
            self._naming.give_back(path)
            raise
        self._takes[frame.stream] = take
        return take


def _lines(result: Result, smoothed: bool) -> bytes:
    found, tracks = result.detections, result.tracks
    if found is None or tracks is None:
        return b""
    number = result.frame.index + 1
    rows = np.flatnonzero((tracks.track_id >= 0) & (tracks.state == TrackState.CONFIRMED))
    placed = xyxy_to_xywh(tracks.smooth_xyxy[rows] if smoothed else found.xyxy[rows])
    lines = [
        f"{number},{track_id},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{score:.4f},{class_id + 1},-1\n"
        for track_id, (left, top, width, height), score, class_id in zip(
            tracks.track_id[rows].tolist(),
            placed.tolist(),
            found.score[rows].tolist(),
            found.class_id[rows].tolist(),
            strict=True,
        )
    ]
    return "".join(lines).encode()
