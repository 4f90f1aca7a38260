"""Solid things as coloured polygons, lit once when they are built, and painted from back to front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.camera import NEAREST_M, Camera, Floats, clip_near
from streamdet.scenes.truth import Bgr

_SUN = np.array([0.45, 0.8, -0.4]) / np.linalg.norm([0.45, 0.8, -0.4])
_SKY = np.array([225.0, 205.0, 185.0])


@dataclass
class MeshBuilder:
    """Collects polygons in painting order; vertices run clockwise as seen from outside (X right, Y up, Z away)."""

    _points: list[Sequence[Sequence[float]]] = field(default_factory=list)
    _colours: list[Sequence[float]] = field(default_factory=list)
    _gloss: list[float] = field(default_factory=list)
    _glow: list[bool] = field(default_factory=list)

    def add(
        self,
        points: Sequence[Sequence[float]],
        colour: Sequence[float],
        *,
        gloss: float = 0.0,
        glow: bool = False,
    ) -> None:
        """One convex polygon [K, 3]; `gloss` is how much of the sky it mirrors; one that glows keeps its colour."""
        self._points.append(points)
        self._colours.append(colour)
        self._gloss.append(gloss)
        self._glow.append(glow)

    def build(self) -> Mesh:
        """All polygons so far, lit."""
        points = np.array([point for polygon in self._points for point in polygon], np.float64)
        ends = np.cumsum([len(polygon) for polygon in self._points]).astype(np.intp)
        starts = np.concatenate([[0], ends[:-1]])
        normals = np.cross(points[starts + 1] - points[starts], points[starts + 2] - points[starts])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        colours = np.array(self._colours, np.float64)
        shades = _lit(colours, normals, np.array(self._gloss))
        shades = np.where(np.array(self._glow)[:, None], colours, shades)
        return Mesh(points.astype(np.float32), ends, shades.astype(np.float32))


def _lit(
    colours: npt.NDArray[np.float64], normals: npt.NDArray[np.float64], gloss: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """BGR colours [P, 3] under sun and sky."""
    light = 0.50 + 0.16 * normals[:, 1] + 0.48 * np.maximum(normals @ _SUN, 0)
    mirror = gloss * (0.35 + 0.65 * np.maximum(normals[:, 1], 0))
    shade = colours * (light * (1 - mirror))[:, None] + _SKY * mirror[:, None]
    return np.asarray(np.clip(shade, 0, 255), np.float64)


@dataclass(frozen=True, slots=True)
class Mesh:
    """Polygons in painting order; those that turn their back are not painted."""

    points: Floats  # [V, 3]
    ends: npt.NDArray[np.intp]  # [P]: polygon p is points[ends[p - 1] : ends[p]]
    colours: Floats  # [P, 3] BGR


@dataclass(frozen=True, slots=True)
class Painting:
    """A mesh as the camera sees it, in pixels of the picture (edges)."""

    points: Floats  # [V, 2]
    ends: npt.NDArray[np.intp]  # [P]
    colours: Floats  # [P, 3]
    facing: npt.NDArray[np.intp]  # which polygons are to be painted, in order
    hull: Floats  # [H, 2], around everything


def prepare(
    mesh: Mesh, camera: Camera, at: tuple[float, float, float], haze: float, haze_colour: Floats
) -> Painting | None:
    """The mesh moved to `at` and projected; None when nothing of it lies before the camera."""
    viewed = camera.view(mesh.points + np.array(at, np.float32))
    if viewed[:, 2].max() < NEAREST_M:
        return None
    ends = mesh.ends
    if viewed[:, 2].min() < NEAREST_M:
        viewed, ends, kept = _cut(viewed, ends)
        mesh = Mesh(mesh.points, ends, mesh.colours[kept])
    points = camera.picture(viewed)
    facing = np.flatnonzero(_turns(points, ends) > 0.2)  # too small to be seen otherwise
    if len(facing) == 0:
        return None
    colours = mesh.colours * (1 - haze) + haze_colour * haze
    return Painting(points, ends, colours, facing, cv2.convexHull(points)[:, 0])


def _cut(viewed: Floats, ends: npt.NDArray[np.intp]) -> tuple[Floats, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """What lies beyond the nearest plane: points, ends, and which polygons those are."""
    starts = np.concatenate([[0], ends[:-1]])
    nearest = np.minimum.reduceat(viewed[:, 2], starts)
    kept = np.flatnonzero(np.maximum.reduceat(viewed[:, 2], starts) > NEAREST_M)
    pieces = [
        clip_near(viewed[starts[p] : ends[p]]) if nearest[p] < NEAREST_M else viewed[starts[p] : ends[p]] for p in kept
    ]
    return np.concatenate(pieces), np.cumsum([len(piece) for piece in pieces]).astype(np.intp), kept


def _turns(points: Floats, ends: npt.NDArray[np.intp]) -> Floats:
    """Twice the signed area of each polygon; positive when it runs clockwise on the screen."""
    starts = np.concatenate([[0], ends[:-1]])
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = starts
    x, y = points[:, 0], points[:, 1]
    running = np.concatenate([[0.0], np.cumsum((x * y[following] - x[following] * y).astype(np.float64))])
    return np.asarray(running[ends] - running[starts], np.float32)


def region(hull: Floats, size: tuple[int, int], margin: int = 2) -> tuple[int, int, int, int] | None:
    """Whole pixels around the hull inside the picture: left, top, right, bottom; None when outside."""
    left, top = (int(v) for v in np.floor(hull.min(0)) - margin)
    right, bottom = (int(v) for v in np.ceil(hull.max(0)) + margin)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    return (left, top, right, bottom) if left < right and top < bottom else None


def paint(picture: Bgr, painting: Painting) -> None:
    """Paint with smooth edges: the region is drawn larger and shrunk again; untouched pixels stay as they were."""
    area = region(painting.hull, (picture.shape[1], picture.shape[0]))
    if area is None:
        return
    left, top, right, bottom = area
    fine = 4 if right - left < 200 else 2
    part = picture[top:bottom, left:right]
    canvas = cv2.resize(part, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
    fixed = np.rint(((painting.points - np.array([left, top], np.float32)) * fine - 0.5) * 8).astype(np.int32)
    bounds = [0, *painting.ends.tolist()]
    colours = painting.colours.tolist()
    for polygon in painting.facing.tolist():
        outline = fixed[bounds[polygon] : bounds[polygon + 1]]
        cv2.fillConvexPoly(canvas, outline, colours[polygon], cv2.LINE_8, 3)
    cv2.resize(canvas, (right - left, bottom - top), dst=part, interpolation=cv2.INTER_AREA)
