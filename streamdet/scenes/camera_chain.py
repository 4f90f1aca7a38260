"""What light, lens, sensor and transmission do to a picture, in the order in which they do it.

    light → tone → blur → scaling → noise → JPEG or a video codec's blocks

Pictures are uint8, [h, w] or [h, w, 3]. `severity` 1 is as wide as training should be: wider than the world; 0 leaves a
picture nearly as it was, beyond 1 not everything can be read. Lengths go by `glyph_px`, the height of the characters in
the picture, and noise by contrast: what the truth says is written there can be read by somebody.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.dice import Dice

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]  # [h, w] or [h, w, 3]

_GRAIN_SIZE = (1152, 1792)  # rows, columns
_GRAIN_DEVIATION = 24.0
_LEAST_CONTRAST = 11.0  # deviation of the levels around the middle of a plate


def expose(
    picture: Pixels,
    dice: Dice,
    glyph_px: float,
    severity: float = 1.0,
    steady: Dice | None = None,
    blurring: float = 1.0,
) -> Pixels:
    """The whole chain on a cut-out around one plate.

    For pictures that follow each other, `steady` draws what stays the same: give it anew from the same seed each time.
    """
    lasting = steady or dice
    picture = light(picture, lasting, glyph_px, severity)
    picture = tone(picture, lasting, severity)
    if lasting.chance(0.12 * severity):
        picture = bloom(picture, lasting, glyph_px)
    picture = visible(picture, _LEAST_CONTRAST / max(severity, 1.0))
    picture = blur(picture, dice, glyph_px, severity * blurring)
    picture = rescale(picture, dice, glyph_px, severity)
    picture = noise(picture, dice, severity, most=_bearable(picture, glyph_px) * max(severity, 1.0))
    return transmit(picture, dice, glyph_px, severity)


def _contrast(picture: Pixels) -> tuple[float, float]:
    """Mean and deviation around the middle, where the characters are."""
    height, width = picture.shape[:2]
    middle = picture[height // 4 : -(height // 4) or None, width // 8 : -(width // 8) or None]
    mean, deviation = cv2.meanStdDev(middle)
    return float(mean.mean()), float(deviation.mean())


def _bearable(picture: Pixels, glyph_px: float) -> float:
    """The noise under which characters of that height can still be read."""
    return _contrast(picture)[1] * min(0.08 + 0.012 * glyph_px, 0.45)


def visible(picture: Pixels, least: float) -> Pixels:
    """Where next to nothing is left of the contrast, as much of it as a camera's automatic exposure would keep."""
    mean, deviation = _contrast(picture)
    if deviation >= least or deviation < 0.5:
        return picture
    gain = min(least / deviation, 4.0)
    level = min(max(mean, 3.0 * least), 255 - 3.0 * least)
    return np.asarray(cv2.addWeighted(picture, gain, picture, 0, level - mean * gain), np.uint8)


def light(picture: Pixels, dice: Dice, glyph_px: float, severity: float) -> Pixels:
    """What falls on the scene: gradients, shadows with straight edges, lamps and reflections."""
    shape = (picture.shape[0], picture.shape[1])
    factor: Floats | None = None
    if dice.chance(0.55 * severity):
        factor = ramp(shape, dice, dice.between(0, 0.45))
    if dice.chance(0.22 * severity):
        cast = shadow(shape, dice)
        factor = cast if factor is None else factor * cast
    if factor is not None:
        picture = np.asarray(cv2.multiply(picture, _spread(factor, picture), dtype=cv2.CV_8U), np.uint8)
    if dice.chance(0.16 * severity):
        glow = _spread(lamps(shape, dice, glyph_px), picture)
        picture = np.asarray(cv2.add(picture, glow, dtype=cv2.CV_8U), np.uint8)
    return picture


def _spread(flat: Floats, picture: Pixels) -> Floats:
    """The map in as many channels as the picture has."""
    return flat if picture.ndim == 2 else np.asarray(cv2.cvtColor(flat, cv2.COLOR_GRAY2BGR), np.float32)


def ramp(shape: tuple[int, int], dice: Dice, strength: float) -> Floats:
    """[h, w] around 1, rising in any direction."""
    height, width = shape
    angle = dice.between(0, 2 * np.pi)
    x = np.linspace(-strength, strength, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-strength, strength, height, dtype=np.float32) * np.float32(np.sin(angle))
    return np.asarray(1 + x[None] + y[:, None], np.float32)


