"""Where pictures go: the random matrices of single pictures and of mosaics."""

from __future__ import annotations

import numpy as np

from streamdet.boxes import place
from streamdet.training.augment.geometry import (
    Matrix,
    flip,
    quarter_turn,
    rotation,
    scaling,
    shearing,
    translation,
)
from streamdet.training.augment.options import AugmentOptions


def fitted(source: tuple[float, float], size: tuple[int, int]) -> Matrix:
    """A picture into the target as the runtime lays it in: letterboxed, to the pixel."""
    placement = place((round(source[0]), round(source[1])), size)
    return translation(placement.left_px, placement.top_px) @ scaling(*placement.scale)


def turned(
    source: tuple[int, int], options: AugmentOptions, random: np.random.Generator
) -> tuple[Matrix, tuple[float, float]]:
    """Mirrors and quarter turns of one picture, and its size afterwards."""
    horizontal, vertical, quarters = random.random(3) < (
        options.flip_horizontal or 0.0,
        options.flip_vertical,
        options.quarter_turns,
    )
    turns = int(random.integers(1, 4)) if quarters else 0
    matrix, after = quarter_turn(source, turns)
    return matrix @ flip(source, bool(horizontal), bool(vertical)), after


def jitter(
    size: tuple[int, int], options: AugmentOptions, random: np.random.Generator, scale: tuple[float, float]
) -> Matrix:
    """A random scale, turn, slant, perspective and shift around the middle of the target."""
    width, height = size
    ratio = float(np.exp(random.uniform(*np.log(scale))))  # halves as often as it doubles
    turn, slant_x, slant_y, near_x, near_y, shift_x, shift_y = random.uniform(-1, 1, 7)
    # Half the picture times this is what the depth changes by, from the middle to an edge.
    tilt = np.eye(3)
    tilt[2, :2] = options.perspective * near_x * 2 / width, options.perspective * near_y * 2 / height
    return (
        translation(width * (0.5 + options.translate * shift_x), height * (0.5 + options.translate * shift_y))
        @ tilt
        @ shearing(options.shear_degrees * slant_x, options.shear_degrees * slant_y)
        @ rotation(options.rotate_degrees * turn)
        @ scaling(ratio, ratio)
        @ translation(-width / 2, -height / 2)
    )


def mosaic(
    sources: list[tuple[int, int]], size: tuple[int, int], options: AugmentOptions, random: np.random.Generator
) -> list[Matrix]:
    """Four pictures around a point near the middle, then moved together as one.

    Each fits the target by itself and touches the point with a corner, so they never cover each other; composed with
    the common move there is one matrix, and one warp, per picture.
    """
    width, height = size
    point = translation(*(random.uniform(0.25, 0.75, 2) * (width, height)))
    move = jitter(size, options, random, options.scale) @ point
    matrices = []
    for quarter, source in enumerate(sources):
        turn, (across, down) = turned(source, options, random)
        ratio = min(width / across, height / down)
        corner = translation(-across * ratio if quarter % 2 == 0 else 0, -down * ratio if quarter < 2 else 0)
        matrices.append(move @ corner @ scaling(ratio, ratio) @ turn)
    return matrices
