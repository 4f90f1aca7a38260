"""Objects cut from other pictures, pasted where they hide little."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.boxes import area, iou
from streamdet.datasets.areas import fill
from streamdet.datasets.samples import Objects, Rgb
from streamdet.training.augment.geometry import Matrix, warp_into

_TRIES = 8
_HIDES_AT_MOST = 0.3  # of any object that is there already
_SOFT_PX = 1.0  # the width of the seam


def find_room(
    extent: tuple[float, float], size: tuple[int, int], taken: Objects, random: np.random.Generator
) -> tuple[float, float] | None:
    """Left and top for a box of that extent; None where a few tries find no free place."""
    free = np.array(size) - extent
    if (free <= 0).any():
        return None
    corners = random.random((_TRIES, 2)) * free
    for left, top in corners:
        box = np.array([[left, top, left + extent[0], top + extent[1]]], np.float32)
        if not len(taken) or hidden_ratio(taken.xyxy, box[0]).max() <= _HIDES_AT_MOST:
            return float(left), float(top)
    return None


def hidden_ratio(xyxy: npt.NDArray[np.float32], over: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[N, 4], [4] → [N]: how much of each box lies under another one."""
    own = area(xyxy)
    ratio = iou(xyxy, over[None])[:, 0]
    shared = ratio * (own + area(over[None])) / (1 + ratio)
    return np.asarray(shared / np.maximum(own, 1e-9), np.float32)


def paste(target: Rgb, source: Rgb, matrix: Matrix, placed: Objects) -> None:
    """Draw one object, row 0 of `placed`, from its picture: inside its outline, or the ellipse in its box."""
    height, width = target.shape[:2]
    low, high = np.floor(placed.xyxy[0, :2]), np.ceil(placed.xyxy[0, 2:])
    left, top = (int(value) for value in np.clip(low, 0, (width, height)))
    right, bottom = (int(value) for value in np.clip(high, 0, (width, height)))
    if right <= left or bottom <= top:
        return
    part = target[top:bottom, left:right]
    new = part.copy()
    shift = np.eye(3)
    shift[:2, 2] = -left, -top
    warp_into(new, source, shift @ matrix)
    mask = np.zeros(part.shape[:2], np.uint8)
    if placed.polygons is not None and placed.polygons[0]:
        fill(mask, tuple((ring - (left, top)).astype(np.float32) for ring in placed.polygons[0]), 255)
    else:
        mask[:] = 255
    share = cv2.GaussianBlur(mask, (0, 0), _SOFT_PX, borderType=cv2.BORDER_REPLICATE).astype(np.float32)[..., None]
    share /= 255
    part[:] = np.rint(new * share + part * (1 - share)).astype(np.uint8)


def joined(parts: list[Objects]) -> Objects:
    """The objects of several pictures as those of one."""
    full = [part for part in parts if len(part)]
    if not full:
        return parts[0] if parts else Objects.empty()
    if len(full) == 1:
        return full[0]
    first = full[0]
    points = max((part.keypoints.shape[1] for part in full if part.keypoints is not None), default=0)
    outlined = any(part.polygons is not None for part in full)
    written = any(part.texts is not None for part in full)
    return replace(
        first,
        xyxy=np.concatenate([part.xyxy for part in full]),
        class_id=np.concatenate([part.class_id for part in full]),
        ignored=np.concatenate([part.ignored for part in full]),
        keypoints=np.concatenate(
            [
                np.zeros((len(part), points, 3), np.float32) if part.keypoints is None else part.keypoints
                for part in full
            ]
        )
        if points
        else None,
        polygons=tuple(rings for part in full for rings in (part.polygons or ((),) * len(part))) if outlined else None,
        texts=tuple(text for part in full for text in (part.texts or ("",) * len(part))) if written else None,
    )
