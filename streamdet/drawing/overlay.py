"""What a result looks like: boxes, labels, points, paths and a header line, on a canvas."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.drawing.canvas import Canvas, Tile
from streamdet.drawing.colours import AMBER, GREEN, GREY, INK, WHITE, Rgb, colour_of, ink_on
from streamdet.drawing.placing import Places
from streamdet.drawing.text import words
from streamdet.drawing.tinting import tint
from streamdet.drawing.trails import Trails
from streamdet.frames import Detections, Readings, Result, TextState, Tracks
from streamdet.masks import ClassMap, Mask, pasted
from streamdet.records import wall_time

_OF_STATE: dict[TextState | None, Rgb] = {"final": GREEN, "provisional": AMBER, "single": GREY}
_CORNERS = 4
_TINT = 0.45  # how much of an area's colour covers the picture
_CLASSES_TOLD = 3
_LONGEST_TEXT = 13  # characters in a label: no plate has more, and of a hash they are enough


class DrawOptions(BaseModel):
    """What is drawn on a picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: Annotated[bool, Field(description="Class, track id and score beside each box.")] = True
    texts: Annotated[bool, Field(description="What was read, in the colour of how settled it is.")] = True
    scores: Annotated[bool, Field(description="The score in the label.")] = True
    header: Annotated[bool, Field(description="Stream, time and number of objects at the top.")] = True
    keypoints: Annotated[
        bool, Field(description="Points that the engine gives; four corners are drawn as an outline.")
    ] = True
    masks: Annotated[
        bool, Field(description="The area of each object, or of each class, where the engine gives it, tinted.")
    ] = True
    coasting: Annotated[
        bool, Field(description="Dashed boxes where tracks are believed to be that no detection matched.")
    ] = True
    trail_s: Annotated[float, Field(ge=0, le=60, description="How long a track's path stays visible; 0: no paths.")] = (
        1.5
    )
    point_score: Annotated[float, Field(ge=0, le=1, description="Points below this score are left out.")] = 0.3


class Overlay:
    """Draws the results of one stream, in order; it remembers nothing but the paths of the tracks.

    `draw` needs a canvas that shows the result's picture; it never touches the picture itself.
    """

    def __init__(self, options: DrawOptions) -> None:
        self._options = options
        self._trails = Trails(options.trail_s)

    def draw(self, canvas: Canvas, result: Result) -> None:
        """Everything about one result."""
        pen = _Pen(canvas)
        if result.private_xyxy is not None:
            for box in pen.corners(result.private_xyxy):
                canvas.conceal(*box)
        tracks = result.tracks
        if self._options.masks and result.detections is not None and result.detections.class_map is not None:
            _tint_classes(pen, result.detections.class_map, result.frame.size)
        if self._options.trail_s > 0 and tracks is not None:
            self._trails.extend(result.frame.epoch, result.frame.pts_s, tracks)
            for track_id, points in self._trails.lines():
                canvas.line(points, pen.thickness, canvas.colour(colour_of(track_id)))
        if self._options.coasting and tracks is not None:
            _draw_coasting(pen, tracks)
        header = _header(pen, result) if self._options.header else []
        if result.detections is not None:
            places = Places(canvas.size)
            for tile, left, top in header:
                places.reserve(tile, left, top)
            self._draw_objects(pen, places, result.detections, tracks, result.readings)
        for tile, left, top in header:
            canvas.paste(tile, left, top)

    def _draw_objects(
        self, pen: _Pen, places: Places, found: Detections, tracks: Tracks | None, readings: Readings | None
    ) -> None:
        texts = readings if self._options.texts else None
        colours = [_colour(found, tracks, texts, row) for row in range(len(found))]
        corners = pen.corners(found.xyxy)
        if self._options.masks and found.masks is not None:
            for row in reversed(range(len(found))):
                part, corner = pasted(found.masks[row], found.xyxy[row].tolist(), pen.canvas.size)
                pen.tint(part, corner, colours[row])
        # The best rows come first and are drawn last: on top.
        points = found.keypoints if self._options.keypoints else None
        for row in reversed(range(len(found))):
            if points is None or not self._spans(points[row]):
                pen.canvas.outline(corners[row], pen.thickness, pen.canvas.colour(colours[row]))
        if points is not None:
            for row in reversed(range(len(found))):
                self._draw_points(pen, points[row], colours[row])
        if self._options.labels:
            labels = []
            for row in range(len(found)):
                variants = _plate_texts(texts, tracks, row) or _label_texts(found, tracks, row, self._options.scores)
                tiles = [pen.tile(text, ink_on(colours[row]), colours[row]) for text in variants]
                labels.append(places.choose(tiles, corners[row]))
            for tile, left, top in reversed(labels):
                pen.canvas.paste(tile, left, top)

    def _spans(self, points: npt.NDArray[np.float32]) -> bool:
        """Four sure corners: their outline stands in place of the box."""
        return len(points) == _CORNERS and bool((points[:, 2] >= self._options.point_score).all())

    def _draw_points(self, pen: _Pen, points: npt.NDArray[np.float32], colour: Rgb) -> None:
        if self._spans(points):
            outline = np.concatenate([points, points[:1]])[:, :2]
            pen.canvas.line(outline, pen.thickness, pen.canvas.colour(colour))
            return
        for x, y, score in points.tolist():
            if score >= self._options.point_score:
                pen.canvas.disc(x, y, pen.thickness, pen.canvas.colour(colour), pen.canvas.colour(INK))


