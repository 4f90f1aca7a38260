"""Canvas: three yuv420p planes to draw on, and the few strokes that everything is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.drawing.colours import Rgb, Yuv, to_yuv
from streamdet.picture import ColourMatrix

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture with soft edges, ready to be laid on a canvas: dst · through / 255 + paint, plane by plane."""

    paint: tuple[Bytes, Bytes, Bytes]  # y [h, w], u and v [h/2, w/2], already multiplied by their opacity
    through: tuple[Bytes, Bytes]  # what shows through: of luma [h, w], of chroma [h/2, w/2]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in luma pixels, both even."""
        height, width = self.paint[0].shape
        return width, height


@dataclass(frozen=True, slots=True)
class Canvas:
    """Writable planes of even size.

    Every stroke is snapped to even pixels: so luma and chroma end at the same place, and an edge has no fringe.
    Coordinates may lie outside; what does is cut off.
    """

    y: Bytes  # [h, w]
    u: Bytes  # [h/2, w/2]
    v: Bytes  # [h/2, w/2]
    matrix: ColourMatrix = "bt601"
    full_range: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.y.shape
        return width, height

    def colour(self, rgb: Rgb) -> Yuv:
        """An RGB colour in this canvas's matrix and range."""
        return to_yuv(rgb, self.matrix, self.full_range)

    def fill(self, left: int, top: int, right: int, bottom: int, colour: Yuv) -> None:
        """A filled rectangle."""
        width, height = self.size
        left, top = max(left, 0) & ~1, max(top, 0) & ~1
        right, bottom = min(right + 1, width) & ~1, min(bottom + 1, height) & ~1
        if left >= right or top >= bottom:
            return
        self.y[top:bottom, left:right] = colour[0]
        rows, columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        self.u[rows, columns] = colour[1]
        self.v[rows, columns] = colour[2]

    def outline(self, box: tuple[int, int, int, int], thickness: int, colour: Yuv, dash: int = 0) -> None:
        """A rectangle's edges, drawn inwards; broken into dashes of that length where it is not 0."""
        left, top, right, bottom = box
        thick = min(thickness, right - left, bottom - top)
        if dash:
            for start in range(left, right, 2 * dash):
                self.fill(start, top, min(start + dash, right), top + thick, colour)
                self.fill(start, bottom - thick, min(start + dash, right), bottom, colour)
            for start in range(top, bottom, 2 * dash):
                self.fill(left, start, left + thick, min(start + dash, bottom), colour)
                self.fill(right - thick, start, right, min(start + dash, bottom), colour)
            return
        self.fill(left, top, right, top + thick, colour)
        self.fill(left, bottom - thick, right, bottom, colour)
        self.fill(left, top + thick, left + thick, bottom - thick, colour)
        self.fill(right - thick, top + thick, right, bottom - thick, colour)

    def conceal(self, left: int, top: int, right: int, bottom: int) -> None:
        """Leave of a rectangle only a few soft patches: nothing that was written there can be read."""
        import cv2

        width, height = self.size
        left, top = max(left, 0) & ~1, max(top, 0) & ~1
        right, bottom = min(right + 1, width) & ~1, min(bottom + 1, height) & ~1
        if left >= right or top >= bottom:
            return
        cells = (max(min(4, (right - left) // 8), 1), max(min(2, (bottom - top) // 8), 1))
        for number, plane in enumerate((self.y, self.u, self.v)):
            step = 2 if number else 1
            part = plane[top // step : bottom // step, left // step : right // step]
            few = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
            part[:] = cv2.resize(few, part.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def disc(self, x: float, y: float, radius: int, colour: Yuv, rim: Yuv) -> None:
        """A filled circle with a thin rim; none where the centre is no place on or near the canvas."""
        import cv2

        reach = 2 * max(self.size)  # cv2 counts sixteenths of a pixel in 32 bits; and NaN is near nothing
        if not (-reach <= x <= reach and -reach <= y <= reach):
            return
        centre = (round(x * 16), round(y * 16))
        cv2.circle(self.y, centre, (radius + 1) * 16, rim[0], cv2.FILLED, cv2.LINE_AA, 4)
        cv2.circle(self.y, centre, radius * 16, colour[0], cv2.FILLED, cv2.LINE_AA, 4)
        centre, radius = (round(x * 8), round(y * 8)), max(radius * 8, 8)
        cv2.circle(self.u, centre, radius, colour[1], cv2.FILLED, cv2.LINE_AA, 4)
        cv2.circle(self.v, centre, radius, colour[2], cv2.FILLED, cv2.LINE_AA, 4)

    def line(self, points: npt.NDArray[np.float32], thickness: int, colour: Yuv) -> None:
        """A line through points [P, 2], with smooth edges; points that are no place near the canvas are left out."""
        import cv2

        reach = 2 * max(self.size)
        points = points[(np.abs(points) <= reach).all(axis=1)]
        path = np.rint(points * 16).astype(np.int32)
        cv2.polylines(self.y, [path], False, colour[0], thickness, cv2.LINE_AA, 4)
        path = np.rint(points * 8).astype(np.int32)
        cv2.polylines(self.u, [path], False, colour[1], max(thickness // 2, 1), cv2.LINE_AA, 4)
        cv2.polylines(self.v, [path], False, colour[2], max(thickness // 2, 1), cv2.LINE_AA, 4)

    def paste(self, tile: Tile, left: int, top: int) -> None:
        """Lay a tile down with its corner at an even place."""
        import cv2

        width, height = self.size
        left, top = left & ~1, top & ~1
        tile_width, tile_height = tile.size
        skip_x, skip_y = max(-left, 0), max(-top, 0)
        right, bottom = min(left + tile_width, width), min(top + tile_height, height)
        left, top = left + skip_x, top + skip_y
        if left >= right or top >= bottom:
            return
        for number, plane in enumerate((self.y, self.u, self.v)):
            step = 2 if number else 1
            target = plane[top // step : bottom // step, left // step : right // step]
            rows = slice(skip_y // step, (skip_y + bottom - top) // step)
            columns = slice(skip_x // step, (skip_x + right - left) // step)
            cv2.multiply(target, tile.through[step - 1][rows, columns], dst=target, scale=1 / 255)
            cv2.add(target, tile.paint[number][rows, columns], dst=target)
