"""Jointed figures over rendered grounds, with their boxes and their fourteen joints exactly as they were drawn.

Made for learning where one thing is and where its parts are: a figure's left is told from its right by its colours, so
that every joint has one answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.dice import Dice
from streamdet.scenes.truth import Bgr, Points

JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "neck",
    "head_top",
)
KINDS = ("person", "robot")
SKELETON = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 12), (12, 9), (9, 10), (10, 11), (12, 13))

_SALT = 41
_FINER = 16  # positions are drawn in so many parts of a pixel
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class FigureOptions:
    """What a picture shows."""

    size: tuple[int, int] = (128, 128)  # width, height
    figures: tuple[int, int] = (1, 1)  # how many, from and to
    height_ratio: tuple[float, float] = (0.4, 0.8)  # of a figure, as a share of the picture's height
    severity: float = 1.0  # of noise and light


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, whole and inside the picture."""

    kind: str
    xyxy: tuple[float, float, float, float]  # around all that was drawn of it
    joints: Points  # [14, 2]


@dataclass(frozen=True, slots=True)
class FigureScene:
    """One picture."""

    bgr: Bgr
    figures: tuple[Figure, ...]


def figure_scene(seed: int, number: int, options: FigureOptions | None = None) -> FigureScene:
    """Picture `number` of a seed: the same for the same numbers and options."""
    asked = options or FigureOptions()
    dice = Dice.of(seed, number, _SALT)
    canvas = _ground(dice, asked.size)
    placed: list[Figure] = []
    for _ in range(dice.whole(*asked.figures)):
        figure = _somewhere(dice, canvas, asked, placed)
        if figure is not None:
            placed.append(figure)
    lit = canvas.astype(np.float32) * (1 + dice.normal(0.12 * asked.severity)) + dice.normal(8 * asked.severity)
    lit += dice.random.standard_normal(canvas.shape).astype(np.float32) * dice.between(0, 8 * asked.severity)
    return FigureScene(np.clip(np.rint(lit), 0, 255).astype(np.uint8), tuple(placed))


