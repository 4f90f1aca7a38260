"""The pictures of the report on plates: curves of the trainings, and what the reader gets right and wrong.

Only rendered plates are shown: a report may be passed on, and photographs of plates belong to others.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.drawing.colours import colour_of
from streamdet.errors import DataError
from streamdet.evaluation.plate_tasks import Station
from streamdet.frames import Frame
from streamdet.picture import Picture
from streamdet.plates.reader import PlateView
from streamdet.scenes.plate_crops import Crop, CropOptions, plate_crop
from streamdet.scenes.plate_kinds import Kinds
from streamdet.scenes.street import Street

Rgb = npt.NDArray[np.uint8]

_CROPS = 400  # looked at for right and wrong ones
_SHOWN = 12  # of each
_COLUMNS = 4
_ZOOM = 2
_CAPTION_PX = 22
_SEED = 91_000
_STREET_PX = (1280, 720)


def take_curves(run: Path, which: str, folder: Path) -> None:
    """The curves that a training has drawn when it ended."""
    for name in ("losses", "scores"):
        try:
            shutil.copy(run / "plots" / f"{name}.png", folder / f"{name}-{which}.png")
        except FileNotFoundError as error:
            raise DataError("this training has drawn no curves", where=run, hint="has it come to its end?") from error


def draw_read(suite: str, right: Path, wrong: Path) -> None:
    """Two sheets of rendered crops in styles that training never draws, each under what it was taken for."""
    station = Station(suite, "auto")
    try:
        assert station.reader is not None
        worker = station.worker()
        options = CropOptions(size=station.reader.manifest.input.size, kinds=Kinds(split="test"), negatives=0.0)
        tiles: dict[bool, list[Rgb]] = {True: [], False: []}
        for index in range(_CROPS):
            crop = plate_crop(_SEED, index, options)
            look = worker.read_crops(crop.pixels[None, None])[0]
            said = look.text.reveal()
            if len(tiles[said == crop.text]) < _SHOWN:
                worker.session.input(1)[0, 0] = crop.pixels
                classes = np.asarray(worker.session.run(1)["glyph"][0]).argmax(axis=0)
                tiles[said == crop.text].append(_tile(crop, said, classes))
        worker.close()
    finally:
        station.close()
    _sheet(tiles[True], right)
    _sheet(tiles[False], wrong)


def draw_street(suite: str, path: Path) -> None:
    """A rendered street as the suite sees it: corners and texts."""
    import cv2

    station = Station(suite, "auto")
    try:
        assert station.detector is not None
        worker = station.worker()
        bgr = Street(7, _STREET_PX).frame(24.0).bgr
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        found = station.detector(rgb)
        found = found.rows(found.score >= station.detector.detector.score)
        points = found.keypoints
        views = [PlateView.of(box, None if points is None else points[row]) for row, box in enumerate(found.xyxy)]
        looks = worker.read(Frame("report", 0, 0.0, Picture((rgb,), "rgb24")), views)
        for number, (view, look) in enumerate(zip(views, looks, strict=True)):
            colour = colour_of(number)
            cv2.polylines(rgb, [np.rint(view.corners).astype(np.int32)], True, colour, 2, cv2.LINE_AA)
            said = "" if look is None else look.text.reveal()
            left, top = np.rint(view.corners.min(axis=0)).astype(int).tolist()
            cv2.putText(rgb, said, (left, top - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 2, cv2.LINE_AA)
        worker.close()
    finally:
        station.close()
    _write(rgb, path)


def _tile(crop: Crop, said: str, classes: npt.NDArray[Any]) -> Rgb:
    """The crop, its classes by pixel beneath, and what stands there and was read."""
    import cv2

    gray = cv2.resize(crop.pixels, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_LINEAR)
    seen = np.repeat(np.asarray(gray, np.uint8)[:, :, None], 3, axis=2)
    palette = np.array([(24, 24, 24), *(colour_of(k) for k in range(1, 64))], np.uint8)
    width, height = seen.shape[1], seen.shape[0]
    painted = cv2.resize(palette[classes % 64], (width, height), interpolation=cv2.INTER_NEAREST)
    caption = np.full((_CAPTION_PX, width, 3), 255, np.uint8)
    words = said if said == crop.text else f"{crop.text} read {said or 'nothing'}"
    cv2.putText(caption, words, (4, _CAPTION_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([caption, seen, np.asarray(painted, np.uint8)])


def _sheet(tiles: Sequence[Rgb], path: Path) -> None:
    if not tiles:
        _write(np.full((_CAPTION_PX, 4 * _CAPTION_PX, 3), 255, np.uint8), path)
        return
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // _COLUMNS)
    sheet = np.full((rows * (height + 8), _COLUMNS * (width + 8), 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // _COLUMNS * (height + 8), place % _COLUMNS * (width + 8)
        sheet[top : top + height, left : left + width] = tile
    _write(sheet, path)


def _write(rgb: Rgb, path: Path) -> None:
    import cv2

    content = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    path.write_bytes(content.tobytes())
