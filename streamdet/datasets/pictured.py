"""Labels drawn on pictures, for people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import Objects, Rgb
from streamdet.drawing.colours import GREY, colour_of, ink_on

_PAPER = 24  # the grey between pictures


def draw_labels(rgb: Rgb, objects: Objects, classes: Sequence[str], *, marked: int | None = None) -> Rgb:
    """A copy with boxes, outlines, keypoints and class names; ignored objects in grey, row `marked` thick."""
    picture = np.ascontiguousarray(rgb).copy()
    thick = max(1, round(max(picture.shape[:2]) / 500))
    for row in np.argsort(np.arange(len(objects)) == marked, kind="stable").tolist():  # the marked one last, on top
        xyxy = objects.xyxy[row]
        if not np.isfinite(xyxy).all():
            continue
        class_id = int(objects.class_id[row])
        colour = GREY if objects.ignored[row] else colour_of(max(class_id, 0))
        left, top, right, bottom = (round(float(edge)) for edge in np.clip(xyxy, -1e4, 1e5))
        width = thick * 3 if row == marked else thick
        cv2.rectangle(picture, (left, top), (right, bottom), colour, width)
        for ring in objects.polygons[row] if objects.polygons is not None else ():
            cv2.polylines(picture, [np.rint(ring).astype(np.int32)], True, colour, thick, cv2.LINE_AA)
        if objects.keypoints is not None:
            _draw_points(picture, objects.keypoints[row], colour, thick)
        if objects.ignored[row] and row != marked:
            continue
        name = classes[class_id] if 0 <= class_id < len(classes) else "?"
        text = f"{name} {objects.texts[row]}" if objects.texts is not None and objects.texts[row] else name
        _write(picture, text, left, top, colour, thick)
    return picture


def _draw_points(picture: Rgb, points: npt.NDArray[np.float32], colour: tuple[int, int, int], thick: int) -> None:
    """Visible points; the first is ringed, so that the order can be seen."""
    for number, (x, y, visible) in enumerate(points):
        if visible > 0:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2 * thick, colour, -1, cv2.LINE_AA)
            if number == 0:
                cv2.circle(picture, (round(float(x)), round(float(y))), 4 * thick, colour, thick, cv2.LINE_AA)


def _write(picture: Rgb, text: str, left: int, top: int, colour: tuple[int, int, int], thick: int) -> None:
    scale = 0.4 * thick
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    bottom = top if top >= height + 4 else top + height + 4  # inside where there is no room above
    cv2.rectangle(picture, (left, bottom - height - 4), (left + width + 4, bottom), colour, -1)
    cv2.putText(picture, text, (left + 2, bottom - 3), cv2.FONT_HERSHEY_DUPLEX, scale, ink_on(colour), 1, cv2.LINE_AA)


def fit_into(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture as large as it fits, in the middle of a dark cell of that width and height."""
    ratio = min(size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    wanted = (max(round(rgb.shape[1] * ratio), 1), max(round(rgb.shape[0] * ratio), 1))
    small = cv2.resize(rgb, wanted, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    cell = np.full((size[1], size[0], 3), _PAPER, np.uint8)
    left, top = (size[0] - wanted[0]) // 2, (size[1] - wanted[1]) // 2
    cell[top : top + wanted[1], left : left + wanted[0]] = small
    return cell


def contact_sheet(pictures: Sequence[Rgb], columns: int = 4, cell: tuple[int, int] = (480, 360)) -> Rgb:
    """Pictures in rows, left to right."""
    gap = 6
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (cell[1] + gap) + gap, columns * (cell[0] + gap) + gap, 3), _PAPER, np.uint8)
    for number, picture in enumerate(pictures):
        left, top = gap + number % columns * (cell[0] + gap), gap + number // columns * (cell[1] + gap)
        sheet[top : top + cell[1], left : left + cell[0]] = fit_into(picture, cell)
    return sheet


def around(rgb: Rgb, xyxy: Sequence[float], least: int = 96) -> tuple[Rgb, tuple[int, int]]:
    """The part of a picture around a box, twice as large as the box and at least so many pixels, and its corner."""
    height, width = rgb.shape[:2]
    edges = np.nan_to_num(np.array(xyxy, np.float64), posinf=1e5, neginf=-1e5)
    middle = np.clip((edges[:2] + edges[2:]) / 2, 0, (width, height))
    half = max(float(np.abs(edges[2:] - edges[:2]).max()), least / 2)
    left, top = (int(value) for value in np.clip(middle - half, 0, (width - 1, height - 1)))
    right, bottom = (int(np.ceil(value)) for value in np.clip(middle + half, (left + 1, top + 1), (width, height)))
    return rgb[top:bottom, left:right], (left, top)
