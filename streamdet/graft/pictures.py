"""Pictures for proving engines: rendered shapes and random textures, the same on every machine, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ConfigError, MissingExtra
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.picture import Picture

Pixels = npt.NDArray[np.uint8]  # [n, 3, height, width], as an engine's input wants them

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def rendered(size: tuple[int, int], count: int, seed: int = 0) -> Pixels:
    """Half scenes of shapes on a shaded ground, half coloured noise of different coarseness."""
    random = np.random.default_rng(seed)
    makers = (_shapes, _texture)
    return np.stack([makers[i % 2](size, random) for i in range(count)])


def _shapes(size: tuple[int, int], random: np.random.Generator) -> Pixels:
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = random.uniform(-80, 80, (3, 2, 1, 1)).astype(np.float32)
    ground = random.uniform(60, 200, (3, 1, 1)).astype(np.float32)
    picture = ground + slope[:, 0] * (x / width - 0.5) + slope[:, 1] * (y / height - 0.5)
    for _ in range(int(random.integers(4, 16))):
        middle = random.uniform(0, 1, 2) * size
        reach = random.uniform(0.03, 0.3, 2) * size
        dx, dy = np.abs(x - middle[0]) / reach[0], np.abs(y - middle[1]) / reach[1]
        inside = (np.maximum(dx, dy) if random.random() < 0.5 else np.hypot(dx, dy)) < 1
        colour = random.uniform(0, 255, 3).astype(np.float32)
        shade = 1 + 0.3 * np.sin(x / random.uniform(2, 20)) * (random.random() < 0.5)
        picture = np.where(inside[None], colour[:, None, None] * shade, picture)
    noisy = picture + random.normal(0, 4, picture.shape)
    clipped: Pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return clipped


def _texture(size: tuple[int, int], random: np.random.Generator) -> Pixels:
    width, height = size
    grain = int(2 ** random.integers(0, 6))
    coarse = random.integers(0, 256, (3, -(-height // grain), -(-width // grain)), np.uint8)
    return np.ascontiguousarray(coarse.repeat(grain, axis=1).repeat(grain, axis=2)[:, :height, :width])


def picture_files(folder: Path, limit: int) -> list[Path]:
    """Up to `limit` pictures under a folder, evenly spread over it; or the one file named."""
    if folder.is_file():
        return [folder]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if not files:
        raise ConfigError("no pictures there", where=folder, expected=", ".join(PICTURE_ENDINGS))
    step = max(1, len(files) // limit)
    return files[::step][:limit]


def from_files(files: Sequence[Path], wanted: EngineInput) -> Pixels:
    """Pictures laid into the input exactly as the runtime does it."""
    width, height = wanted.size
    batch = np.zeros((len(files), 3, height, width), np.uint8)
    letterbox = Letterbox(wanted)
    for row, path in zip(batch, files, strict=True):
        letterbox.write(Picture((_read(path),), "bgr24"), row)
    return batch


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("opencv-python-headless", None, "reading picture files") from error
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigError("not a picture that can be read", where=path)
    return np.asarray(picture)
