"""HOG and a linear SVM as a detector: one stiff template, tried at every place of every level of a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, clip, greedy_nms
from streamdet.datasets.pictures import Rgb
from streamdet.errors import DataError
from streamdet.frames import Detections
from streamdet.models.classic.hog import Blocks, HogOptions, hog, pyramid
from streamdet.models.classic.linear_svm import Plane

_LIMIT = 500  # candidates that suppression sees


@dataclass(frozen=True)
class Found:
    """Windows of one picture, best first."""

    xyxy: Boxes  # [N, 4], pixels of the picture, perhaps beyond its rim
    margin: npt.NDArray[np.float32]  # [N]
    features: npt.NDArray[np.float32]  # [N, D]


@dataclass
class WindowDetector:
    """A Predictor for one class."""

    name: str
    cells: tuple[int, int]  # across, down: the window
    plane: Plane
    hog: HogOptions = field(default_factory=HogOptions)
    margin_cells: int = 1  # of the window beyond the object on each side: the background helps to see its border
    shrink: float = 2 ** (1 / 6)
    enlarge: float = 1.0
    suppress: float = 0.3
    floor: float = -1.0  # windows with a lesser margin are not given
    label: str = "HOG and linear SVM"

    def __call__(self, rgb: Rgb) -> Detections:
        found = self.windows(rgb, self.floor, _LIMIT)
        kept = greedy_nms(found.xyxy, found.margin, np.zeros(len(found.margin), np.int32), self.suppress)
        height, width = rgb.shape[:2]
        score = 1 / (1 + np.exp(-found.margin[kept]))
        return Detections(
            clip(found.xyxy[kept], width, height), score.astype(np.float32), np.zeros(len(kept), np.int32), (self.name,)
        )

    def close(self) -> None:
        """Nothing is held."""

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of a window, down and across."""
        return self.cells[1] - self.hog.block_cells + 1, self.cells[0] - self.hog.block_cells + 1

    def levels(self, rgb: Rgb) -> Iterator[tuple[Blocks, float, float]]:
        """The blocks of each level of the pyramid, and its scale in x and y; the rim is repeated outwards."""
        cell = self.hog.cell_px
        border = self.margin_cells * cell
        smallest = tuple(n * cell - 2 * border for n in self.cells)
        for level, scale_x, scale_y in pyramid(rgb, (smallest[0], smallest[1]), self.shrink, self.enlarge):
            wide = np.pad(level, ((border, border), (border, border), (0, 0)), mode="edge")
            yield hog(wide, self.hog), scale_x, scale_y

    def windows(self, rgb: Rgb, floor: float, most: int) -> Found:
        """The best windows with a margin above `floor`, and what the plane saw of them."""
        from streamdet.models.classic.hog_kernels import responses

        rows, columns = self.blocks
        template = np.ascontiguousarray(self.plane.weight.reshape(rows, columns, -1))
        boxes, margins, features = [], [], []
        for blocks, scale_x, scale_y in self.levels(rgb):
            fit = responses(blocks, template) + np.float32(self.plane.bias)
            y, x = np.nonzero(fit > floor)
            best = np.argsort(-fit[y, x], kind="stable")[:most]
            y, x = y[best], x[best]
            boxes.append(self._boxes(x, y, scale_x, scale_y))
            margins.append(fit[y, x])
            cut = [blocks[v : v + rows, u : u + columns].ravel() for v, u in zip(y, x, strict=True)]
            features.append(np.array(cut, np.float32).reshape(len(cut), -1 if cut else template.size))
        if not boxes:
            return Found(
                np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, template.size), np.float32)
            )
        margin = np.concatenate(margins)
        order = np.argsort(-margin, kind="stable")[:most]
        return Found(np.concatenate(boxes)[order], margin[order], np.concatenate(features)[order])

    def _boxes(self, x: npt.NDArray[np.intp], y: npt.NDArray[np.intp], scale_x: float, scale_y: float) -> Boxes:
        """The objects inside the windows that begin at these cells of the bordered level."""
        cell = self.hog.cell_px
        across, down = ((n - 2 * self.margin_cells) * cell for n in self.cells)
        left, top = x * cell, y * cell  # the border before the level and the margin within the window cancel out
        corners = [left / scale_x, top / scale_y, (left + across) / scale_x, (top + down) / scale_y]
        return np.stack(corners, axis=1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write all that it has learnt, as an .npz file."""
        np.savez(
            path,
            name=self.name,
            cells=self.cells,
            weight=self.plane.weight,
            bias=self.plane.bias,
            hog=(self.hog.cell_px, self.hog.block_cells, self.hog.bins),
            search=(self.shrink, self.enlarge, self.suppress, self.floor),
            margin_cells=self.margin_cells,
        )

    @classmethod
    def load(cls, path: Path) -> WindowDetector:
        """Read what `save` wrote."""
        try:
            with path.open("rb") as file, np.load(file) as held:
                shrink, enlarge, suppress, floor = map(float, held["search"])
                cells = (int(held["cells"][0]), int(held["cells"][1]))
                options = HogOptions(*map(int, held["hog"]))
                plane = Plane(held["weight"], float(held["bias"]))
                border = int(held["margin_cells"])
                return cls(str(held["name"]), cells, plane, options, border, shrink, enlarge, suppress, floor)
        except (OSError, KeyError, ValueError) as error:
            raise DataError("no detector of windows can be read", where=path, got=str(error)) from error
