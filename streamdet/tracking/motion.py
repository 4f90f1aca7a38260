"""How the camera moved between two pictures: sparse optical flow of the background, at reduced size.

Trackers take the answer as `motion`. Off unless asked for: a camera that stands still needs none of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.boxes import Boxes
from streamdet.errors import MissingExtra
from streamdet.picture import Picture

Motion = npt.NDArray[np.float32]  # [2, 3]: points of the picture before onto this one
Gray = npt.NDArray[np.uint8]  # [h, w], reduced and upright


class MotionOptions(BaseModel):
    """Camera motion from the luma plane: shift, rotation and zoom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height_px: int = Field(270, ge=64, description="Pictures are reduced to this height before they are compared.")
    points: int = Field(300, ge=20, description="Corners followed from picture to picture.")
    least_points: int = Field(12, ge=4, description="Fewer corners that agree are no answer.")


class CameraMotion:
    """Follows corners of the background from picture to picture; one instance per stream and epoch.

    `measure` is to be called once per picture, in order; `unsure` counts the pictures without an answer.
    """

    def __init__(self, options: MotionOptions | None = None) -> None:
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra("opencv", None, "measuring camera motion") from error
        self._cv2: Any = cv2
        self._options = options or MotionOptions()
        self._before: Gray | None = None
        self._corners: npt.NDArray[np.float32] | None = None  # [P, 1, 2] in `_before`
        self._size = (0, 0)
        self.unsure = 0

    def measure(self, picture: Picture, xyxy: Boxes) -> Motion | None:
        """Maps the previous picture's points onto this one, in pixels as shown; None where it cannot tell.

        `xyxy` are the objects of this picture: what moves by itself tells nothing of the camera.
        """
        now = self._reduced(picture)
        scale = np.array([picture.width / now.shape[1], picture.height / now.shape[0]])
        motion = None
        if self._before is not None and self._size == picture.size:
            found = self._flow(self._before, now)
            if found is None:
                self.unsure += 1
            else:
                motion = _enlarged(found, scale)
        self._before, self._size = now, picture.size
        self._corners = self._cv2.goodFeaturesToTrack(
            now, self._options.points, 0.01, 7, mask=_background(now.shape[:2], xyxy, scale)
        )
        return motion

    def _reduced(self, picture: Picture) -> Gray:
        """The luma plane, small and upright."""
        luma = picture.luma
        sideways = picture.rotation in (90, 270)
        shown = luma.shape[1] if sideways else luma.shape[0]
        factor = min(self._options.height_px / shown, 1.0)
        width, height = (max(round(side * factor), 1) for side in (luma.shape[1], luma.shape[0]))
        plane = np.ascontiguousarray(luma)
        small = self._cv2.resize(plane, (width, height), interpolation=self._cv2.INTER_AREA)
        if small.dtype != np.uint8:
            small = (small >> 8).astype(np.uint8)
        return np.ascontiguousarray(np.rot90(small, k=-picture.rotation // 90))

    def _flow(self, before: Gray, now: Gray) -> npt.NDArray[np.float64] | None:
        """[2, 3] in reduced pixels, agreed on by most corners."""
        corners = self._corners
        if corners is None or len(corners) < self._options.least_points:
            return None
        moved, followed, _ = self._cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(21, 21), maxLevel=3)
        good = followed[:, 0] == 1
        if good.sum() < self._options.least_points:
            return None
        # Corners sit on pixels' centres, boxes on edges: half a pixel apart.
        found, agree = self._cv2.estimateAffinePartial2D(
            corners[good] + 0.5, moved[good] + 0.5, method=self._cv2.RANSAC, ransacReprojThreshold=1.0
        )
        if found is None or agree.sum() < self._options.least_points:
            return None
        return np.asarray(found, np.float64)


def _background(shape: tuple[int, ...], xyxy: Boxes, scale: npt.NDArray[np.float64]) -> Gray:
    """255 where no object is."""
    mask = np.full(shape, 255, np.uint8)
    finite = xyxy[np.isfinite(xyxy).all(axis=1)]
    small = finite / np.tile(scale, 2)
    low, high = np.floor(small[:, :2]), np.ceil(small[:, 2:])
    limit = np.array([shape[1], shape[0]])
    corners = np.hstack([np.clip(low, 0, limit), np.clip(high, 0, limit)]).astype(int)
    for left, top, right, bottom in corners.tolist():
        mask[top:bottom, left:right] = 0
    return mask


def _enlarged(motion: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]) -> Motion:
    """The same motion in pixels of the whole picture."""
    linear = motion[:, :2] * scale[:, None] / scale[None, :]
    return np.hstack([linear, (motion[:, 2] * scale)[:, None]]).astype(np.float32)
