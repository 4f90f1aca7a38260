"""HOG and a linear SVM as a detector: one stiff template, tried at every place of every level of a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.datasets.pictures import Rgb
from streamdet.errors import DataError
from streamdet.frames import Detections
from streamdet.models.classic.hog import Blocks, HogOptions, hog, pyramid
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.window import Suppression, Window

_LIMIT = 500  # candidates that suppression sees


@dataclass(frozen=True)
class Found:
    """Windows of one picture, best first."""

    xyxy: Boxes  # [N, 4], pixels of the picture, perhaps beyond its rim
    margin: npt.NDArray[np.float32]  # [N]
    features: npt.NDArray[np.float32]  # [N, D]


@dataclass
class WindowDetector:
    """A Predictor for one class; one thread's own."""

    name: str
    window: Window
    plane: Plane
    shrink: float = 2 ** (1 / 8)
    enlarge: float = 1.0
    overlap: float = 0.3  # above which the weaker of two windows goes
    floor: float = -1.0  # windows with a lesser margin are not given
    label: str = "HOG and linear SVM"
    family: ClassVar[str] = "hog_windows"

    def __post_init__(self) -> None:
        self._suppression = Suppression(self.name, self.overlap, _LIMIT)

    def __call__(self, rgb: Rgb) -> Detections:
        found = self.windows(rgb, self.floor, _LIMIT)
        return self._suppression(found.xyxy, found.margin, (rgb.shape[1], rgb.shape[0]))

    def close(self) -> None:
        """Nothing is held."""

    def levels(self, rgb: Rgb) -> Iterator[tuple[Blocks, tuple[float, float]]]:
        """The blocks of each level of the pyramid, and its scale in x and y; the rim is repeated outwards."""
        border = self.window.margin_cells * self.window.hog.cell_px
        for level, scale_x, scale_y in pyramid(rgb, self.window.inner_px, self.shrink, self.enlarge):
            wide = np.pad(level, ((border, border), (border, border), (0, 0)), mode="edge")
            yield hog(wide, self.window.hog), (scale_x, scale_y)

    def windows(self, rgb: Rgb, floor: float, most: int) -> Found:
        """The best windows with a margin above `floor`, and what the plane saw of them."""
        from streamdet.models.classic.hog_kernels import responses

        rows, columns = self.window.blocks
        template = np.ascontiguousarray(self.plane.weight.reshape(rows, columns, -1))
        boxes, margins, features = [], [], []
        for blocks, scale in self.levels(rgb):
            fit = responses(blocks, template) + np.float32(self.plane.bias)
            y, x = np.nonzero(fit > floor)
            best = np.argsort(-fit[y, x], kind="stable")[:most]
            y, x = y[best], x[best]
            boxes.append(self.window.boxes(x, y, scale, self.window.margin_cells))
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

    def save(self, path: Path) -> None:
        """Write all that it has learnt, as an .npz file."""
        np.savez(
            path,
            family=self.family,
            name=self.name,
            cells=self.window.cells,
            margin_cells=self.window.margin_cells,
            hog=(self.window.hog.cell_px, self.window.hog.block_cells, self.window.hog.bins),
            weight=self.plane.weight,
            bias=self.plane.bias,
            search=(self.shrink, self.enlarge, self.overlap, self.floor),
        )

    @classmethod
    def load(cls, path: Path) -> WindowDetector:
        """Read what `save` wrote."""
        try:
            with path.open("rb") as file, np.load(file) as held:
                options = HogOptions(*map(int, held["hog"]))
                window = Window((int(held["cells"][0]), int(held["cells"][1])), options, int(held["margin_cells"]))
                plane = Plane(held["weight"], float(held["bias"]))
                shrink, enlarge, overlap, floor = map(float, held["search"])
                return cls(str(held["name"]), window, plane, shrink, enlarge, overlap, floor)
        except (OSError, KeyError, ValueError) as error:
            raise DataError("no detector of windows can be read", where=path, got=str(error)) from error
