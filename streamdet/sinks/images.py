"""Annotated pictures: one JPEG per picture of a folder, or one every so often from a video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from streamdet.drawing.canvas import Canvas
from streamdet.drawing.overlay import DrawOptions, Overlay
from streamdet.drawing.planes import canvas_of
from streamdet.frames import Event, Frame, Result
from streamdet.picture import Picture
from streamdet.sinks.contract import Accepts
from streamdet.sinks.loss import make_writable_folder, sink_lost
from streamdet.sinks.naming import Earlier, Naming
from streamdet.sinks.options import SinkOptions

_ACTION = "pictures cannot be written"


class ImagesOptions(SinkOptions):
    """Annotated JPEG pictures."""

    kind: Literal["images"] = "images"
    path: Annotated[Path, Field(description="A folder; or a name ending in .jpg, for one picture.")]
    every_s: Annotated[
        float | None,
        Field(
            gt=0, description="One picture every so many seconds of video; where not given, unrelated pictures only."
        ),
    ] = None
    quality: Annotated[int, Field(ge=1, le=100, description="Of the JPEG.")] = 90
    existing: Annotated[
        Earlier, Field(description="Pictures of earlier runs: keep them and number the new ones, or replace them.")
    ] = "keep"
    draw: Annotated[DrawOptions, Field(description="What is drawn on the pictures.")] = DrawOptions()


class Images:
    """Writes annotated pictures, each at once under its final name or not at all.

    Unrelated pictures (a glob, a folder) keep their names and get no header line; frames of a video are named after
    stream, epoch and frame number.
    """

    accepts: Accepts = "results"
    lossless = True
    needs_picture = True

    def __init__(self, options: ImagesOptions) -> None:
        self.name = options.name or options.kind
        self._options = options
        self._naming = Naming(options.path, ".jpg", options.existing)
        self._picture_draw = options.draw.model_copy(update={"header": False})
        self._overlays: dict[str, Overlay] = {}
        self._due: dict[str, tuple[int, float]] = {}  # stream → epoch, pts_s of the next picture

    def open(self) -> None:
        """Make the folder."""
        make_writable_folder(self._naming.folder, _ACTION)

    def write(self, item: Result | Event) -> None:
        """One picture, where one is due."""
        if isinstance(item, Event) or not self._options.takes(item):
            return
        frame = item.frame
        if frame.path is not None:
            canvas = canvas_of(frame.picture)
            Overlay(self._picture_draw).draw(canvas, item)
            self._save(canvas, frame, self._naming.next(Path(frame.path).stem))
        elif self._is_due(frame):
            canvas = canvas_of(frame.picture)
            self._overlays.setdefault(frame.stream, Overlay(self._options.draw)).draw(canvas, item)
            epoch = f"-epoch{frame.epoch}" if frame.epoch else ""
            self._save(canvas, frame, self._naming.next(f"{frame.stream}{epoch}-{frame.index:06d}"))
            assert self._options.every_s is not None
            self._due[frame.stream] = frame.epoch, frame.pts_s + self._options.every_s

    def close(self) -> None:
        """Nothing is left open."""
        self._overlays.clear()

    def _is_due(self, frame: Frame) -> bool:
        if self._options.every_s is None:
            return False
        epoch, due_s = self._due.get(frame.stream, (frame.epoch, frame.pts_s))
        return epoch != frame.epoch or frame.pts_s >= due_s - 1e-4

    def _save(self, canvas: Canvas, frame: Frame, path: Path) -> None:
        partial = path.with_name(path.name + ".part")
        try:
            partial.write_bytes(_jpeg(canvas, frame.size, self._options.quality))
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            self._naming.give_back(path)
            raise sink_lost(_ACTION, path, error) from error


def _jpeg(canvas: Canvas, size: tuple[int, int], quality: int) -> bytes:
    import cv2

    drawn = Picture((canvas.y, canvas.u, canvas.v), "yuv420p", full_range=canvas.full_range, matrix=canvas.matrix)
    width, height = size  # a JPEG may be odd: the canvas's row or column too many goes
    pixels: npt.NDArray[np.uint8] = drawn.rgb()[:height, :width, ::-1]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(encoded)
