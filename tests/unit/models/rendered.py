"""A few pictures that any detector must be able to learn by heart: bright discs and squares on noise."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from streamdet.boxes import Boxes
from streamdet.models.contract import Targets
from streamdet.scenes.figures import KINDS, FigureOptions, figure_scene

CLASSES = ("disc", "square")


def shapes(count: int = 8, size: tuple[int, int] = (96, 96), seed: int = 0) -> tuple[torch.Tensor, Targets]:
    """Pixels float [count, 3, H, W] and what is in them, one to three objects each, apart from each other."""
    random = np.random.default_rng(seed)
    width, height = size
    pixels = np.zeros((count, height, width, 3), np.uint8)
    xyxy, class_id = np.zeros((count, 3, 4), np.float32), np.full((count, 3), -1)
    for picture in range(count):
        canvas = random.integers(0, 60, (height, width, 3), np.uint8)
        for row, cell in enumerate(random.permutation(4)[: random.integers(1, 4)]):
            side = int(random.integers(18, 40))
            left = cell % 2 * width // 2 + int(random.integers(0, width // 2 - side + 1))
            top = cell // 2 * height // 2 + int(random.integers(0, height // 2 - side + 1))
            xyxy[picture, row] = left, top, left + side, top + side
            class_id[picture, row] = random.integers(0, 2)
            _draw(canvas, xyxy[picture, row], int(class_id[picture, row]))
        pixels[picture] = canvas
    ignored = torch.zeros(count, 3, dtype=torch.bool)
    targets = Targets(torch.from_numpy(xyxy), torch.from_numpy(class_id).long(), ignored)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, targets


def _draw(canvas: np.ndarray, xyxy: Boxes, class_id: int) -> None:
    left, top, right, bottom = (int(edge) for edge in xyxy)
    if class_id == 0:
        cv2.circle(canvas, ((left + right) // 2, (top + bottom) // 2), (right - left) // 2, (230, 90, 60), -1)
    else:
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), (60, 120, 240), -1)


def figures(count: int = 8, size: tuple[int, int] = (96, 96), seed: int = 0) -> tuple[torch.Tensor, Targets]:
    """Pixels float [count, 3, H, W], one jointed figure each, with its fourteen joints."""
    scenes = [figure_scene(seed, number, FigureOptions(size)) for number in range(count)]
    rgb = np.stack([scene.bgr[..., ::-1] for scene in scenes])
    drawn = [scene.figures[0] for scene in scenes]
    joints = np.stack([np.concatenate([each.joints, np.ones((14, 1), np.float32)], axis=1) for each in drawn])
    targets = Targets(
        torch.tensor([[each.xyxy] for each in drawn]),
        torch.tensor([[KINDS.index(each.kind)] for each in drawn]),
        torch.zeros(count, 1, dtype=torch.bool),
        torch.from_numpy(joints)[:, None].float(),
    )
    return torch.from_numpy(rgb.copy()).permute(0, 3, 1, 2).float() / 255, targets
