"""What is mistaken for plates: signs, grilles, badges, shop fronts, lettering on lorries, plates without text."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from streamdet.scenes.alphabets import CHARACTERS, Alphabet, Mask, StrokeAlphabet
from streamdet.scenes.dice import Dice
from streamdet.scenes.glyph_styles import STYLES
from streamdet.scenes.lettering import lay, small_print
from streamdet.scenes.mounts import Mounted, mount
from streamdet.scenes.plate_parts import poured
from streamdet.scenes.truth import Bgr


def draw_not_plate(dice: Dice, height: float) -> Mounted:
    """Something of that height in pixels that carries no plate; its corners are those of the whole thing."""
    kind = dice.pick(_KINDS if height >= _TELLING_PX else _KINDS[2:])
    aspect = dice.log_between(1.0, 6.0)
    size = (max(round(height * aspect), 8), max(round(height), 8))
    canvas = _ground(size, dice)
    kind(canvas, dice)
    alphabet = StrokeAlphabet(dice.pick(tuple(STYLES)))
    return mount(canvas, alphabet, dice, framed=0.15)


def random_words(dice: Dice, height: int, letters: tuple[int, int] = (2, 14)) -> Mask:
    """A mask of lettering in any style."""
    alphabet: Alphabet = StrokeAlphabet(dice.pick(tuple(STYLES)))
    text = "".join(dice.pick(CHARACTERS[10:]) for _ in range(dice.whole(*letters)))
    return small_print(alphabet, text, max(height, 3))


def _ground(size: tuple[int, int], dice: Dice) -> Bgr:
    colour = dice.random.uniform(0, 255, 3) if dice.chance(0.6) else np.full(3, dice.between(10, 245))
    return poured(colour * np.linspace(dice.between(0.7, 1.2), dice.between(0.6, 1.1), size[1])[:, None], size[0])


def _contrast(canvas: Bgr, dice: Dice) -> list[float]:
    """A colour that can be seen on that ground."""
    level = float(canvas[:, ::8].mean())
    other = dice.between(0, 70) if level > 127 else dice.between(185, 255)
    return [min(max(other + dice.normal(20), 0.0), 255.0) for _ in range(3)]


def _shop(canvas: Bgr, dice: Dice) -> None:
    """Lettering as no plate has it: far too long, too small, too big, or out of the middle."""
    height, width = canvas.shape[:2]
    share, letters = dice.pick(((0.3, (3, 14)), (0.5, (11, 18)), (1.25, (2, 9)), (0.75, (1, 2))))
    mask = random_words(dice, round(height * share), letters)
    spot = (round((width - mask.shape[1]) * dice.between(0, 1)), round((height - mask.shape[0]) * dice.between(0, 1)))
    lay(canvas, mask, spot, _contrast(canvas, dice))


def _small_text(canvas: Bgr, dice: Dice) -> None:
    """Many lines too small to matter: stickers, telephone numbers on lorries."""
    height, width = canvas.shape[:2]
    ink, row = _contrast(canvas, dice), 1
    while row < height - 4:
        high = round(height * dice.between(0.08, 0.25))
        mask = random_words(dice, high)
        lay(canvas, mask, (round(dice.between(0, max(width - mask.shape[1], 1))), row), ink)
        row += round(high * 1.4) + 1


def _grille(canvas: Bgr, dice: Dice) -> None:
    """Bars across or down."""
    height, width = canvas.shape[:2]
    ink = _contrast(canvas, dice)
    step = max(round(height * dice.between(0.08, 0.3)), 3)
    thick = max(round(step * dice.between(0.2, 0.6)), 1)
    upright = dice.chance(0.4)
    for place in range(dice.whole(0, step), width if upright else height, step):
        end = (place, height) if upright else (width, place)
        cv2.line(canvas, (place, 0) if upright else (0, place), end, ink, thick)


def _badge(canvas: Bgr, dice: Dice) -> None:
    """Rings, ovals and bars of chrome."""
    height, width = canvas.shape[:2]
    ink = _contrast(canvas, dice)
    radius, count = height * dice.between(0.15, 0.42), dice.whole(1, 5)
    for number in range(count):
        x = width / 2 + (number - (count - 1) / 2) * radius * dice.between(1.0, 1.7)
        axes = (round(radius), round(radius * dice.between(0.7, 1)))
        cv2.ellipse(canvas, (round(x), height // 2), axes, 0, 0, 360, ink, max(round(radius * 0.2), 1))


def _sign(canvas: Bgr, dice: Dice) -> None:
    """A road sign: a rim, an arrow or a number."""
    height, width = canvas.shape[:2]
    ink = _contrast(canvas, dice)
    rim = max(round(height * dice.between(0.02, 0.07)), 1)
    cv2.rectangle(canvas, (rim, rim), (width - rim, height - rim), ink, rim)
    if dice.chance(0.5):
        mask = random_words(dice, round(height * dice.between(0.2, 0.4)), (1, 3))
        lay(canvas, mask, ((width - mask.shape[1]) // 2, (height - mask.shape[0]) // 2), ink)
        return
    tip = (round(width * dice.between(0.7, 0.9)), height // 2)
    cv2.arrowedLine(canvas, (round(width * 0.15), height // 2), tip, ink, 2 * rim, tipLength=0.3)


def _empty(canvas: Bgr, dice: Dice) -> None:
    """A plate without characters, or with a band and dirt alone."""
    height, width = canvas.shape[:2]
    canvas[:] = (240, 240, 238) if dice.chance(0.6) else (20, 200, 246)
    if dice.chance(0.5):
        canvas[:, : round(height * 0.36)] = (160, 60, 20)
    cv2.rectangle(canvas, (1, 1), (width - 2, height - 2), (30, 30, 30), max(round(height * 0.02), 1))
    grid = np.repeat(255 - dice.random.random((4, 12, 1)) * dice.between(0, 200), 3, axis=2).astype(np.uint8)
    cv2.multiply(canvas, cv2.resize(grid, (width, height)), dst=canvas, scale=1 / 255)


def _lights(canvas: Bgr, dice: Dice) -> None:
    """Lamps and reflectors of a car's end."""
    height, width = canvas.shape[:2]
    for _ in range(dice.whole(1, 4)):
        x, y = round(dice.between(0, width)), round(dice.between(0, height))
        axes = (max(round(width * dice.between(0.05, 0.3)), 1), max(round(height * dice.between(0.1, 0.5)), 1))
        colour = (dice.between(10, 90), dice.between(10, 90), dice.between(120, 255))
        shade = colour if dice.chance(0.6) else (dice.between(150, 255),) * 3
        cv2.ellipse(canvas, (x, y), axes, dice.between(-20, 20), 0, 360, shade, -1)


def _clouds(canvas: Bgr, dice: Dice) -> None:
    """Anything: leaves, asphalt, shadows."""
    height, width = canvas.shape[:2]
    cells = (dice.whole(3, 14), dice.whole(6, 40), 3 if dice.chance(0.4) else 1)
    grid = dice.random.standard_normal(cells, np.float32) * np.float32(dice.between(10, 90))
    grid = np.ascontiguousarray(np.broadcast_to(grid, (*cells[:2], 3)))
    cv2.add(canvas, cv2.resize(grid, (width, height)), dst=canvas, dtype=cv2.CV_8U)


_TELLING_PX = 18  # a board lower than that could be a plate for all one can see
_KINDS: tuple[Callable[[Bgr, Dice], None], ...] = (
    _empty,
    _shop,
    _small_text,
    _grille,
    _badge,
    _sign,
    _lights,
    _clouds,
)
