"""The body of a car, piece by piece: seen from one end, its near face (front or rear) at z = 0, the rest behind it.

X to the right of whoever looks at the face, Y up from the road, Z away from him; metres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamdet.scenes.mesh import MeshBuilder

Face = Literal["front", "rear"]
Colour = tuple[float, float, float]  # BGR
Outline = list[tuple[float, float]]  # clockwise as seen; x, y

_TYRE: Colour = (30, 29, 28)
_RIM: Colour = (176, 176, 174)
_DARK: Colour = (26, 25, 24)
_GLASS: Colour = (46, 42, 38)
_CHROME: Colour = (205, 204, 200)


_SILL = 0.24
_CORNER = 0.42  # radius of the rounded corners in plan


@dataclass(frozen=True)
class Body:
    """Lengths of one kind of car, in metres."""

    width: float
    length: float
    belt: float  # height of the lower edge of the windows
    roof: float
    hood: float  # length of the hood
    boot: float  # length of the boot; near 0 for a hatchback
    screen: float  # how far the windscreen leans back
    rear_screen: float
    nose: float  # height of the hood's front edge


@dataclass
class CarShell:
    """The pieces of one car, added in painting order."""

    mesh: MeshBuilder
    body: Body
    face: Face
    paint: Colour

    def build(self, random: np.random.Generator, plate_m: tuple[float, float]) -> npt.NDArray[np.float32]:
        self._underside()
        self._sides()
        self._lids()
        self._cabin(random)
        self._fascia()
        if self.face == "front":
            self._front(random)
        else:
            self._rear(random)
        self._mirrors()
        return self._plate(plate_m)

    # the near face is a surface z(x, y); everything on it is laid onto this surface

    @property
    def _top(self) -> float:
        """Height of the near face's upper edge."""
        if self.face == "front":
            return self.body.nose
        return self.body.belt + (0.0 if self.body.boot < 0.2 else 0.03)

    @property
    def _lid(self) -> float:
        """Length of the lid behind the near face's upper edge."""
        return self.body.hood if self.face == "front" else self.body.boot

    def _depth(self, x: float, y: float) -> float:
        half = self.body.width / 2
        beyond = max(abs(x) - (half - _CORNER), 0.0)
        corner = _CORNER - np.sqrt(max(_CORNER**2 - min(beyond, _CORNER) ** 2, 0.0))
        share = (y - _SILL) / (self._top - _SILL)
        if self.face == "front":
            bulge = np.interp(share, [0, 0.2, 0.45, 0.75, 0.9, 1], [0.12, 0.02, 0.0, 0.05, 0.10, 0.20])
        else:
            bulge = np.interp(share, [0, 0.15, 0.42, 0.48, 0.9, 1], [0.10, 0.0, 0.0, 0.07, 0.09, 0.14])
        return float(0.55 * corner + bulge)

    def _on_face(self, outline: Outline, colour: Colour, gloss: float = 0.0, *, glow: bool = False) -> None:
        self.mesh.add([(x, y, self._depth(x, y) - 0.004) for x, y in outline], colour, gloss=gloss, glow=glow)

    def _both(self, outline: Outline, colour: Colour, gloss: float = 0.0, *, glow: bool = False) -> None:
        """A convex outline of the right half and its mirror image."""
        self._on_face(outline, colour, gloss, glow=glow)
        self._on_face([(-x, y) for x, y in reversed(outline)], colour, gloss, glow=glow)

    def _underside(self) -> None:
        half, add = self.body.width / 2, self.mesh.add
        for z in (self.body.length - 0.85, 0.5):
            for x in (-half + 0.03, half - 0.26):
                add([(x, 0.34, z), (x + 0.23, 0.34, z), (x + 0.2, 0.0, z), (x + 0.03, 0.0, z)], _TYRE)
        add(
            [(-half + 0.1, 0.34, 0.3), (half - 0.1, 0.34, 0.3), (half - 0.16, 0.16, 0.3), (-half + 0.16, 0.16, 0.3)],
            (14, 14, 14),
        )

    def _upper(self, z: float) -> float:
        """Height of the shoulder line at that depth."""
        body = self.body
        if self.face == "front":
            return float(np.interp(z, [0.15, 0.15 + body.hood, body.length], [body.nose, body.belt, body.belt + 0.02]))
        return float(np.interp(z, [0.1, body.length - body.hood, body.length], [self._top, body.belt, body.nose]))

    def _sides(self) -> None:
        body, half = self.body, self.body.width / 2
        stations = [0.28, 0.5, 0.85, 1.25, 1.9, 2.6, 3.3, body.length - 0.6, body.length - 0.2]
        levels = ((0.0, -0.05), (0.3, 0.0), (0.75, 0.0), (1.0, -0.05))  # share of the height, offset of x
        for near, far in itertools.pairwise(stations):
            for (low, low_x), (high, high_x) in itertools.pairwise(levels):
                ring = [
                    (half + (high_x if share == high else low_x), _SILL + share * (self._upper(z) - _SILL), z)
                    for share, z in ((high, near), (high, far), (low, far), (low, near))
                ]
                self.mesh.add(ring, self.paint, gloss=0.16)
                self.mesh.add([(-x, y, z) for x, y, z in reversed(ring)], self.paint, gloss=0.16)
        for z in (0.85, body.length - 0.85):
            self._wheel(z)
        for z in (body.hood + 0.25, body.length * 0.5, body.length - 1.15):
            door = [
                (half + 0.005, body.belt - 0.06, z),
                (half + 0.005, body.belt - 0.06, z + 0.018),
                (half - 0.01, _SILL + 0.05, z + 0.018),
                (half - 0.01, _SILL + 0.05, z),
            ]
            self._side_pair(door, _DARK)

    def _side_pair(self, ring: list[tuple[float, float, float]], colour: Colour, gloss: float = 0.0) -> None:
        self.mesh.add(ring, colour, gloss=gloss)
        self.mesh.add([(-x, y, z) for x, y, z in reversed(ring)], colour, gloss=gloss)

    def _wheel(self, z: float) -> None:
        half = self.body.width / 2
        for radius, colour, out in (
            (0.39, _DARK, 0.004),
            (0.33, _TYRE, 0.008),
            (0.22, _RIM, 0.012),
            (0.07, _DARK, 0.016),
        ):
            angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
            ring = [(half + out, 0.33 - radius * np.sin(a), z - radius * np.cos(a)) for a in angles]
            self._side_pair([(x, y, depth) for x, y, depth in reversed(ring)], colour)

    def _lids(self) -> None:
        """Hood or boot, whichever is at the near end, in strips across so that it looks crowned."""
        body = self.body
        near_z, far_z = 0.2 if self.face == "front" else 0.14, 0.2 + self._lid
        columns = np.linspace(-1, 1, 9)
        for left, right in itertools.pairwise(columns):
            ring = []
            for side, z, y in (
                (left, far_z, body.belt + 0.01),
                (right, far_z, body.belt + 0.01),
                (right, near_z, self._top),
                (left, near_z, self._top),
            ):
                wide = body.width / 2 - (0.10 if z == near_z else 0.05)
                depth = z + (0.55 * _CORNER * max(abs(side) - 0.6, 0) if z == near_z else 0)
                drop = 0.07 * side**4 if z == near_z else 0.0
                ring.append((side * wide, y - drop, depth))
            self.mesh.add(ring, self.paint, gloss=0.34)

    def _cabin(self, random: np.random.Generator) -> None:
        body = self.body
        lean = body.screen if self.face == "front" else body.rear_screen
        other = body.rear_screen if self.face == "front" else body.screen
        other_lid = body.boot if self.face == "front" else body.hood
        low_near, low_far = 0.18 + self._lid, body.length - 0.2 - other_lid
        top_near, top_far = low_near + lean, low_far - other
        low, high = body.width / 2 - 0.05, body.width / 2 - (0.22 if body.roof < 1.8 else 0.14)
        belt, roof = body.belt, body.roof
        self._side_pair(
            [(high, roof, top_near), (high, roof, top_far), (low, belt, low_far), (low, belt, low_near)],
            self.paint,
            0.18,
        )

        def pane(near: float, far: float) -> list[tuple[float, float, float]]:
            ring = []
            for share, along in ((0.88, near), (0.88, far), (0.10, far), (0.10, near)):
                start, end = low_near + (top_near - low_near) * share, low_far + (top_far - low_far) * share
                ring.append(
                    (low + (high - low) * share + 0.006, belt + (roof - belt) * share, start + (end - start) * along)
                )
            return ring

        for near, far in ((0.05, 0.34), (0.38, 0.66), (0.70, 0.94)):
            self._side_pair(pane(near, far), _GLASS, 0.30)
        self._roof(high, top_near, top_far)
        self._screen(random, (low, high), (low_near, top_near))

    def _roof(self, high: float, near: float, far: float) -> None:
        roof = self.body.roof
        columns = np.linspace(-1, 1, 6)
        for left, right in itertools.pairwise(columns):
            ring = [
                (side * high, roof + 0.05 * (1 - side**2), z)
                for side, z in ((left, far), (right, far), (right, near), (left, near))
            ]
            self.mesh.add(ring, self.paint, gloss=0.3)
        brow = [(side * high, roof + 0.05 * (1 - side**2), near) for side in columns]
        brow += [(high, roof - 0.03, near - 0.03), (-high, roof - 0.03, near - 0.03)]
        self.mesh.add(brow, self.paint, gloss=0.2)

    def _screen(self, random: np.random.Generator, half: tuple[float, float], depth: tuple[float, float]) -> None:
        """Windscreen or rear window, with what is dimly seen behind it."""
        body = self.body

        def at(x: float, share: float, out: float = 0.0) -> tuple[float, float, float]:
            wide = half[0] + (half[1] - half[0]) * share
            z = depth[0] + (depth[1] - depth[0]) * share - out
            return (x * wide, body.belt + (body.roof - body.belt) * share, z + 0.08 * abs(x) ** 3)

        def patch(outline: Outline, colour: Colour, gloss: float, out: float) -> None:
            self.mesh.add([at(x, share, out) for x, share in outline], colour, gloss=gloss)

        patch([(-1, 1), (1, 1), (1, 0), (-1, 0)], self.paint, 0.2, 0.0)
        patch([(-0.93, 0.95), (0.93, 0.95), (0.95, 0.03), (-0.95, 0.03)], (16, 16, 16), 0.05, 0.01)
        for low, high in ((0.08, 0.3), (0.3, 0.6), (0.6, 0.91)):
            patch([(-0.89, high), (0.89, high), (0.91, low), (-0.91, low)], _GLASS, 0.22 + 0.28 * (high - 0.3), 0.02)
        seats = (-0.48, 0.48)
        for seat in seats:
            patch(
                [(seat - 0.14, 0.6), (seat + 0.14, 0.6), (seat + 0.24, 0.1), (seat - 0.24, 0.1)],
                (38, 35, 33),
                0.12,
                0.03,
            )
            patch(
                [(seat - 0.1, 0.8), (seat + 0.1, 0.8), (seat + 0.11, 0.6), (seat - 0.11, 0.6)], (36, 34, 32), 0.12, 0.03
            )
        if self.face == "front":
            driver = float(seats[int(random.integers(2))])
            skin = (70, 84, 108) if random.random() < 0.6 else (48, 56, 74)
            circle = [
                (driver + 0.075 * np.cos(a), 0.68 + 0.15 * np.sin(a))
                for a in np.linspace(0, -2 * np.pi, 12, endpoint=False)
            ]
            patch(circle, skin, 0.25, 0.04)
            patch([(-0.09, 0.93), (0.09, 0.93), (0.09, 0.84), (-0.09, 0.84)], (22, 22, 22), 0.0, 0.05)
            for start in (-0.75, -0.02):
                patch(
                    [(start, 0.10), (start + 0.58, 0.075), (start + 0.58, 0.05), (start, 0.05)], (18, 18, 18), 0.0, 0.05
                )
        shine = float(random.uniform(-0.6, 0.3))
        patch([(shine + 0.2, 0.91), (shine + 0.42, 0.91), (shine + 0.2, 0.08), (shine - 0.05, 0.08)], _GLASS, 0.5, 0.06)

    def _fascia(self) -> None:
        half = self.body.width / 2 - 0.01
        rows = np.linspace(_SILL - 0.04, self._top, 8)
        columns = half * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 10))
        for low, high in itertools.pairwise(rows):
            for left, right in itertools.pairwise(columns):
                ring = [(x, y, self._depth(x, y)) for x, y in ((left, high), (right, high), (right, low), (left, low))]
                self.mesh.add(ring, self.paint, gloss=0.16)

    def _front(self, random: np.random.Generator) -> None:
        top, half = self._top, self.body.width / 2
        self._on_face(_strip(0.36, 0.25, 0.62, 0.56), _DARK)
        self._both([(half - 0.38, 0.40), (half - 0.12, 0.41), (half - 0.14, 0.27), (half - 0.36, 0.27)], _DARK)
        self._both(_box(half - 0.31, 0.37, half - 0.21, 0.30), (190, 195, 196), 0.3)
        high, low = top - 0.04, top - 0.19
        grille = float(random.uniform(0.40, 0.52))
        self._on_face(_strip(high, low, grille, grille - 0.08), _CHROME, 0.2)
        self._on_face(_strip(high - 0.018, low + 0.018, grille - 0.025, grille - 0.1), _DARK)
        for y in np.linspace(high - 0.04, low + 0.04, int(random.integers(2, 5))).tolist():
            self._on_face(_strip(y + 0.008, y - 0.008, grille - 0.06, grille - 0.07), (120, 120, 118), 0.2)
        self._on_face(_disc(0.0, (high + low) / 2, 0.06, 0.05, 10), _CHROME, 0.4)
        inner, outer = grille + 0.05, half - 0.05
        housing = [(inner, high - 0.02), (outer, high + 0.01), (outer, low + 0.03), (inner + 0.06, low)]
        glass = [(inner + 0.03, high - 0.03), (outer - 0.05, high - 0.01), (outer - 0.06, low + 0.04)]
        self._both(housing, (60, 58, 56), 0.3)
        self._both([*glass, (inner + 0.08, low + 0.02)], (205, 208, 206), 0.25)
        self._both(_disc((inner + outer) / 2, (high + low) / 2, 0.055, 0.048, 12), (250, 252, 250), glow=True)

    def _rear(self, random: np.random.Generator) -> None:
        top, half = self._top, self.body.width / 2
        self._on_face(_strip(0.36, 0.22, half - 0.12, half - 0.18), (36, 35, 34))
        self._both(_box(half - 0.32, 0.33, half - 0.14, 0.28), (36, 30, 130), 0.1)
        seam = _SILL + 0.47 * (top - _SILL)
        self._on_face(_strip(seam + 0.012, seam - 0.006, half - 0.1, half - 0.1), _DARK)
        high, low = top - 0.06, top - 0.06 - float(random.uniform(0.14, 0.2))
        inner, outer = half - float(random.uniform(0.34, 0.46)), half - 0.04
        self._both([(inner, high - 0.01), (outer, high), (outer, low), (inner + 0.05, low)], (30, 22, 120), 0.16)
        brake = [(inner + 0.04, high - 0.03), (outer - 0.12, high - 0.025), (outer - 0.12, low + 0.07)]
        self._both([*brake, (inner + 0.07, low + 0.07)], (44, 36, 190), 0.1)
        reverse = [(inner + 0.08, low + 0.05), (outer - 0.06, low + 0.05), (outer - 0.06, low + 0.02)]
        self._both([*reverse, (inner + 0.09, low + 0.02)], (180, 190, 200), 0.2)
        self._on_face(_strip(top - 0.075, top - 0.10, 0.36, 0.36), _CHROME, 0.25)
        self._on_face(_disc(0.0, top - 0.045, 0.055, 0.035, 10), _CHROME, 0.4)

    def _mirrors(self) -> None:
        if self.face == "rear":
            z = self.body.length - 0.3 - self.body.hood - 0.3
        else:
            z = 0.3 + self.body.hood + 0.3
        x, y = self.body.width / 2 - 0.02, self.body.belt + 0.04
        ring = [(x, y + 0.13, z), (x + 0.16, y + 0.13, z + 0.03), (x + 0.18, y + 0.01, z + 0.03), (x, y, z)]
        colour = self.paint if self.face == "front" else _DARK
        self.mesh.add(ring, colour, gloss=0.2)
        self.mesh.add([(-a, b, c) for a, b, c in reversed(ring)], colour, gloss=0.2)

    def _plate(self, size_m: tuple[float, float]) -> npt.NDArray[np.float32]:
        """The frame of the plate; answers where the plate itself hangs."""
        wide, high = size_m[0] / 2, size_m[1] / 2
        y = 0.45 if self.face == "front" else (_SILL + 0.70 * (self._top - _SILL))
        y = max(y, _SILL + high)
        z = min(self._depth(0.0, y + high), self._depth(0.0, y - high)) - 0.02
        frame = _box(-wide - 0.02, y + high + 0.015, wide + 0.02, y - high - 0.02)
        self.mesh.add([(a, b, z + 0.004) for a, b in frame], _DARK)
        corners = [(-wide, y + high, z), (wide, y + high, z), (wide, y - high, z), (-wide, y - high, z)]
        return np.array(corners, np.float32)


def _box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _strip(top: float, bottom: float, half_top: float, half_bottom: float) -> Outline:
    """A trapezoid around the middle of the face."""
    return [(-half_top, top), (half_top, top), (half_bottom, bottom), (-half_bottom, bottom)]


def _disc(x: float, y: float, across: float, up: float, corners: int) -> Outline:
    angles = np.linspace(0, -2 * np.pi, corners, endpoint=False)
    return [(float(x + across * np.cos(a)), float(y + up * np.sin(a))) for a in angles]
