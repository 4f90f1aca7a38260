"""Pictures to lay plates into, with what is known to be in them already, and the windows that are cut out of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.dice import Dice
from streamdet.scenes.street import Street
from streamdet.scenes.truth import Bgr, Truth

PAD = 114  # the grey that pictures are padded with for engines


@dataclass(frozen=True, slots=True)
class Background:
    """A picture and the plates that are known to be in it; those of photographs have a box, but no corners."""

    bgr: Bgr
    truth: tuple[Truth, ...] = ()


def photograph(bgr: Bgr, plates_xyxy: npt.NDArray[np.float32]) -> Background:
    """A real picture and the boxes [N, 4] of its plates."""
    truth = tuple(
        Truth(number, "plate", (box[0], box[1], box[2], box[3]), (), visible_ratio=1.0)
        for number, box in enumerate(plates_xyxy.astype(float).tolist())
    )
    return Background(bgr, truth)


def rendered_street(seed: int, t_s: float, size: tuple[int, int] = (1280, 720)) -> Background:
    """A moment of a street of ours, its plates known by their corners."""
    scene = Street(seed, size).frame(t_s)
    return Background(scene.bgr, scene.truth)


def plain_ground(size: tuple[int, int], dice: Dice) -> Bgr:
    """Clouds of two colours with a few blocks and lines: what to draw on when there is no picture."""
    width, height = size
    low, high = dice.random.uniform(0, 190, 3), dice.random.uniform(50, 255, 3)
    total = np.zeros((height // 2, width // 2), np.float32)
    for octave in range(3):
        cells = dice.whole(2, 6) * 3**octave
        grid = dice.random.random((max(cells * height // width, 2), cells), np.float32)
        total += cv2.resize(grid, (width // 2, height // 2), interpolation=cv2.INTER_LINEAR) * np.float32(0.55**octave)
    share = cv2.resize(total * np.float32(0.55), size, interpolation=cv2.INTER_LINEAR)
    table = (low + (high - low) * np.linspace(0, 1, 256)[:, None]).astype(np.uint8)
    flat = cv2.cvtColor(cv2.convertScaleAbs(share, alpha=255), cv2.COLOR_GRAY2BGR)
    picture = np.asarray(cv2.LUT(flat, table.reshape(1, 256, 3)), np.uint8)
    for _ in range(dice.whole(2, 16)):
        x, y = dice.whole(-20, width), dice.whole(-20, height)
        other = (x + round(dice.log_between(4, 200)), y + round(dice.log_between(3, 120)))
        colour = dice.random.uniform(0, 255, 3).tolist() if dice.chance(0.5) else (dice.between(0, 255),) * 3
        if dice.chance(0.6):
            cv2.rectangle(picture, (x, y), other, colour, -1)
        else:
            cv2.line(picture, (x, y), other, colour, dice.whole(1, 5), cv2.LINE_AA)
    return picture


def window(background: Background, size: tuple[int, int], dice: Dice, *, whole_share: float) -> Background:
    """A random part of the background at that size, or all of it, as large as it fits in; its truth moves along."""
    height, width = background.bgr.shape[:2]
    if dice.chance(whole_share):
        scale = min(size[0] / width, size[1] / height)
    else:
        scale = max(size[0] / width, size[1] / height) * dice.log_between(1.0, 2.4)
    wide, high = min(round(size[0] / scale), width), min(round(size[1] / scale), height)
    left, top = dice.whole(0, width - wide), dice.whole(0, height - high)
    inner = (min(round(wide * scale), size[0]), min(round(high * scale), size[1]))
    part = background.bgr[top : top + high, left : left + wide]
    picture = cv2.resize(part, inner, interpolation=cv2.INTER_LINEAR)
    factor = np.array([inner[0] / wide, inner[1] / high])
    moved = (_moved(entry, factor, -np.array([left, top]) * factor, inner) for entry in background.truth)
    return Background(np.asarray(picture, np.uint8), tuple(entry for entry in moved if entry is not None))


def padded(background: Background, size: tuple[int, int]) -> Background:
    """The picture in the middle of a grey one of that size, as engines see it."""
    height, width = background.bgr.shape[:2]
    if (width, height) == size:
        return background
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    rest = (top, size[1] - height - top, left, size[0] - width - left)
    picture = cv2.copyMakeBorder(background.bgr, *rest, cv2.BORDER_CONSTANT, value=(PAD, PAD, PAD))
    shift = np.array([left, top], np.float64)
    moved = (_moved(entry, np.ones(2), shift, size) for entry in background.truth)
    return Background(np.asarray(picture, np.uint8), tuple(entry for entry in moved if entry is not None))


def _moved(
    entry: Truth, factor: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], size: tuple[int, int]
) -> Truth | None:
    """The entry in the window, cut to it; None where nothing is left."""
    box = (np.array(entry.xyxy).reshape(2, 2) * factor + offset).reshape(4)
    cut = np.clip(box.reshape(2, 2), 0, np.array(size, np.float64)).reshape(4)
    whole, inside = np.prod(box[2:] - box[:2]), np.prod(np.maximum(cut[2:] - cut[:2], 0))
    if inside <= 0:
        return None
    corners = tuple((float(x), float(y)) for x, y in (np.array(entry.corners).reshape(-1, 2) * factor + offset))
    return replace(
        entry,
        xyxy=(float(cut[0]), float(cut[1]), float(cut[2]), float(cut[3])),
        corners=corners,
        visible_ratio=float(entry.visible_ratio * inside / whole),
        carrier_xyxy=None,
    )
