"""Flat pictures hung into the world: plates, signs and house fronts."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.scenes.camera import Floats
from streamdet.scenes.mesh import region
from streamdet.scenes.truth import Bgr


def pyramid(art: Bgr) -> tuple[Bgr, ...]:
    """The picture and ever smaller ones, each half as large."""
    levels = [art]
    while min(art.shape[:2]) > 8:
        art = cv2.resize(art, (art.shape[1] // 2, art.shape[0] // 2), interpolation=cv2.INTER_AREA)
        levels.append(art)
    return tuple(levels)


def hang(picture: Bgr, levels: tuple[Bgr, ...], corners: Floats) -> None:
    """Lay a flat picture, given as its pyramid, onto four corners in the order of reading (pixels, edges)."""
    area = region(corners, (picture.shape[1], picture.shape[0]))
    if area is None:
        return
    left, top, right, bottom = area
    fine = 2
    sides = np.linalg.norm(corners - corners[[1, 2, 3, 0]], axis=1)
    height, width = levels[0].shape[:2]
    shrink = min(width / max(sides[0], sides[2], 1), height / max(sides[1], sides[3], 1)) / fine
    art = levels[min(max(round(np.log2(max(shrink, 1e-6) * 1.3)), 0), len(levels) - 1)]
    height, width = art.shape[:2]
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    target = (corners - np.array([left, top], np.float32)) * fine - 0.5
    part = picture[top:bottom, left:right]
    canvas = cv2.resize(part, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
    matrix = cv2.getPerspectiveTransform(flat, target.astype(np.float32))
    size = (canvas.shape[1], canvas.shape[0])
    cv2.warpPerspective(art, matrix, size, canvas, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    cv2.resize(canvas, (right - left, bottom - top), dst=part, interpolation=cv2.INTER_AREA)
