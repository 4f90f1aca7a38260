"""Changes that move nothing: colour, noise, focus, compression."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.datasets.samples import Rgb
from streamdet.training.augment.options import AugmentOptions

_HUES = 180  # OpenCV's hue is in steps of two degrees


def recolour(rgb: Rgb, options: AugmentOptions, random: np.random.Generator) -> Rgb:
    """Hue, saturation and brightness by one table."""
    hue, saturation, brightness = random.uniform(-1, 1, 3) * (
        options.hue,
        options.saturation,
        options.brightness,
    )
    if not (options.hue or options.saturation or options.brightness):
        return rgb
    steps = np.arange(256, dtype=np.float64)
    table = np.stack([(steps + hue * _HUES) % _HUES, steps * (1 + saturation), steps * (1 + brightness)], axis=1)
    lookup = np.clip(np.rint(table), 0, 255).astype(np.uint8)[None]  # [1, 256, 3]
    lookup[..., 0] %= _HUES
    changed = cv2.LUT(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV), lookup)
    return np.asarray(cv2.cvtColor(changed, cv2.COLOR_HSV2RGB), np.uint8)


def weather(rgb: Rgb, options: AugmentOptions, random: np.random.Generator) -> Rgb:
    """A soft focus, a sensor's noise and traces of compression, in the order in which a camera makes them."""
    blurred, noisy, packed = random.random(3) < (options.blur, options.noise, options.jpeg)
    strength = random.random(3)
    if blurred:
        sigma = max(options.blur_px * strength[0], 0.05)
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)
    if noisy:
        grain = random.standard_normal(rgb.shape, np.float32)
        rgb = np.clip(rgb + grain * np.float32(options.noise_level * strength[1]) + 0.5, 0, 255).astype(np.uint8)
    if packed:
        quality = round(options.jpeg_quality + (95 - options.jpeg_quality) * strength[2])
        _, content = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), np.uint8)
    return rgb
