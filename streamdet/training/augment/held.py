"""Decoded pictures in memory, at the size that training needs and no larger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from streamdet.datasets.samples import DataSet, Rgb

_DETAIL = 1.25  # pixels kept for each one that a picture has when it just fits


class HeldPictures:
    """Reads pictures, shrinks them once, and keeps as many as the memory bound allows.

    What is kept never changes what is given: a picture that found no room is read anew, with the same pixels. The
    first ones stay: with random access no other rule hits more often. Threads may share it, and processes forked
    after `load` share its memory.
    """

    def __init__(self, data_set: DataSet, size: tuple[int, int], memory_mb: int) -> None:
        self.size = size
        self._data_set = data_set
        self._room = memory_mb << 20
        self._held: dict[int, tuple[Rgb, tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def read(self, index: int) -> tuple[Rgb, tuple[int, int]]:
        """A picture, perhaps shrunk, and its true width and height."""
        held = self._held.get(index)
        if held is not None:
            return held
        rgb = self._data_set.read(index).rgb
        found = _shrunk(rgb, self.size), (rgb.shape[1], rgb.shape[0])
        with self._lock:
            if index not in self._held and self._room >= found[0].nbytes:
                self._room -= found[0].nbytes
                self._held[index] = found
        return found

    def __getstate__(self) -> dict[str, object]:
        """For workers that are started and not forked: they begin with nothing in memory."""
        room = self._room + sum(small.nbytes for small, _ in self._held.values())
        return {"size": self.size, "data_set": self._data_set, "room": room}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size, self._data_set, self._room = state["size"], state["data_set"], state["room"]
        self._held, self._lock = {}, threading.Lock()

    def load(self, threads: int = 4, progress: Callable[[int], None] | None = None) -> None:
        """Read ahead whatever finds room; `progress` is told how many pictures were tried so far."""
        with ThreadPoolExecutor(threads) as pool:
            for done, _ in enumerate(pool.map(self._load_one, range(len(self._data_set.entries))), start=1):
                if progress is not None:
                    progress(done)

    def _load_one(self, index: int) -> None:
        if self._room > 0:
            self.read(index)


def _shrunk(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """At most 1.25 times the size at which it fits. By plain interpolation, as engines shrink their pictures: what
    is learnt shall look like what is met."""
    height, width = rgb.shape[:2]
    ratio = min(size[0] / width, size[1] / height) * _DETAIL
    if ratio >= 1:
        return rgb
    wanted = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    return np.asarray(cv2.resize(rgb, wanted, interpolation=cv2.INTER_LINEAR), np.uint8)
