"""Characters as small masks, of stroke styles and of typefaces: drawn once, then only scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.errors import DataError, MissingExtra
from streamdet.scenes.glyph_styles import GlyphStyle, Stroke, is_mixed, skeleton_strokes, style_named

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Mask = npt.NDArray[np.uint8]  # [h, w], coverage

HEIGHTS = (96, 48, 24)  # of the masks that are kept; each place is drawn from the next larger one
WEIGHTS = (0.78, 0.88, 1.0, 1.12, 1.26)  # of the strokes
_OWN_WEIGHT = 2  # a style's, as an index of WEIGHTS
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
IDEOGRAPHS = 48
_FINE = 3  # a mask is drawn so many times larger and shrunk


class Alphabet(Protocol):
    """All characters in one hand."""

    @property
    def name(self) -> str:
        """Of the style, or the file of the typeface."""

    @property
    def gap_ratio(self) -> float:
        """Between two characters, by their height."""

    def mask(self, character: str, weight: int, level: int) -> Mask:
        """The character [HEIGHTS[level], w], cut to its width; never written into."""


@dataclass(frozen=True)
class StrokeAlphabet:
    """One of our own styles."""

    name: str

    @property
    def gap_ratio(self) -> float:
        """Between two characters, by their height."""
        return style_named(self.name).gap_ratio

    def mask(self, character: str, weight: int, level: int) -> Mask:
        """The character [HEIGHTS[level], w]."""
        return _stroke_mask(self.name, character, _OWN_WEIGHT if is_mixed(self.name) else weight, level)


@dataclass(frozen=True)
class TypefaceAlphabet:
    """A typeface that is installed on this machine; needs Pillow, and only where training data is made."""

    name: str  # its file
    gap_ratio: float = 0.12

    def mask(self, character: str, weight: int, level: int) -> Mask:
        """The character [HEIGHTS[level], w]; the weight is the typeface's own, dots and dashes are ours."""
        if character not in CHARACTERS:
            return _stroke_mask("din", character, weight, level)
        return _typeface_mask(self.name, character, level)


@cache
def _stroke_mask(name: str, character: str, weight: int, level: int) -> Mask:
    if level:
        return _halved(_stroke_mask(name, character, weight, level - 1))
    style = style_named(name)
    height = HEIGHTS[0] * _FINE
    thick = style.stroke_ratio * WEIGHTS[weight] * height
    lying = style.contrast  # drawn stretched in y, so that one thickness becomes two
    size = (max(style.width(character) * height, thick), height / lying)
    margin = round(thick)
    slant = style.slant_ratio * height
    canvas = np.zeros((round(size[1]) + 2 * margin, round(size[0]) + 2 * margin), np.uint8)
    for stroke in skeleton_strokes(name, character):
        _draw_stroke(canvas, stroke, style, (size[0], size[1]), thick, margin)
    inner = canvas[margin : margin + round(size[1]), margin : margin + round(size[0])]
    if style.stencil and character in "0468ABDOPQR9":
        middle, half = inner.shape[1] // 2, max(round(thick * 0.22), 1)
        inner[:, middle - half : middle + half] = 0
    if slant:
        inner = _slanted(inner, slant)
    width = max(round(inner.shape[1] / _FINE), 1)
    return _frozen(cv2.resize(inner, (width, HEIGHTS[0]), interpolation=cv2.INTER_AREA))


