"""Moving pictures and their objects by one matrix: what a pixel does, its boxes, points and outlines do.

A matrix is float64 [3, 3] and takes source coordinates to target ones, both counted in edges (the first pixel spans
0 to 1). Objects are cut to the target; what is cut too far is marked as ignored or dropped.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.boxes import area, clip
from streamdet.datasets.samples import Objects, Polygons, Rgb

Matrix = npt.NDArray[np.float64]  # [3, 3]
Points = npt.NDArray[np.float64]  # [..., 2]

_ROUND = np.linspace(0, 2 * np.pi, 32, endpoint=False)  # an ellipse's points; those on the axes are among them
_ELLIPSE = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1) / 2 + 0.5
_CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64)
_NEAR = 1e-6  # beyond the horizon of a perspective


class CutRule(NamedTuple):
    """When an object is cut too far, and what becomes of it."""

    least_visible_ratio: float
    least_side_px: float
    action: Literal["ignore", "drop"]


def translation(x: float, y: float) -> Matrix:
    """Moves by (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def scaling(x: float, y: float) -> Matrix:
    """Stretches from the origin."""
    return np.diag([x, y, 1.0])


def rotation(degrees: float) -> Matrix:
    """Turns clockwise, as seen, around the origin."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float64)


def shearing(x_degrees: float, y_degrees: float) -> Matrix:
    """Slants along x, then along y."""
    return np.array(
        [[1, np.tan(np.deg2rad(x_degrees)), 0], [np.tan(np.deg2rad(y_degrees)), 1, 0], [0, 0, 1]], np.float64
    )


def flip(size: tuple[float, float], horizontal: bool, vertical: bool) -> Matrix:
    """A mirror image of a picture of that size, in its own place."""
    width, height = size
    return np.array(
        [[-1 if horizontal else 1, 0, width * horizontal], [0, -1 if vertical else 1, height * vertical], [0, 0, 1]],
        np.float64,
    )


def quarter_turn(size: tuple[float, float], turns: int) -> tuple[Matrix, tuple[float, float]]:
    """Clockwise turns by 90 degrees, and the size of the picture afterwards."""
    width, height = size
    matrices = (
        np.eye(3),
        np.array([[0, -1, height], [1, 0, 0], [0, 0, 1]], np.float64),
        np.array([[-1, 0, width], [0, -1, height], [0, 0, 1]], np.float64),
        np.array([[0, 1, 0], [-1, 0, width], [0, 0, 1]], np.float64),
    )
    return matrices[turns % 4], (height, width) if turns % 2 else (width, height)


def warp_into(target: Rgb, source: Rgb, matrix: Matrix) -> None:
    """Draw `source` where the matrix puts it; the rest of `target` stays. Only the part that it covers is computed."""
    height, width = target.shape[:2]
    corners = move_points(_CORNERS * (source.shape[1], source.shape[0]), matrix)
    if np.isnan(corners).any():
        left, top, right, bottom = 0, 0, width, height
    else:
        low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
        left, top = (int(value) for value in np.clip(low, 0, (width, height)))
        right, bottom = (int(value) for value in np.clip(high, 0, (width, height)))
    if right <= left or bottom <= top:
        return
    part = target[top:bottom, left:right]
    # OpenCV counts from the centres of pixels.
    centres = translation(-left - 0.5, -top - 0.5) @ matrix @ translation(0.5, 0.5)
    size = (right - left, bottom - top)
    if is_affine(matrix):
        cv2.warpAffine(source, centres[:2], size, dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    else:
        cv2.warpPerspective(source, centres, size, dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)


def is_affine(matrix: Matrix) -> bool:
    """Whether parallels stay parallel."""
    return bool(matrix[2, 0] == 0 and matrix[2, 1] == 0)


def keeps_upright(matrix: Matrix) -> bool:
    """Whether boxes become boxes: no turn but by quarters, no slant."""
    tilt = min(abs(matrix[0, 1]) + abs(matrix[1, 0]), abs(matrix[0, 0]) + abs(matrix[1, 1]))
    return is_affine(matrix) and bool(tilt < 1e-9)


def mirrors(matrix: Matrix) -> bool:
    """Whether clockwise becomes anticlockwise."""
    return bool(np.linalg.det(matrix) < 0)


def move_points(points: npt.NDArray[np.floating], matrix: Matrix) -> Points:
    """[..., 2] → [..., 2]; NaN for points beyond the horizon."""
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    if is_affine(matrix):
        return np.asarray(moved, np.float64)
    depth = points @ matrix[2, :2] + matrix[2, 2]
    return np.asarray(moved / np.where(depth > _NEAR, depth, np.nan)[..., None], np.float64)


def move_objects(
    objects: Objects,
    matrix: Matrix,
    size: tuple[int, int],
    rule: CutRule,
    *,
    outline: Literal["box", "ellipse"] = "box",
    mirrored_keypoints: tuple[int, ...] | None = None,
) -> Objects:
    """The objects where the matrix puts them, cut to a picture of that size."""
    if not len(objects):
        return objects
    polygons = _moved_polygons(objects.polygons, matrix)
    whole, cut = _moved_boxes(objects, polygons, matrix, size, outline)
    whole_area = area(whole)
    visible = area(cut) / np.maximum(whole_area, 1e-9)
    side = np.minimum(cut[:, 2] - cut[:, 0], cut[:, 3] - cut[:, 1])
    poor = (visible < rule.least_visible_ratio) | (side < rule.least_side_px)
    kept = (side > 0) & np.isfinite(cut).all(axis=1) & ~(poor & (rule.action == "drop"))
    moved = Objects(
        cut,
        objects.class_id,
        objects.ignored | poor,
        _moved_keypoints(objects.keypoints, matrix, size, mirrored_keypoints),
        polygons,
        objects.texts,
    )
    return moved if kept.all() else moved.rows(kept)


def _moved_boxes(
    objects: Objects,
    polygons: tuple[Polygons, ...] | None,
    matrix: Matrix,
    size: tuple[int, int],
    outline: Literal["box", "ellipse"],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """[N, 4] twice: around all of each object, and around what of it is in the picture."""
    low, extent = objects.xyxy[:, None, :2], objects.xyxy[:, None, 2:] - objects.xyxy[:, None, :2]
    upright = keeps_upright(matrix)
    shape = _CORNERS if upright or outline == "box" else _ELLIPSE
    points = move_points((low + shape * extent).astype(np.float64), matrix)  # [N, 4 or 32, 2]
    whole = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(np.float32)
    if polygons is not None and not upright:
        for row, rings in enumerate(polygons):
            if rings:
                everything = np.concatenate(rings)
                whole[row] = np.concatenate([everything.min(axis=0), everything.max(axis=0)])
    cut = clip(whole, *size)
    if upright and polygons is None:
        return whole, cut
    for row in np.flatnonzero((cut != whole).any(axis=1)).tolist():
        rings = polygons[row] if polygons is not None and polygons[row] else (points[row],)
        cut[row] = _box_of_cut(rings, size)
    return whole, clip(cut, *size)  # a crossing is not exact to the last bit


def _box_of_cut(rings: tuple[npt.NDArray[np.floating], ...], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The box around what of some rings lies in the picture; zeros where nothing does."""
    parts = [part for ring in rings if len(part := cut_ring(ring, size))]
    if not parts:
        return np.zeros(4, np.float32)
    points = np.concatenate(parts)
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)


