"""Deformable parts: a coarse template of the whole, finer ones of its parts, and springs between them.

A part looks at twice the resolution of the whole and may stand somewhat beside its place, at a price that grows with
the square of the distance. A mixture has one such model per aspect: a plate from the side is another shape
(Felzenszwalb et al., 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes
from streamdet.datasets.pictures import Rgb
from streamdet.errors import DataError
from streamdet.frames import Detections
from streamdet.models.classic.hog import Blocks, HogOptions, hog, pyramid
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.window import Suppression, Window

SPRING = 0.1  # what distances are multiplied with before they are learnt like any feature
_LEAST_SQUARE = 0.05  # half of what springs begin with: few objects teach that parts may be anywhere
_LIMIT = 500  # candidates that suppression sees, of each component

Place = TypeVar("Place", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class Component:
    """One model of the mixture: the whole, its parts, and all that was learnt of them in one vector."""

    window: Window  # of the whole
    anchors: tuple[tuple[int, int], ...]  # of each part: across, down, in fine blocks from the corner of the whole
    part_blocks: tuple[int, int]  # across, down
    plane: Plane  # over: the whole's blocks, each part's blocks, each part's four distances

    @property
    def features(self) -> int:
        """How many numbers a block has."""
        return self.window.hog.features

    @property
    def whole(self) -> npt.NDArray[np.float32]:
        """The template of the whole [h, w, D]."""
        rows, columns = self.window.blocks
        return self.plane.weight[: rows * columns * self.features].reshape(rows, columns, self.features)

    @property
    def parts(self) -> npt.NDArray[np.float32]:
        """The templates of the parts [P, h, w, D]."""
        size = len(self.anchors) * self.part_blocks[0] * self.part_blocks[1] * self.features
        first = self.whole.size
        shape = (len(self.anchors), self.part_blocks[1], self.part_blocks[0], self.features)
        return self.plane.weight[first : first + size].reshape(shape)

    @property
    def springs(self) -> npt.NDArray[np.float64]:
        """What distances cost each part [P, 4]: squared and plain, across and down."""
        learnt = self.plane.weight[self.whole.size + self.parts.size :].reshape(-1, 4).astype(np.float64) * SPRING
        learnt[:, (0, 2)] = np.maximum(learnt[:, (0, 2)], _LEAST_SQUARE)
        return learnt


@dataclass(frozen=True)
class Level:
    """One size of the picture: its blocks, the border of repeated pixels around it included."""

    blocks: Blocks
    scale: tuple[float, float]


@dataclass(frozen=True)
class Places:
    """Where a component fits, best first."""

    xyxy: Boxes  # [N, 4]
    margin: npt.NDArray[np.float32]  # [N]
    level: npt.NDArray[np.int64]  # [N] of the whole
    y: npt.NDArray[np.int64]  # [N]
    x: npt.NDArray[np.int64]  # [N]
    part_y: npt.NDArray[np.int64]  # [N, P] at the finer level
    part_x: npt.NDArray[np.int64]  # [N, P]


@dataclass
class PartsDetector:
    """A Predictor for one class; one thread's own."""

    name: str
    components: tuple[Component, ...]
    per_octave: int = 6  # levels of the pyramid from one size to its half
    enlarge: float = 1.0  # of the picture at its largest, where only parts look
    overlap: float = 0.3  # above which the weaker of two goes
    floor: float = -1.2  # lesser margins are not given
    label: str = "deformable parts"
    family: ClassVar[str] = "deformable_parts"

    def __post_init__(self) -> None:
        self._suppression = Suppression(self.name, self.overlap, 2 * _LIMIT)

    def __call__(self, rgb: Rgb) -> Detections:
        levels = self.levels(rgb)
        found = [self.places(levels, component, self.floor, _LIMIT) for component in self.components]
        xyxy, margin = (np.concatenate([getattr(each, name) for each in found]) for name in ("xyxy", "margin"))
        return self._suppression(xyxy, margin, (rgb.shape[1], rgb.shape[0]))

    def close(self) -> None:
        """Nothing is held."""

    @property
    def border_cells(self) -> int:
        """Of repeated pixels around each level: what is around an object is there twice as large for the parts."""
        return 2 * max(component.window.margin_cells for component in self.components)

    def levels(self, rgb: Rgb) -> list[Level]:
        """The pyramid; the whole of an object on one level has its parts `per_octave` levels before."""
        options = self.components[0].window.hog
        inner = [component.window.inner_px for component in self.components]
        smallest = min(width for width, _ in inner), min(height for _, height in inner)
        border = self.border_cells * options.cell_px
        found = []
        for level, scale_x, scale_y in pyramid(rgb, smallest, 2 ** (1 / self.per_octave), self.enlarge):
            wide = np.pad(level, ((border, border), (border, border), (0, 0)), mode="edge")
            found.append(Level(hog(wide, options), (scale_x, scale_y)))
        return found

    def places(self, levels: Sequence[Level], component: Component, floor: float, most: int) -> Places:
        """The best places of a component with a margin above `floor`."""
        found = [
            self._places_on(levels, number, component, floor, most) for number in range(self.per_octave, len(levels))
        ]
        found = [each for each in found if len(each.margin)]
        if not found:
            none = np.zeros(0, np.int64)
            parts = np.zeros((0, len(component.anchors)), np.int64)
            return Places(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), none, none, none, parts, parts)
        columns = {name: np.concatenate([getattr(each, name) for each in found]) for name in Places.__annotations__}
        order = np.argsort(-columns["margin"], kind="stable")[:most]
        return Places(**{name: column[order] for name, column in columns.items()})

    def _places_on(self, levels: Sequence[Level], number: int, component: Component, floor: float, most: int) -> Places:
        """The same on one level."""
        from streamdet.models.classic.dpm_kernels import spread
        from streamdet.models.classic.hog_kernels import responses

        coarse, fine = levels[number], levels[number - self.per_octave]
        border = self.border_cells
        fit = responses(coarse.blocks, np.ascontiguousarray(component.whole)) + np.float32(component.plane.bias)
        height, width = fit.shape
        moved = []
        for template, anchor, spring in zip(component.parts, component.anchors, component.springs, strict=True):
            alone = responses(fine.blocks, np.ascontiguousarray(template))
            if not alone.size:
                fit = fit[:0]
                break
            worth, from_y, from_x = spread(alone, *map(float, spring))
            rows = np.clip(fine_place(np.arange(height, dtype=np.int64), border) + anchor[1], 0, alone.shape[0] - 1)
            columns = np.clip(fine_place(np.arange(width, dtype=np.int64), border) + anchor[0], 0, alone.shape[1] - 1)
            grid = np.ix_(rows, columns)
            fit = fit + worth[grid]
            moved.append((from_y[grid], from_x[grid]))
        y, x = _highest(fit, floor, most)
        shape = (len(y), len(component.anchors))
        part_y, part_x = (
            np.array([one[axis][y, x] for one in moved], np.int64).reshape(shape[::-1]).T.reshape(shape)
            if len(y)
            else np.zeros(shape, np.int64)
            for axis in (0, 1)
        )
        xyxy = component.window.boxes(x, y, coarse.scale, border)
        return Places(xyxy, fit[y, x], np.full(len(y), number), y, x, part_y, part_x)

    def seen(
        self, levels: Sequence[Level], component: Component, places: Places, rows: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """What the component's plane saw at these places [N, D]."""
        down, across = component.window.blocks
        part_across, part_down = component.part_blocks
        found = []
        for row in rows:
            number, y, x = int(places.level[row]), int(places.y[row]), int(places.x[row])
            fine = levels[number - self.per_octave].blocks
            cut = [levels[number].blocks[y : y + down, x : x + across].ravel()]
            distances = []
            at = zip(places.part_y[row], places.part_x[row], component.anchors, strict=True)
            for v, u, anchor in at:
                cut.append(fine[v : v + part_down, u : u + part_across].ravel())
                right = u - fine_place(x, self.border_cells) - anchor[0]
                below = v - fine_place(y, self.border_cells) - anchor[1]
                distances += [right * right, right, below * below, below]
            found.append(np.concatenate([*cut, -SPRING * np.array(distances, np.float32)]))
        return np.array(found, np.float32).reshape(len(rows), -1 if found else component.plane.weight.size)

    def save(self, path: Path) -> None:
        """Write all that it has learnt, as an .npz file."""
        options = self.components[0].window.hog
        held: dict[str, npt.ArrayLike] = {
            "family": self.family,
            "name": self.name,
            "hog": (options.cell_px, options.block_cells, options.bins),
            "search": (self.per_octave, self.enlarge, self.overlap, self.floor),
        }
        for number, component in enumerate(self.components):
            window = component.window
            held[f"shape_{number}"] = (*window.cells, window.margin_cells, *component.part_blocks)
            held[f"anchors_{number}"] = np.array(component.anchors, np.int64).reshape(-1, 2)
            held[f"weight_{number}"] = component.plane.weight
            held[f"bias_{number}"] = component.plane.bias
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **held)

    @classmethod
    def load(cls, path: Path) -> PartsDetector:
        """Read what `save` wrote."""
        try:
            with path.open("rb") as file, np.load(file) as held:
                options = HogOptions(*map(int, held["hog"]))
                components: list[Component] = []
                while f"shape_{len(components)}" in held:
                    number = len(components)
                    across, down, margin, part_across, part_down = map(int, held[f"shape_{number}"])
                    anchors = tuple((int(x), int(y)) for x, y in held[f"anchors_{number}"])
                    plane = Plane(held[f"weight_{number}"], float(held[f"bias_{number}"]))
                    window = Window((across, down), options, margin)
                    components.append(Component(window, anchors, (part_across, part_down), plane))
                per_octave, enlarge, overlap, floor = map(float, held["search"])
                return cls(str(held["name"]), tuple(components), int(per_octave), enlarge, overlap, floor)
        except (OSError, KeyError, ValueError) as error:
            raise DataError("no detector of parts can be read", where=path, got=str(error)) from error


def _highest(
    fit: npt.NDArray[np.float32], floor: float, most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places of so many largest values above the floor, in no order."""
    y, x = np.nonzero(fit > floor)
    if len(y) > most:
        best = np.argpartition(-fit[y, x], most)[:most]
        y, x = y[best], x[best]
    return y, x


def fine_place(place: Place, border_cells: int) -> Place:
    """A place on one level as one of the level at twice its size; both have the same border."""
    return 2 * (place - border_cells) + border_cells