def _draw_stroke(
    canvas: Mask, stroke: Stroke, style: GlyphStyle, size: tuple[float, float], thick: float, margin: int
) -> None:
    inset = thick / 2
    room = np.maximum(np.array(size) - thick, 0)
    points = stroke.points * room + inset + margin
    if len(points) == 1:
        points = np.repeat(points, 2, axis=0) + np.array([[0, 0], [0.01, 0]])
    if style.ends == "flat" and not stroke.closed:
        points = _reaching(points, stroke.points, inset)
    if style.serif_ratio:
        _feet(canvas, points, stroke, style.serif_ratio * size[0], thick)
    if style.ends == "round":
        cv2.polylines(canvas, [np.rint(points * 8).astype(np.int32)], False, 255, max(round(thick), 1), cv2.LINE_8, 3)
        return
    ahead = np.diff(points, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * inset
    for here, there, side in zip(points[:-1], points[1:], across, strict=True):
        quad = np.array([here + side, there + side, there - side, here - side])
        cv2.fillConvexPoly(canvas, np.rint(quad * 8).astype(np.int32), 255, cv2.LINE_8, 3)
    turning = [*range(1, len(points) - 1), *([0] if stroke.closed else [])]
    for joint in turning:
        _join(canvas, points[joint], ahead[joint - 1], ahead[joint % len(ahead)], inset)


def _join(
    canvas: Mask,
    corner: npt.NDArray[np.float64],
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    inset: float,
) -> None:
    """Close the outer side of a bend: with a point where it is not too sharp, else with a disc."""
    cosine = float(before @ after)
    turn = float(before[0] * after[1] - before[1] * after[0])
    if abs(turn) < 0.02:
        return
    if cosine < -0.5:
        cv2.circle(canvas, tuple(int(v) for v in np.rint(corner * 8)), round(inset * 8), 255, -1, cv2.LINE_8, 3)
        return
    side = -np.sign(turn)
    one = np.array([-before[1], before[0]]) * side * inset
    other = np.array([-after[1], after[0]]) * side * inset
    tip = (one + other) / (1 + cosine)
    fan = np.array([corner, corner + one, corner + tip, corner + other])
    cv2.fillConvexPoly(canvas, np.rint(fan * 8).astype(np.int32), 255, cv2.LINE_8, 3)


def _reaching(points: npt.NDArray[np.float64], unit: npt.NDArray[np.float64], inset: float) -> npt.NDArray[np.float64]:
    """Lengthen the ends that lie on the edge of the box: the box cuts them off flat."""
    points = points.copy()
    for end, inner in ((0, 1), (-1, -2)):
        if len(unit) > 1 and (np.abs(unit[end] - 0.5) > 0.499).any():
            away = points[end] - points[inner]
            points[end] += away / max(float(np.linalg.norm(away)), 1e-9) * inset * 1.6
        elif len(unit) == 1:
            points[end, 0] += inset * (1 if end else -1)
    return points


def _feet(canvas: Mask, points: npt.NDArray[np.float64], stroke: Stroke, length: float, thick: float) -> None:
    """Bars across the upright ends at the top and the bottom."""
    for end, inner in ((0, 1), (-1, -2)):
        if stroke.closed or len(stroke.points) < 2 or 0.01 < stroke.points[end, 1] < 0.99:
            continue
        away = stroke.points[end] - stroke.points[inner]
        if abs(away[1]) < abs(away[0]):
            continue
        x, y = points[end]
        low = y - thick * (0.75 if stroke.points[end, 1] > 0.5 else 0)
        corners = (np.array([(x - length, low), (x + length, low + thick * 0.75)]) + 0.5).astype(int)
        cv2.rectangle(canvas, corners[0].tolist(), corners[1].tolist(), 255, -1)


def _slanted(mask: Mask, slant: float) -> Mask:
    height, width = mask.shape
    matrix = np.array([[1, -slant / height, max(slant, 0)], [0, 1, 0]], np.float64)
    return np.asarray(cv2.warpAffine(mask, matrix, (width + round(abs(slant)), height)), np.uint8)


def _halved(mask: Mask) -> Mask:
    size = (max(round(mask.shape[1] / 2), 1), mask.shape[0] // 2)
    return _frozen(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))


def _frozen(mask: Mask) -> Mask:
    mask.flags.writeable = False
    return mask


@cache
def ideograph(number: int, level: int) -> Mask:
    """A sign like a Chinese one that means nothing: bars, posts, sweeps and a box, [HEIGHTS[level], w]."""
    if level:
        return _halved(ideograph(number, level - 1))
    random = np.random.default_rng([number, 71])
    size, fine = HEIGHTS[0], 2
    canvas = np.zeros((size * fine, round(size * 0.86) * fine), np.uint8)
    height, width = canvas.shape
    thick = round(size * fine * random.uniform(0.055, 0.085))
    split = random.uniform(0.3, 0.55) * width
    parts = ((0.0, split), (split, float(width))) if random.random() < 0.7 else ((0.0, float(width)),)
    for left, right in parts:
        low, high = left + thick, right - thick
        for y in np.linspace(0.08, 0.92, int(random.integers(2, 5))) * height + random.normal(0, 4, 1):
            ends = (round(low + random.uniform(0, 0.2) * (high - low)), round(high)), round(y)
            cv2.line(canvas, (ends[0][0], ends[1]), (ends[0][1], ends[1]), 255, thick)
        for x in random.uniform(low, high, int(random.integers(1, 3))):
            cv2.line(
                canvas, (round(x), round(height * random.uniform(0.02, 0.4))), (round(x), height - thick), 255, thick
            )
        if random.random() < 0.6:
            foot = round(low if random.random() < 0.5 else high)
            cv2.line(canvas, (round((low + high) / 2), height // 2), (foot, height - thick), 255, thick)
        if random.random() < 0.5:
            top = round(height * random.uniform(0.3, 0.6))
            cv2.rectangle(canvas, (round(low), top), (round(high), round(top + height * 0.3)), 255, thick)
    return _frozen(cv2.resize(canvas, (width // fine, size), interpolation=cv2.INTER_AREA))


def usable_typefaces(folder: Path = Path("/usr/share/fonts")) -> tuple[str, ...]:
    """The TrueType and OpenType files below `folder` that draw all 36 characters, each apart, and as we know them."""
    found = []
    for path in sorted(str(file) for ending in ("ttf", "otf") for file in folder.rglob(f"*.{ending}")):
        try:
            pictures = {_typeface_mask(path, character, 0).tobytes() for character in CHARACTERS}
            if len(pictures) >= len(CHARACTERS) - 1 and _likeness(path) > _ALIKE:
                found.append(path)
        except DataError:
            continue  # damaged, or it lacks characters: no typeface to offer
    return tuple(found)


_ALIKE = 0.7
_TELLING = "23456789AEHKLMNRTUXYZ"


def _likeness(path: str) -> float:
    """How far the typeface's characters resemble ours: those of symbols and of handwriting hardly do."""
    alike = []
    for character in _TELLING:
        pair = (_typeface_mask(path, character, 1), _stroke_mask("din", character, _OWN_WEIGHT, 1))
        one, other = (cv2.GaussianBlur(cv2.resize(mask, (32, 48)), (0, 0), 3.5).ravel() for mask in pair)
        alike.append(float(np.corrcoef(one, other)[0, 1]))
    return float(np.mean(alike))


@cache
def _font(path: str) -> FreeTypeFont:
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise MissingExtra("pillow", "eval", "writing plates in installed typefaces") from error
    try:
        return ImageFont.truetype(path, 2 * HEIGHTS[0])
    except OSError as error:
        raise DataError("the typeface cannot be read", where=path, got=str(error)) from error


@cache
def _typeface_mask(path: str, character: str, level: int) -> Mask:
    if level:
        return _halved(_typeface_mask(path, character, level - 1))
    raster = _font(path).getmask(character)
    mask = np.frombuffer(bytes(raster), np.uint8).reshape(raster.size[1], raster.size[0])
    if not (mask > 127).any():
        raise DataError("the typeface has no such character", where=path, got=character)
    rows, columns = np.flatnonzero(mask.max(1) > 127), np.flatnonzero(mask.max(0) > 127)
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(round(mask.shape[1] * HEIGHTS[0] / mask.shape[0]), 2)
    return _frozen(cv2.resize(mask, (width, HEIGHTS[0]), interpolation=cv2.INTER_AREA))


def stroke_alphabets(styles: Sequence[GlyphStyle]) -> tuple[StrokeAlphabet, ...]:
    """Those styles as alphabets."""
    return tuple(StrokeAlphabet(style.name) for style in styles)