def shadow(shape: tuple[int, int], dice: Dice) -> Floats:
    """[h, w]: 1 in the light, less beyond a straight edge or between two."""
    height, width = shape
    angle = dice.between(0, np.pi)
    across = np.arange(width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    across = across + np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    low, high = float(across.min()), float(across.max())
    softness = np.float32(dice.log_between(0.6, max((high - low) * 0.1, 0.7)))
    share = np.clip((across - np.float32(dice.between(low, high))) / softness, 0, 1)
    if dice.chance(0.4):
        share = np.abs(share - np.clip((across - np.float32(dice.between(low, high))) / softness, 0, 1))
    return np.asarray(1 - share * np.float32(dice.between(0.2, 0.7)), np.float32)


def lamps(shape: tuple[int, int], dice: Dice, glyph_px: float) -> Floats:
    """[h, w], to be added: one to three lamps or reflections, mostly above the middle."""
    height, width = shape
    y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    total = np.zeros(shape, np.float32)
    for _ in range(dice.whole(1, 3)):
        wide, high = glyph_px * dice.log_between(0.25, 1.6), glyph_px * dice.log_between(0.15, 0.5)
        across = np.exp(-(((x - np.float32(dice.between(0, width))) / np.float32(wide)) ** 2))
        down = np.exp(-(((y - np.float32(dice.between(0, height * 0.6))) / np.float32(high)) ** 2))
        total += np.float32(dice.between(40, 230)) * down[:, None] * across[None]
    return total


def tone(picture: Pixels, dice: Dice, severity: float) -> Pixels:
    """What the exposure makes of each level: gain, colour casts, stray light, gamma; grey or infrared."""
    levels = np.repeat(np.arange(256, dtype=np.float64)[:, None], 1 if picture.ndim == 2 else 3, axis=1)
    if dice.chance(0.18 * severity):
        if picture.ndim == 3:
            picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if dice.chance(0.6):  # lit from the camera at night: the sheet shines and the street is dark
            steep = 255 / (1 + np.exp((dice.between(95, 150) - levels) * dice.between(0.02, 0.05)))
            levels += (steep * dice.between(0.8, 1.3) - levels) * dice.between(0.3, 1)
    cast = 0.4 if dice.chance(0.2) else 0.1
    gains = np.exp(dice.random.standard_normal(levels.shape[1]) * (cast * severity))
    levels *= gains / gains.max() * dice.log_between(max(1 - 0.62 * severity, 0.25), 1 + 0.45 * severity)
    if dice.chance(0.25 * severity):
        levels += (dice.random.uniform(90, 255, levels.shape[1]) - levels) * (dice.random.random() ** 2 * 0.65)
    levels = np.clip(levels, 0, 255)
    if dice.chance(0.4 * severity):
        levels = 255 * (levels / 255) ** np.exp(dice.normal(0.3))
    table = levels.astype(np.uint8).reshape(1, 256, -1)
    return np.asarray(cv2.LUT(picture, table if picture.ndim == 3 else table[:, :, 0]), np.uint8)


def bloom(picture: Pixels, dice: Dice, glyph_px: float) -> Pixels:
    """What is too bright runs over into what is beside it."""
    bright = cv2.subtract(picture, (dice.between(150, 215),) * 3 + (0,))
    spread = cv2.GaussianBlur(bright, (0, 0), max(glyph_px * dice.between(0.05, 0.25), 0.5))
    return np.asarray(cv2.addWeighted(picture, 1, spread, dice.between(0.4, 1.4), 0), np.uint8)


def blur(picture: Pixels, dice: Dice, glyph_px: float, severity: float) -> Pixels:
    """Out of focus, and moving while the shutter is open."""
    sigma = min(abs(dice.normal(0.035 * glyph_px + 0.1)), 0.06 * glyph_px + 0.12) * severity
    if sigma > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if dice.chance(0.3 * severity):
        length = min(dice.between(0.05, 0.28) * glyph_px * severity, 12.0) - sigma
        angle = dice.normal(0.35) if dice.chance(0.7) else dice.between(0, np.pi)
        if length > 1.2:
            picture = cv2.filter2D(picture, -1, streak(length, angle), borderType=cv2.BORDER_REPLICATE)
    if dice.chance(0.25 * severity):  # the camera sharpens
        soft = cv2.GaussianBlur(picture, (0, 0), dice.between(0.7, 1.6))
        share = dice.between(0.2, 1.5)
        picture = cv2.addWeighted(picture, 1 + share, soft, -share, 0)
    return np.asarray(picture, np.uint8)


def streak(length: float, angle: float) -> Floats:
    """A line through the middle of a small square, its weights summing to 1."""
    radius = int(np.ceil(length / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length / 2)
    one, other = (np.rint((radius + sign * reach) * 16).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, one, other, 255, 1, cv2.LINE_AA, 4)
    weights = kernel.astype(np.float32)
    return np.asarray(weights / weights.sum(), np.float32)


def rescale(picture: Pixels, dice: Dice, glyph_px: float, severity: float) -> Pixels:
    """Sometimes the picture was stored at another size on its way and comes back to its own."""
    if not dice.chance(0.22 * severity):
        return picture
    height, width = picture.shape[:2]
    factor = dice.log_between(max(0.66, min(8 / glyph_px, 1.0)), 1.5)
    way = dice.pick((cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST))
    stored = cv2.resize(picture, (max(round(width * factor), 4), max(round(height * factor), 4)), interpolation=way)
    if dice.chance(0.5):
        stored = jpeg(stored, dice.whole(45, 92))
    return np.asarray(cv2.resize(stored, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


@cache
def _grain(coarse: bool, channels: int) -> Pixels:
    """A sheet of noise around 128, used at random places; the same everywhere and always."""
    random = np.random.default_rng([35, int(coarse)])
    rows, columns = _GRAIN_SIZE
    sheet = random.standard_normal((rows, columns, 1), np.float32)
    if channels == 3:
        sheet = sheet + np.float32(0.45) * random.standard_normal((rows, columns, 3), np.float32)
    if coarse:
        sheet = cv2.GaussianBlur(sheet, (0, 0), 0.8).reshape(rows, columns, channels)
    sheet = sheet / sheet.std() * np.float32(_GRAIN_DEVIATION) + np.float32(128)
    grain = np.clip(sheet, 0, 255).astype(np.uint8)
    grain = grain[:, :, 0] if channels == 1 else grain
    grain.flags.writeable = False
    return np.asarray(grain, np.uint8)


def noise(picture: Pixels, dice: Dice, severity: float, most: float = 255.0) -> Pixels:
    """The grain of the sensor, fine or smeared."""
    deviation = dice.between(6, 22) if dice.chance(0.15) else abs(dice.normal(4.5))
    deviation = min(deviation * severity, most)
    height, width = picture.shape[:2]
    coarse, place = dice.chance(0.4), (dice.random.random(), dice.random.random())
    if deviation < 0.4 or height > _GRAIN_SIZE[0] or width > _GRAIN_SIZE[1]:
        return picture
    y, x = (int(share * (full - side)) for share, full, side in zip(place, _GRAIN_SIZE, (height, width), strict=True))
    sheet = _grain(coarse, picture.shape[2] if picture.ndim == 3 else 1)[y : y + height, x : x + width]
    share = deviation / _GRAIN_DEVIATION
    return np.asarray(cv2.addWeighted(picture, 1, sheet, share, -128 * share), np.uint8)


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """Once through JPEG."""
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE if picture.ndim == 2 else cv2.IMREAD_COLOR), np.uint8)


def transmit(picture: Pixels, dice: Dice, glyph_px: float, severity: float) -> Pixels:
    """JPEG not at all, once or twice, or what a video codec leaves of it; less where characters are small."""
    lowest = max(20 + max(26 - glyph_px, 0) * 2 - 20 * max(severity - 1, 0), 12)
    if dice.chance(0.25 * severity):
        return video_blocks(picture, dice, lowest)
    for share in (0.7, 0.35):
        if dice.chance(share * severity):
            picture = jpeg(picture, round(dice.between(lowest, 92)))
    return picture


def video_blocks(picture: Pixels, dice: Dice, lowest: float = 20) -> Pixels:
    """As H.264 does at a low rate: a soft prediction, a little beside the mark, and a coarse difference to it."""
    height, width = picture.shape[:2]
    soft = cv2.blur(picture, (3, 3))
    dx, dy = dice.whole(-1, 1), dice.whole(-1, 1)
    guess = cv2.copyMakeBorder(soft, 1, 1, 1, 1, cv2.BORDER_REPLICATE)[
        1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width
    ]
    rest = cv2.addWeighted(picture, 0.5, guess, -0.5, 128)
    coarse = jpeg(np.asarray(rest, np.uint8), round(dice.between(lowest, 80)))
    return np.asarray(cv2.addWeighted(coarse, 2, guess, 1, -256), np.uint8)