def cut_ring(ring: npt.NDArray[np.floating], size: tuple[int, int]) -> Points:
    """[n, 2] → [m, 2]: the ring cut along the four edges of the picture, one after the other."""
    points = np.asarray(ring, np.float64)
    for axis, limit, sign in ((0, 0, 1), (1, 0, 1), (0, size[0], -1), (1, size[1], -1)):
        if not len(points) or not np.isfinite(points).all():
            return np.zeros((0, 2), np.float64)
        inside = sign * (points[:, axis] - limit)
        before, inside_before = np.roll(points, 1, axis=0), np.roll(inside, 1)
        crosses = (inside >= 0) != (inside_before >= 0)
        step = np.where(crosses, inside_before / np.where(crosses, inside_before - inside, 1), 0)
        crossing = before + step[:, None] * (points - before)
        # Each side gives its crossing, if it has one, then its end, if that is inside.
        both = np.stack([crossing, points], axis=1).reshape(-1, 2)
        points = both[np.stack([crosses, inside >= 0], axis=1).reshape(-1)]
    return points


def _moved_polygons(polygons: tuple[Polygons, ...] | None, matrix: Matrix) -> tuple[Polygons, ...] | None:
    """Moved, not cut: a mask is drawn from them on a picture, which cuts it."""
    if polygons is None:
        return None
    return tuple(tuple(move_points(ring, matrix).astype(np.float32) for ring in rings) for rings in polygons)


def _moved_keypoints(
    keypoints: npt.NDArray[np.float32] | None,  # [N, P, 3]
    matrix: Matrix,
    size: tuple[int, int],
    mirrored: tuple[int, ...] | None,
) -> npt.NDArray[np.float32] | None:
    if keypoints is None:
        return None
    if mirrored is not None and mirrors(matrix):
        keypoints = keypoints[:, list(mirrored)]
    moved = keypoints.copy()
    moved[..., :2] = np.nan_to_num(move_points(keypoints[..., :2].astype(np.float64), matrix))
    inside = (moved[..., :2] >= 0).all(axis=-1) & (moved[..., :2] <= np.array(size)).all(axis=-1)
    moved[..., 2] *= inside
    return moved
