"""The face of a number plate: a flat picture with the boxes of its characters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.plate_formats import PlateFormat, Rgb
from streamdet.scenes.glyphs import FAMILIES, GlyphFamily, draw_line, line_width
from streamdet.scenes.truth import Bgr

PX_PER_MM = 1.2


@dataclass(frozen=True, slots=True)
class PlateArt:
    """A plate as seen from straight ahead."""

    bgr: Bgr
    text: str  # without blanks
    size_m: tuple[float, float]
    characters_xyxy: npt.NDArray[np.float32]  # [len(text), 4], pixels of `bgr`
    format_key: str


def draw_plate(plate: PlateFormat, random: np.random.Generator, *, rear: bool = False) -> PlateArt:
    """A clean or slightly dirty plate with random text of this format."""
    width, height = (round(side * PX_PER_MM) for side in plate.size_mm)
    ground = plate.rear_ground if rear and plate.rear_ground is not None else plate.ground
    face = np.empty((height, width, 3), np.uint8)
    face[:] = ground[::-1]
    left, right, top = _band(face, plate)
    lines = plate.draw(random)
    mask = np.zeros((height, width), np.uint8)
    boxes = [
        _write(mask, line, plate, (left, right, *span))
        for line, span in zip(lines, _rows(lines, top, height), strict=True)
    ]
    _ink(face, mask, plate.ink)
    if plate.seals:
        _seals(face, boxes[0], len(lines[0].split(" ")[0]))
    _wear(face, plate, random)
    text = "".join(lines).replace(" ", "")
    size_m = (plate.size_mm[0] / 1000, plate.size_mm[1] / 1000)
    return PlateArt(face, text, size_m, np.concatenate(boxes), plate.key)


def _band(face: Bgr, plate: PlateFormat) -> tuple[float, float, float]:
    """Paint the coloured strips; answers what is left for the text: left, right, top."""
    height, width = face.shape[:2]
    colour = plate.band_colour[::-1]
    strip = round(42 * PX_PER_MM)
    if plate.band == "top":
        strip = round(28 * PX_PER_MM)
        face[:strip] = colour
        return 0.0, float(width), float(strip)
    if plate.band in ("left", "both"):
        face[:, :strip] = colour
        centre = (strip // 2, round(height * 0.34))
        for angle in np.deg2rad(np.arange(0, 360, 30)):
            star = (round(centre[0] + 14 * np.cos(angle)), round(centre[1] + 14 * np.sin(angle)))
            cv2.circle(face, star, 2, (60, 210, 250), -1, cv2.LINE_AA)
        mask = np.zeros(face.shape[:2], np.uint8)
        code_height = height * 0.2
        code_width = line_width(plate.country, FAMILIES["road"], code_height, 0)
        draw_line(
            mask,
            plate.country,
            FAMILIES["road"],
            left=(strip - code_width) / 2,
            top=height * 0.68,
            height=code_height,
            group_gap=0,
        )
        _ink(face, mask, (245, 245, 245))
    if plate.band == "both":
        face[:, width - strip :] = colour
        return float(strip), float(width - strip), 0.0
    return (float(strip) if plate.band == "left" else 0.0), float(width), 0.0


def _rows(lines: tuple[str, ...], top: float, height: int) -> list[tuple[float, float]]:
    """Top and bottom of the strip that each line may fill."""
    edges = np.linspace(top, height, len(lines) + 1)
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]


def _write(
    mask: npt.NDArray[np.uint8], line: str, plate: PlateFormat, area: tuple[float, float, float, float]
) -> npt.NDArray[np.float32]:
    left, right, top, bottom = area
    family: GlyphFamily = FAMILIES[plate.glyphs]
    height = min(plate.glyph_height_mm * PX_PER_MM, (bottom - top) * 0.86)
    gap = height * (0.62 if plate.seals else 0.34)
    margin = height * 0.16
    natural = line_width(line, family, height, gap)
    squeeze = min(1.0, (right - left - 2 * margin) / natural)
    x = left + (right - left - natural * squeeze) / 2
    y = top + (bottom - top - height) / 2
    return draw_line(mask, line, family, left=x, top=y, height=height, group_gap=gap, squeeze=squeeze).xyxy


def _ink(face: Bgr, mask: npt.NDArray[np.uint8], ink: Rgb) -> None:
    left, top, width, height = cv2.boundingRect(mask)
    part = face[top : top + height, left : left + width]
    share = (mask[top : top + height, left : left + width].astype(np.float32) / 255)[:, :, None]
    part[:] = (part + (np.array(ink[::-1], np.float32) - part) * share + 0.5).astype(np.uint8)


def _seals(face: Bgr, boxes: npt.NDArray[np.float32], first_group: int) -> None:
    x = round(float(boxes[first_group - 1, 2] + boxes[first_group, 0]) / 2)
    top, bottom = float(boxes[0, 1]), float(boxes[0, 3])
    radius = round((bottom - top) * 0.2)
    for y, colour in ((top + radius, (80, 150, 70)), (bottom - radius, (190, 190, 195))):
        cv2.circle(face, (x, round(y)), radius, colour, -1, cv2.LINE_AA)
        cv2.circle(face, (x, round(y)), radius, (90, 90, 90), 1, cv2.LINE_AA)


def _wear(face: Bgr, plate: PlateFormat, random: np.random.Generator) -> None:
    """The rim, two screws and a film of dirt that thickens downwards."""
    height, width = face.shape[:2]
    cv2.rectangle(face, (2, 2), (width - 3, height - 3), plate.ink[::-1], 2, cv2.LINE_AA)
    dirt = cv2.resize(random.uniform(0, 1, (4, 10)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    film = float(random.uniform(0, 0.28)) * dirt * np.linspace(0.3, 1, height, dtype=np.float32)[:, None]
    film = np.clip(film, 0, 1)[:, :, None]
    face[:] = (face + (np.array([88, 100, 108], np.float32) - face) * film).astype(np.uint8)
