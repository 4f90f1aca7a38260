"""Samples for evaluation: pictures laid into the input exactly as the runtime does it."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement
from streamdet.datasets.samples import DataSet, Objects, Sample
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput, Fit
from streamdet.picture import Picture
from streamdet.training.augment.geometry import CutRule, move_objects, scaling, translation


class Letterboxed(NamedTuple):
    """A picture in the network's input, and the way back to its own pixels."""

    sample: Sample  # `rgb` and objects in input pixels
    original: Objects  # in pixels of the picture
    placement: Placement


class LetterboxOnly:
    """Nothing random: the runtime's own kernel lays each picture into `size` (width, height), to the bit.

    Safe to share between threads.
    """

    def __init__(self, data_set: DataSet, size: tuple[int, int], *, pad: int = 114) -> None:
        self.data_set = data_set
        self.size = size
        self._input = EngineInput(name="pixels", size=size, fit=Fit(pad=pad))
        self._kernels = threading.local()

    def __len__(self) -> int:
        return len(self.data_set.entries)

    def __getstate__(self) -> dict[str, object]:
        """Without the kernels, which belong to the threads of a process."""
        return {name: value for name, value in vars(self).items() if name != "_kernels"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._kernels = threading.local()

    def read(self, index: int) -> Letterboxed:
        """Picture number `index`, with where it lies."""
        given = self.data_set.read(index)
        planar = np.empty((3, self.size[1], self.size[0]), np.uint8)
        placement = self._letterbox().write(Picture((given.rgb,), "rgb24"), planar)
        matrix = translation(placement.left_px, placement.top_px) @ scaling(*placement.scale)
        objects = move_objects(given.objects, matrix, self.size, CutRule(0, 0, "ignore"))
        rgb: npt.NDArray[np.uint8] = np.ascontiguousarray(planar.transpose(1, 2, 0))
        return Letterboxed(Sample(given.key, rgb, objects), given.objects, placement)

    def sample(self, index: int, seed: int = 0) -> Sample:
        """As an Augmenter gives it; the seed changes nothing."""
        return self.read(index).sample

    def _letterbox(self) -> Letterbox:
        kernel: Letterbox | None = getattr(self._kernels, "letterbox", None)
        if kernel is None:  # one per thread: it keeps a scratch buffer
            kernel = self._kernels.letterbox = Letterbox(self._input)
        return kernel
