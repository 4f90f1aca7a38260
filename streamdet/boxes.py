"""THE box module: the only place that knows how boxes are written, measured and moved.

Everywhere else a box array is `xyxy`: float32 [N, 4], left, top, right, bottom in pixels, edges (not pixel centres),
so that the width is right − left and the whole picture is (0, 0, width, height).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]  # [N, 4]

FitMode = Literal["letterbox", "stretch"]
Anchor = Literal["centre", "top_left"]
Rounding = Literal["floor", "round"]


def area(xyxy: Boxes) -> npt.NDArray[np.float32]:
    """[N, 4] → [N]; an inverted box has area 0."""
    size: npt.NDArray[np.float32] = np.maximum(xyxy[:, 2] - xyxy[:, 0], 0) * np.maximum(xyxy[:, 3] - xyxy[:, 1], 0)
    return size


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """[N, 4], [M, 4] → [N, M]; two boxes without area have 0."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    union = area(a)[:, None] + area(b)[None, :] - inter
    ratio: npt.NDArray[np.float32] = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return ratio


def clip(xyxy: Boxes, width: float, height: float) -> Boxes:
    """Boxes cut to the picture (0, 0, width, height)."""
    return np.clip(xyxy, 0, np.array([width, height, width, height], np.float32)).astype(np.float32)


def xywh_to_xyxy(xywh: npt.NDArray[np.float32]) -> Boxes:
    """Left, top, width, height → xyxy."""
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32)


def xyxy_to_xywh(xyxy: Boxes) -> npt.NDArray[np.float32]:
    """Xyxy → left, top, width, height."""
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).astype(np.float32)


def cxcywh_to_xyxy(cxcywh: npt.NDArray[np.float32]) -> Boxes:
    """Centre x, centre y, width, height → xyxy."""
    half = cxcywh[:, 2:] / 2
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1).astype(np.float32)


def greedy_nms(
    xyxy: Boxes, score: npt.NDArray[np.float32], class_id: npt.NDArray[np.int32], iou_limit: float
) -> npt.NDArray[np.int64]:
    """Row numbers kept by plain greedy suppression per class, best first: the reference for every fast form of it.

    A box goes when it overlaps a kept one of its class by strictly more than `iou_limit`; equal scores keep row order.
    """
    order = np.argsort(-score, kind="stable")
    kept: list[int] = []
    size = area(xyxy)
    for row in order:
        for other in kept:
            if class_id[other] != class_id[row]:
                continue
            width = min(xyxy[row, 2], xyxy[other, 2]) - max(xyxy[row, 0], xyxy[other, 0])
            height = min(xyxy[row, 3], xyxy[other, 3]) - max(xyxy[row, 1], xyxy[other, 1])
            inter = np.float32(max(width, 0)) * np.float32(max(height, 0))
            if inter > np.float32(iou_limit) * (size[row] + size[other] - inter):
                break
        else:
            kept.append(int(row))
    return np.array(kept, np.int64)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture of `frame_size` lies inside an engine's input, and the way back for boxes.

    The picture is scaled to `scaled_size` and pasted with its top left corner at (`left_px`, `top_px`).
    input = frame · scale + offset holds for edges, so the inverse is exact.
    """

    frame_size: tuple[int, int]  # width, height
    input_size: tuple[int, int]
    scaled_size: tuple[int, int]
    left_px: int
    top_px: int

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per frame pixel, horizontally and vertically."""
        return self.scaled_size[0] / self.frame_size[0], self.scaled_size[1] / self.frame_size[1]

    def to_input(self, xyxy: Boxes) -> Boxes:
        """Frame pixels → input pixels."""
        scale_x, scale_y = self.scale
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float64)
        offset = np.array([self.left_px, self.top_px, self.left_px, self.top_px], np.float64)
        return np.asarray(xyxy * scale + offset, np.float32)

    def to_frame(self, xyxy: Boxes) -> Boxes:
        """Input pixels → frame pixels, not clipped."""
        scale_x, scale_y = self.scale
        inverse = np.array([1 / scale_x, 1 / scale_y, 1 / scale_x, 1 / scale_y], np.float64)
        offset = np.array([self.left_px, self.top_px, self.left_px, self.top_px], np.float64)
        return np.asarray((xyxy - offset) * inverse, np.float32)

    def points_to_frame(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, P, 2 or 3] in input pixels → frame pixels; a third column passes through."""
        moved = points.astype(np.float32, copy=True)
        moved[..., 0] = (points[..., 0] - self.left_px) / self.scale[0]
        moved[..., 1] = (points[..., 1] - self.top_px) / self.scale[1]
        return moved


def place(
    frame_size: tuple[int, int],
    input_size: tuple[int, int],
    mode: FitMode = "letterbox",
    anchor: Anchor = "centre",
    rounding: Rounding = "round",
) -> Placement:
    """How a picture fits an input: `letterbox` keeps the aspect and pads, `stretch` fills the input."""
    (width, height), (input_width, input_height) = frame_size, input_size
    if mode == "stretch":
        return Placement(frame_size, input_size, input_size, 0, 0)
    ratio = min(input_width / width, input_height / height)
    whole = math.floor if rounding == "floor" else _half_up
    # The tiny addend keeps 1920 · (416 / 1920) from being floored to 415.
    scaled = (
        min(max(whole(width * ratio + 1e-9), 1), input_width),
        min(max(whole(height * ratio + 1e-9), 1), input_height),
    )
    if anchor == "top_left":
        return Placement(frame_size, input_size, scaled, 0, 0)
    return Placement(frame_size, input_size, scaled, (input_width - scaled[0]) // 2, (input_height - scaled[1]) // 2)


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)
