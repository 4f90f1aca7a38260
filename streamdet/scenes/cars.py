"""Cars to be met in the street: kinds, paints, and a random one of them with its plate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamdet.plate_formats import PlateFormat
from streamdet.scenes.carbody import Body, CarShell, Colour, Face
from streamdet.scenes.hanging import pyramid
from streamdet.scenes.mesh import Mesh, MeshBuilder
from streamdet.scenes.plates import PlateArt, draw_plate
from streamdet.scenes.truth import Bgr

PAINTS: tuple[Colour, ...] = (
    (235, 235, 232),
    (168, 168, 166),
    (110, 106, 104),
    (58, 52, 50),
    (34, 32, 32),
    (40, 36, 150),
    (128, 66, 30),
    (92, 52, 26),
    (62, 84, 40),
    (110, 150, 190),
    (40, 130, 220),
    (150, 130, 96),
)
BODIES: tuple[Body, ...] = (
    Body(1.78, 4.1, 0.95, 1.47, 0.95, 0.06, 0.75, 0.42, 0.76),  # hatchback
    Body(1.82, 4.7, 0.94, 1.44, 1.12, 0.62, 0.82, 0.70, 0.74),  # saloon
    Body(1.84, 4.7, 0.96, 1.48, 1.10, 0.05, 0.80, 0.34, 0.76),  # estate
    Body(1.90, 4.6, 1.08, 1.70, 1.02, 0.06, 0.66, 0.30, 0.94),  # off-roader
    Body(1.94, 5.1, 1.16, 1.96, 0.62, 0.03, 0.74, 0.12, 1.02),  # van
)


@dataclass(frozen=True, slots=True)
class Car:
    """A car as seen from one end, with its plate."""

    mesh: Mesh
    body: Body
    face: Face
    plate: PlateArt
    plate_levels: tuple[Bgr, ...]  # its pyramid
    plate_corners: npt.NDArray[np.float32]  # [4, 3], metres, in the order of reading


def draw_car(
    face: Face, formats: tuple[PlateFormat, ...], random: np.random.Generator, light: npt.NDArray[np.float32]
) -> Car:
    """A random car of a random kind and colour, with a plate of one of the formats, under light of that BGR gain."""
    body = BODIES[int(random.integers(len(BODIES)))]
    paint = np.array(PAINTS[int(random.integers(len(PAINTS)))], np.float64)
    paint = np.clip(paint + random.normal(0, 6, 3), 15, 245)
    chosen = formats[int(random.integers(len(formats)))]
    art = draw_plate(chosen, random, rear=face == "rear")
    shell = CarShell(MeshBuilder(), body, face, tuple(paint))
    corners = shell.build(random, art.size_m)
    art = replace(art, bgr=np.clip(art.bgr * light, 0, 255).astype(np.uint8))
    mesh = shell.mesh.build()
    mesh = replace(mesh, colours=np.clip(mesh.colours * light, 0, 255).astype(np.float32))
    return Car(mesh, body, face, art, pyramid(art.bgr), corners)
