"""Outlines drawn as masks: what pictures of objects are made of is what a network learns to say of each pixel."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.datasets.samples import Objects
from streamdet.masks import UNKNOWN, Mask

_FINER = 5  # points per pixel and direction where a mask is drawn


def masks_of(objects: Objects, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """[N, height, width], 1 inside each object's outline; its box where it has none."""
    masks = np.zeros((len(objects), size[1], size[0]), np.uint8)
    for row, mask in enumerate(masks):
        rings = objects.polygons[row] if objects.polygons is not None else ()
        if not rings:
            left, top, right, bottom = objects.xyxy[row]
            rings = (np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32),)
        fill(mask, rings)
    return masks


def fill(mask: npt.NDArray[np.uint8], rings: tuple[npt.NDArray[np.float32], ...], value: int = 1) -> None:
    """Draw rings into a mask: the pixels whose centres they enclose, to a fifth of a pixel."""
    height, width = mask.shape
    for ring in rings:
        low = np.clip(np.floor(ring.min(axis=0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(ring.max(axis=0)), 0, (width, height)).astype(int)
        across, down = high - low
        if across <= 0 or down <= 0:
            continue
        # OpenCV also draws every pixel that the rim touches: on a finer grid that is little, and every fifth point of
        # it is the centre of a pixel.
        fine = np.zeros((down * _FINER, across * _FINER), np.uint8)
        fixed = np.rint((np.clip(ring - low, -1e3, 1e4) * _FINER - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(fine, [fixed], 1, cv2.LINE_8, 4)
        inside = fine[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
        mask[low[1] : high[1], low[0] : high[0]][inside > 0] = value


def labels_of(objects: Objects, size: tuple[int, int]) -> Mask:
    """[height, width]: 1 + the class of the object that a pixel belongs to, the smallest of several; 0 of none.

    What is ignored, or of no declared class, is UNKNOWN.
    """
    labels = np.zeros((size[1], size[0]), np.uint8)
    masks = masks_of(objects, size)
    values = np.where(objects.ignored | (objects.class_id < 0), UNKNOWN, objects.class_id + 1)
    for row in np.argsort(-masks.sum(axis=(1, 2)), kind="stable").tolist():
        labels[masks[row] > 0] = values[row]
    return labels
