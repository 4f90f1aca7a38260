"""What a plate is fixed to: the holder with the dealer's name, the recess, a piece of the car, lamps above."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.alphabets import CHARACTERS, Alphabet, Mask
from streamdet.scenes.dice import Dice
from streamdet.scenes.lettering import lay, small_print
from streamdet.scenes.plate_parts import poured
from streamdet.scenes.poses import Corners, flat_corners
from streamdet.scenes.truth import Bgr

_BODIES = ((232, 232, 230), (165, 165, 163), (100, 98, 96), (52, 48, 46), (24, 24, 24), (40, 36, 150), (120, 62, 30))


@dataclass(frozen=True, slots=True)
class Mounted:
    """A plate and its surroundings as seen from straight ahead."""

    bgr: Bgr
    alpha: Mask  # [h, w]: 255 where it covers whatever it is laid upon, softly fading to 0 at the edge
    left: int  # of the plate in `bgr`, its upper left corner
    top: int
    corners: Corners  # of the plate in `bgr`


def mount(face: Bgr, alphabet: Alphabet, dice: Dice, *, framed: float = 0.7) -> Mounted:
    """Fix a face to a random piece of a car, or to nothing but its frame, which that share has."""
    height, width = face.shape[:2]
    side, above, below = (max(round(height * dice.between(*span)), 3) for span in ((0.2, 0.5), (0.2, 0.5), (0.2, 0.5)))
    canvas = _body((height + above + below, width + 2 * side), dice)
    if dice.chance(0.5):
        _recess(canvas, (side, above, width, height), dice)
    rims = _frame(canvas, (side, above, width, height), alphabet, dice) if dice.chance(framed) else (0, 0)
    canvas[above : above + height, side : side + width] = face
    _soften_corners(canvas, (side, above, width, height), dice)
    alpha = _alpha(canvas.shape[:2], (side, above, width, height), rims, dice)
    return Mounted(canvas, alpha, side, above, flat_corners(width, height, side, above))


def _body(shape: tuple[int, int], dice: Dice) -> Bgr:
    """Painted sheet with a light that falls off, and a few seams across."""
    height, width = shape
    colour = dice.random.uniform(0, 255, 3) if dice.chance(0.25) else np.array(dice.pick(_BODIES), np.float64)
    colour = colour + dice.random.standard_normal(3) * 12
    canvas = poured(_falling(colour, height, (dice.between(0.7, 1.35), dice.between(0.5, 1.1))), width)
    for _ in range(dice.whole(0, 3)):
        y = round(dice.between(0, height - 1))
        end = round(y + dice.normal(height * 0.04))
        strength = dice.between(0.3, 1.7)
        shade = [min(level * strength, 255) for level in canvas[y, 0].tolist()]
        cv2.line(canvas, (0, y), (width, end), shade, max(round(height * dice.random.random() ** 2 * 0.08), 1))
    if dice.chance(0.3):
        _grille(canvas, dice)
    return canvas


def _falling(colour: npt.NDArray[np.float64], rows: int, span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """[rows, 3]: the colour, its strength running from one end of the span to the other."""
    return np.asarray(colour * np.linspace(*span, rows)[:, None], np.float64)


def _grille(canvas: Bgr, dice: Dice) -> None:
    """Dark slats above or below."""
    height, width = canvas.shape[:2]
    top, bottom = (0, round(height * 0.3)) if dice.chance(0.5) else (round(height * 0.72), height)
    canvas[top:bottom] = dice.between(5, 60)
    step = max(round(height * dice.between(0.04, 0.09)), 2)
    shade = (dice.between(30, 190),) * 3
    for y in range(top, bottom, step):
        cv2.line(canvas, (0, y), (width, y), shade, max(step // 3, 1))


def _recess(canvas: Bgr, box: tuple[int, int, int, int], dice: Dice) -> None:
    """The hollow that the plate lies in, darker, with two lamps above it on some."""
    x, y, width, height = box
    across, down = round(height * dice.between(0.1, 0.5)), round(height * dice.between(0.08, 0.5))
    hollow = canvas[max(y - down, 0) : y + height + down, max(x - across, 0) : x + width + across]
    colour = hollow[0, 0].astype(np.float64)
    hollow[:] = poured(
        _falling(colour, len(hollow), (dice.between(0.25, 0.8), dice.between(0.5, 1.1))), hollow.shape[1]
    )
    if dice.chance(0.3):
        radius = max(round(height * dice.between(0.05, 0.14)), 1)
        for share in (0.3, 0.7):
            spot = (round(x + width * share + dice.normal(width * 0.02)), max(y - round(height * 0.12), 0))
            cv2.circle(canvas, spot, radius, (dice.between(200, 255),) * 3, -1)


def _frame(canvas: Bgr, box: tuple[int, int, int, int], alphabet: Alphabet, dice: Dice) -> tuple[int, int]:
    """The holder; answers how far it reaches out at the sides and below."""
    x, y, width, height = box
    thick = max(round(height * dice.between(0.02, 0.1)), 1)
    below = max(round(height * dice.between(0.1, 0.24)), thick) if dice.chance(0.4) else thick
    below = min(below, canvas.shape[0] - y - height)
    level = dice.between(14, 50) if dice.chance(0.75) else dice.between(120, 235)
    colour = (level, level, level + dice.normal(4))
    cv2.rectangle(canvas, (x - thick, y - thick), (x + width + thick - 1, y + height + below - 1), colour, -1)
    if below > thick and below >= 4:
        words = "".join(dice.pick(CHARACTERS[10:] + "      ") for _ in range(dice.whole(5, 24))).strip() or "AUTO"
        title = small_print(alphabet, words, max(round(below * 0.55), 2))[:, :width]
        ink = (225.0 if level < 120 else 30.0,) * 3
        if dice.chance(0.3):
            ink = dice.random.uniform(0, 255, 3).tolist()
        lay(canvas, title, (x + (width - title.shape[1]) // 2, y + height + round(below * 0.2)), ink)
    return thick, below


def _soften_corners(canvas: Bgr, box: tuple[int, int, int, int], dice: Dice) -> None:
    """Cut the corners as the sheet's are cut round, and bend one of them back on a few."""
    x, y, width, height = box
    spots = (
        (x, y, 1, 1),
        (x + width - 1, y, -1, 1),
        (x + width - 1, y + height - 1, -1, -1),
        (x, y + height - 1, 1, -1),
    )
    radius = round(height * dice.between(0.02, 0.07))
    bent = dice.whole(0, 3) if dice.chance(0.06) else -1
    for number, (cx, cy, dx, dy) in enumerate(spots):
        reach = round(height * dice.between(0.1, 0.2)) if number == bent else radius
        if reach < 1:
            continue
        shade = canvas[cy - dy, cx - dx].tolist() if number != bent else [dice.between(60, 200)] * 3
        triangle = np.array([(cx, cy), (cx + dx * reach, cy), (cx, cy + dy * reach)], np.int32)
        cv2.fillConvexPoly(canvas, triangle, shade)


def _alpha(shape: tuple[int, int], box: tuple[int, int, int, int], rims: tuple[int, int], dice: Dice) -> Mask:
    """Opaque over plate and frame; the piece of the car fades out, or is not there at all."""
    x, y, width, height = box
    alpha = np.zeros(shape, np.uint8)
    if dice.chance(0.35):
        edge = max(round(height * dice.between(0.05, 0.2)), 1)
        alpha[edge:-edge, edge:-edge] = 255
        alpha = np.asarray(cv2.blur(alpha, (2 * edge + 1, 2 * edge + 1)), np.uint8)
    side, below = rims
    alpha[max(y - side, 0) : y + height + below, max(x - side, 0) : x + width + side] = 255
    return alpha