def _ground(dice: Dice, size: tuple[int, int]) -> Bgr:
    """A slope of two colours with boxes, discs and lines that are no figure."""
    width, height = size
    first, second = (dice.random.uniform(40, 200, 3) for _ in range(2))
    way = np.linspace(0, 1, height)[:, None, None]
    canvas = np.broadcast_to(first * (1 - way) + second * way, (height, width, 3)).astype(np.uint8).copy()
    for _ in range(dice.whole(3, 9)):
        colour = tuple(int(each) for each in dice.random.uniform(20, 230, 3))
        x, y = dice.whole(0, width), dice.whole(0, height)
        reach = dice.whole(3, max(width // 5, 4))
        shape = dice.whole(0, 2)
        if shape == 0:
            cv2.rectangle(canvas, (x, y), (x + reach, y + dice.whole(3, reach + 3)), colour, -1, cv2.LINE_AA)
        elif shape == 1:
            cv2.circle(canvas, (x, y), reach // 2 + 1, colour, -1, cv2.LINE_AA)
        else:
            end = x + dice.whole(-2 * reach, 2 * reach), y + dice.whole(-2 * reach, 2 * reach)
            cv2.line(canvas, (x, y), end, colour, dice.whole(1, 4), cv2.LINE_AA)
    return canvas


def _somewhere(dice: Dice, canvas: Bgr, options: FigureOptions, placed: list[Figure]) -> Figure | None:
    """Draw one where it is whole and lies on no other; None where there is no room after a few tries."""
    width, height = options.size
    kind = dice.pick(KINDS)
    joints = _pose(dice)
    thickness = dice.between(0.045, 0.075) * (1.4 if kind == "robot" else 1.0)
    low, high = joints.min(axis=0) - 1.4 * thickness, joints.max(axis=0) + 1.4 * thickness
    extent = high - low
    for _ in range(8):
        scale = min(dice.between(*options.height_ratio) * height / extent[1], 0.98 * width / extent[0])
        left = dice.between(0, max(width - scale * extent[0], 0.0))
        top = dice.between(0, max(height - scale * extent[1], 0.0))
        points = ((joints - low) * scale + (left, top)).astype(np.float32)
        figure = Figure(kind, _drawn(None, kind, points, thickness * scale, ()), points)
        if all(_apart(figure, other) for other in placed):
            break
    else:
        return None
    colours = [tuple(int(each) for each in dice.random.uniform(0, 255, 3)) for _ in range(2)]
    # right limbs are warm and left ones cold: nobody could tell a front from a back by the outline alone
    warm = (dice.whole(0, 60), dice.whole(40, 130), dice.whole(190, 255))
    cold = (dice.whole(190, 255), dice.whole(70, 160), dice.whole(0, 60))
    xyxy = _drawn(canvas, kind, points, thickness * scale, (colours[0], warm, cold, colours[1]))
    left, top, right, bottom = xyxy
    return Figure(kind, (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)), points)


def _apart(one: Figure, other: Figure) -> bool:
    a, b = one.xyxy, other.xyxy
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def _pose(dice: Dice) -> npt.NDArray[np.float64]:
    """Joints [14, 2] of a body whose trunk is 1 long, y downwards: the trunk leans, limbs swing and bend."""

    def limb(
        start: npt.NDArray[np.float64], swing: float, bend: float, upper: float, lower: float
    ) -> list[npt.NDArray[np.float64]]:
        middle = start + upper * np.array([math.sin(swing), math.cos(swing)])
        return [middle, middle + lower * np.array([math.sin(swing + bend), math.cos(swing + bend)])]

    lean = dice.normal(0.2)
    up, across = np.array([math.sin(lean), -math.cos(lean)]), np.array([math.cos(lean), math.sin(lean)])
    # the figure faces us: its right side is on our left
    hips, neck = np.zeros(2), up
    half_hip, half_shoulder = dice.between(0.14, 0.2), dice.between(0.22, 0.3)
    right_hip, left_hip = hips - half_hip * across, hips + half_hip * across
    right_shoulder, left_shoulder = (neck - 0.1 * up + side * half_shoulder * across for side in (-1, 1))
    thigh, shin, arm, forearm = (dice.between(*span) for span in ((0.7, 0.9), (0.7, 0.9), (0.5, 0.6), (0.45, 0.55)))
    right_knee, right_ankle = limb(right_hip, -abs(dice.normal(0.45)) + 0.1, dice.between(-0.2, 0.8), thigh, shin)
    left_knee, left_ankle = limb(left_hip, abs(dice.normal(0.45)) - 0.1, dice.between(-0.8, 0.2), thigh, shin)
    right_elbow, right_wrist = limb(right_shoulder, -dice.between(0.1, 2.4), dice.between(-1.2, 0.9), arm, forearm)
    left_elbow, left_wrist = limb(left_shoulder, dice.between(0.1, 2.4), dice.between(-0.9, 1.2), arm, forearm)
    head = neck + 0.5 * (up + across * dice.normal(0.15))
    return np.array(
        [
            *(right_ankle, right_knee, right_hip, left_hip, left_knee, left_ankle),
            *(right_wrist, right_elbow, right_shoulder, left_shoulder, left_elbow, left_wrist),
            *(neck, head),
        ]
    )


def _drawn(
    canvas: Bgr | None, kind: str, joints: Points, thickness: float, colours: tuple[tuple[int, ...], ...]
) -> tuple[float, float, float, float]:
    """Draw trunk, limbs and head; the box around it all. Without a canvas, the box alone."""
    neck, head = joints[12], joints[13]
    radius = float(np.hypot(*(head - neck))) * 0.38
    centre = head + (neck - head) / float(np.hypot(*(head - neck))) * radius
    if canvas is not None:
        trunk, right, left, skin = colours
        body = joints[[2, 3, 9, 8]]
        cv2.fillPoly(canvas, [_fixed(body)], trunk, cv2.LINE_AA, _SHIFT)
        _line(canvas, neck, centre, thickness, skin)
        for side, limbs in ((right, ((2, 1), (1, 0), (8, 7), (7, 6))), (left, ((3, 4), (4, 5), (9, 10), (10, 11)))):
            for start, end in limbs:
                _line(canvas, joints[start], joints[end], thickness, side)
                if kind == "robot":  # its joints are boxes
                    _box(canvas, joints[end], 0.75 * thickness, side)
        if kind == "robot":
            _box(canvas, centre, radius, skin)
        else:
            cv2.circle(canvas, _fixed(centre), round(radius * _FINER), skin, -1, cv2.LINE_AA, _SHIFT)
    reach = 0.75 * thickness if kind == "robot" else 0.5 * thickness
    low = np.minimum(joints[:13].min(axis=0) - reach, centre - radius)
    high = np.maximum(joints[:13].max(axis=0) + reach, centre + radius)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _fixed(points: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Edges as OpenCV's centres of pixels, in its fixed point."""
    return np.asarray(np.rint((points - 0.5) * _FINER), np.int32)


def _line(
    canvas: Bgr, start: npt.NDArray[np.float32], end: npt.NDArray[np.float32], thickness: float, colour: tuple[int, ...]
) -> None:
    """A limb with round ends; as a polygon, for a line's width is whole pixels."""
    along = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
    aside = np.array([-along[1], along[0]], np.float32) * thickness / 2
    cv2.fillPoly(
        canvas,
        [_fixed(np.array([start + aside, end + aside, end - aside, start - aside]))],
        colour,
        cv2.LINE_AA,
        _SHIFT,
    )
    for point in (start, end):
        cv2.circle(canvas, _fixed(point), round(thickness / 2 * _FINER), colour, -1, cv2.LINE_AA, _SHIFT)


def _box(canvas: Bgr, centre: npt.NDArray[np.float32], reach: float, colour: tuple[int, ...]) -> None:
    cv2.rectangle(canvas, _fixed(centre - reach), _fixed(centre + reach), colour, -1, cv2.LINE_AA, _SHIFT)
