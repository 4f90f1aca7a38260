"""Objects that move, as a detector would see them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from streamdet.frames import Detections


def seen(*boxes: tuple[float, float, float, float], score: float | list[float] = 0.9, class_id: int = 0) -> Detections:
    """These boxes, all of one class."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.broadcast_to(np.float32(score), count).astype(np.float32),
        np.full(count, class_id, np.int32),
        ("person", "car"),
    )


def at(x: float, y: float = 100.0, width: float = 40.0, height: float = 80.0) -> tuple[float, float, float, float]:
    """A box around a centre."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def crowd(count: int, seed: int = 0, *, width: float = 1920, height: float = 1080) -> Iterator[Detections]:
    """Walkers that turn round at the edges, jittered, now and then missed or seen with a low score."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(30, 80, (count, 1)) * np.array([1, 2])
    place = rng.uniform(0, 1, (count, 2)) * [width, height]
    speed = rng.normal(0, 3, (count, 2))
    classes = rng.integers(0, 2, count).astype(np.int32)
    while True:
        place += speed
        speed[(place < 0) | (place > [width, height])] *= -1
        centre = place + rng.normal(0, 1, place.shape)
        score = rng.beta(6, 2, count).astype(np.float32)
        order = np.argsort(-score)[: count - int(rng.integers(0, max(count // 8, 1)))]
        xyxy: npt.NDArray[np.float32] = np.hstack([centre - size / 2, centre + size / 2]).astype(np.float32)
        yield Detections(xyxy[order], score[order], classes[order], ("person", "car"))
