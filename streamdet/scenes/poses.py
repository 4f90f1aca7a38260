"""How a flat thing stands before a camera: angles, and the homography from its picture to the sensor's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.dice import Dice

Corners = npt.NDArray[np.float32]  # [4, 2]: top left, top right, bottom right, bottom left along the text; edges
Matrix = npt.NDArray[np.float64]  # [3, 3]


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in degrees, and the distance in widths of the thing: how strong the perspective is."""

    yaw: float
    pitch: float
    roll: float
    distance: float

    def corners(self, aspect: float) -> npt.NDArray[np.float64]:
        """[4, 2] of a thing of width 1 and height 1/aspect around the origin, seen so; its scale is of no meaning."""
        yaw, pitch, roll = np.deg2rad([self.yaw, self.pitch, self.roll])
        half = 0.5 / aspect
        x = np.array([-0.5, 0.5, 0.5, -0.5])
        y = np.array([-half, -half, half, half])
        right, depth = x * np.cos(yaw), x * np.sin(yaw)
        down, depth = y * np.cos(pitch) - depth * np.sin(pitch), y * np.sin(pitch) + depth * np.cos(pitch)
        nearness = self.distance / (self.distance + depth)
        right, down = right * nearness, down * nearness
        return np.stack(
            [right * np.cos(roll) - down * np.sin(roll), right * np.sin(roll) + down * np.cos(roll)], axis=1
        )


def random_pose(dice: Dice, severity: float = 1.0) -> Pose:
    """Mostly mild, as at gates and in traffic; one in seven anything up to 60° of yaw, 35° of pitch and 20° of roll."""
    distance = dice.log_between(2.5, 30)
    if dice.chance(0.15 * severity):
        return Pose(dice.between(-60, 60), dice.between(-35, 35), dice.between(-20, 20), distance)
    yaw, pitch, roll = (dice.normal(deviation * severity) for deviation in (17, 9, 4.5))
    return Pose(max(-60.0, min(yaw, 60.0)), max(-35.0, min(pitch, 35.0)), max(-20.0, min(roll, 20.0)), distance)


def side_heights(corners: npt.NDArray[np.floating]) -> float:
    """The mean length of the two upright sides of a quadrilateral."""
    return float(np.hypot(*(corners[3] - corners[0])) + np.hypot(*(corners[2] - corners[1]))) / 2


def flat_corners(width: float, height: float, left: float = 0.0, top: float = 0.0) -> Corners:
    """Those of an upright rectangle."""
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def homography(source: Corners, target: Corners) -> Matrix:
    """[3, 3] from four corners to four others, both in edges."""
    return np.asarray(cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)), np.float64)


def through(points: npt.NDArray[np.floating], matrix: Matrix) -> npt.NDArray[np.float32]:
    """[N, 2] taken through a homography."""
    flat = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(flat[:, :2] / flat[:, 2:], np.float32)


_HALF: Matrix = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float64)
_BACK: Matrix = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]], np.float64)


def of_samples(matrix: Matrix) -> Matrix:
    """The same homography between pixel numbers in place of edges: what OpenCV's warps want."""
    return np.asarray(_BACK @ matrix @ _HALF, np.float64)