class _Pen:
    """A canvas, and the widths that suit its size."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        short = min(canvas.size)
        self.thickness = max(round(short / 540), 1) * 2  # 2 at 432p and 720p, 4 at 1080p, 8 at 2160p
        self.letter_px = min(max(round(short / 68), 10), 40)  # 10 at 432p, 11 at 720p, 16 at 1080p

    def corners(self, xyxy: npt.NDArray[np.float32]) -> list[tuple[int, int, int, int]]:
        """Whole, even corners within reach of the canvas."""
        width, height = self.canvas.size
        bounded = np.clip(np.nan_to_num(xyxy), -64, np.array([width, height, width, height]) + 64)
        snapped = np.rint(bounded / 2).astype(np.int64) * 2
        snapped[:, 2:] = np.maximum(snapped[:, 2:], snapped[:, :2] + 2)
        return [(left, top, right, bottom) for left, top, right, bottom in snapped.tolist()]

    def tint(self, part: Mask, corner: tuple[int, int], rgb: Rgb) -> None:
        """An area in a colour that lets the picture through."""
        if part.any():
            self.canvas.paste(*tint(part, corner, self.canvas.colour(rgb), _TINT))

    def tile(self, text: str, ink: Rgb, background: Rgb, opacity: float = 1.0) -> Tile:
        """A line of text in this canvas's colours."""
        return words(text, self.letter_px, ink, background, opacity, self.canvas.matrix, self.canvas.full_range)


def _tint_classes(pen: _Pen, class_map: ClassMap, size: tuple[int, int]) -> None:
    labels = class_map.at(size)
    for label in np.unique(labels).tolist():
        if label:
            pen.tint((labels == label).view(np.uint8), (0, 0), colour_of(label - 1))


def _colour(found: Detections, tracks: Tracks | None, texts: Readings | None, row: int) -> Rgb:
    if texts is not None and texts.text[row] is not None:
        return _OF_STATE[texts.state[row]]
    if tracks is None:
        return colour_of(int(found.class_id[row]))
    track_id = int(tracks.track_id[row])
    return GREY if track_id < 0 else colour_of(track_id)


def _plate_texts(texts: Readings | None, tracks: Tracks | None, row: int) -> list[str]:
    """What the vote says is written there, which does not change from frame to frame; none where nothing is known."""
    text = None if texts is None else texts.text[row]
    if text is None:
        return []
    shown = text.reveal()[:_LONGEST_TEXT]
    track_id = -1 if tracks is None else int(tracks.track_id[row])
    return [shown] if track_id < 0 else [f"{shown} #{track_id}", shown]


def _label_texts(found: Detections, tracks: Tracks | None, row: int, scores: bool) -> list[str]:
    """The label from its fullest to its shortest form."""
    name = found.name(row)
    track_id = -1 if tracks is None else int(tracks.track_id[row])
    texts = [name] if track_id < 0 else [f"{name} #{track_id}", f"#{track_id}"]
    return [f"{texts[0]} {found.score[row]:.2f}", *texts] if scores else texts


def _draw_coasting(pen: _Pen, tracks: Tracks) -> None:
    coasting = tracks.coasting
    for row, corners in enumerate(pen.corners(coasting.xyxy)):
        colour = pen.canvas.colour(colour_of(int(coasting.track_id[row])))
        pen.canvas.outline(corners, pen.thickness, colour, dash=4 * pen.thickness)


def _header(pen: _Pen, result: Result) -> list[tuple[Tile, int, int]]:
    """The tiles of the header line and where their corners go."""
    width, _ = pen.canvas.size
    margin = pen.letter_px // 2 & ~1
    left = pen.tile(f"{result.frame.stream}   {_time_text(result)}", WHITE, INK, 0.72)
    text, background = _state_text(result)
    right = pen.tile(text, ink_on(background), background, 0.72 if background == INK else 1.0)
    tiles = [(left, margin, margin)]
    beside = (width - margin - right.size[0]) & ~1
    if beside >= margin + left.size[0]:
        tiles.append((right, beside, margin))
    elif background != INK:  # no room beside it, and worth a line of its own
        tiles.append((right, margin, margin + left.size[1] + 2))
    return tiles


def _state_text(result: Result) -> tuple[str, Rgb]:
    if result.detections is None:
        return f"unknown: {result.unknown_reason}" if result.unknown_reason else "unknown", AMBER
    count = len(result.detections)
    text = "1 object" if count == 1 else f"{count} objects"
    if result.detections.class_map is not None and not count:
        text = _covered_text(result.detections.class_map)
    if result.frame.quality == "suspect":
        return f"{text}, damaged picture", AMBER
    return text, INK


def _covered_text(class_map: ClassMap) -> str:
    """The classes that cover most, and how much."""
    shares = np.bincount(class_map.labels.reshape(-1), minlength=1 + len(class_map.names))[1:] / class_map.labels.size
    largest = [number for number in np.argsort(-shares, kind="stable")[:_CLASSES_TOLD].tolist() if shares[number]]
    return ", ".join(f"{class_map.names[number]} {100 * shares[number]:.1f} %" for number in largest) or "nothing"


def _time_text(result: Result) -> str:
    shown = wall_time(result.frame.captured_at)
    if shown is not None:
        return shown.replace("T", " ").replace("Z", " UTC")
    return clock_text(result.frame.pts_s)


def clock_text(seconds: float) -> str:
    """Seconds as 0:01:07.250."""
    sign = "-" if seconds < 0 else ""
    total_ms = round(abs(seconds) * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
