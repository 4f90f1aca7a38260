"""The frame of a template: where an object stands in it, and how it is laid over a picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, clip
from streamdet.datasets.pictures import Rgb
from streamdet.frames import Detections
from streamdet.infer.tail import CUT_BOXES, CUT_SCORES, Tail
from streamdet.manifest import Nms
from streamdet.models.classic.hog import HogOptions


@dataclass(frozen=True)
class Window:
    """So many cells; the outermost show what is around an object, which helps to see its border."""

    cells: tuple[int, int]  # across, down
    hog: HogOptions = field(default_factory=HogOptions)
    margin_cells: int = 1  # on each side

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of a template, down and across."""
        return self.cells[1] - self.hog.block_cells + 1, self.cells[0] - self.hog.block_cells + 1

    @property
    def inner_px(self) -> tuple[int, int]:
        """Width and height of an object that fills it."""
        across, down = (number - 2 * self.margin_cells for number in self.cells)
        return across * self.hog.cell_px, down * self.hog.cell_px

    def boxes(
        self, x: npt.NDArray[np.intp], y: npt.NDArray[np.intp], scale: tuple[float, float], border_cells: int
    ) -> Boxes:
        """The objects inside the windows that begin at these cells of a level with such a border around it."""
        cell, (width, height) = self.hog.cell_px, self.inner_px
        left, top = ((at - border_cells + self.margin_cells) * cell for at in (x, y))
        corners = [left / scale[0], top / scale[1], (left + width) / scale[0], (top + height) / scale[1]]
        return np.stack(corners, axis=1).astype(np.float32)

    def view(self, rgb: Rgb, box: npt.NDArray[np.float32], shift_cells: tuple[float, float] = (0.0, 0.0)) -> Rgb:
        """An object as the window would show it, as large as it fits, at its own shape."""
        import cv2

        cell = self.hog.cell_px
        width, height = (number * cell for number in self.cells)
        scale = float(max((box[2] - box[0]) / self.inner_px[0], (box[3] - box[1]) / self.inner_px[1]))
        left = (box[0] + box[2]) / 2 - scale * (width / 2 + shift_cells[0] * cell)
        top = (box[1] + box[3]) / 2 - scale * (height / 2 + shift_cells[1] * cell)
        way = np.array([[scale, 0, left], [0, scale, top]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(rgb, way, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(view, np.uint8)


class Suppression:
    """From windows of one class to an answer; one per thread."""

    def __init__(self, name: str, overlap: float, candidates: int = 500, most: int = 300) -> None:
        self._name = name
        self._tail = Tail(Nms(candidates=candidates, max_detections=most, iou=overlap), 1)

    def __call__(self, xyxy: Boxes, margin: npt.NDArray[np.float32], size: tuple[int, int]) -> Detections:
        """Margins become scores in 0..1; the weaker of two that overlap goes; boxes end at the picture's rim."""
        if not len(margin):
            return Detections.empty((self._name,))
        score = (1 / (1 + np.exp(-margin))).astype(np.float32)
        found = self._tail.run({CUT_BOXES: np.ascontiguousarray(xyxy)[None], CUT_SCORES: score[None, :, None]})
        rows = int(found["count"][0])
        xyxy = clip(found["xyxy"][0, :rows], *size)
        return Detections(xyxy, found["score"][0, :rows].copy(), np.zeros(rows, np.int32), (self._name,))
