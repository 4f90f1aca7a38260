"""A data set's pictures as an engine's input, prepared exactly as a run prepares them."""

from __future__ import annotations

import numpy as np

from streamdet.datasets.samples import DataSet
from streamdet.graft.pictures import Pixels
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.picture import Picture


def laid_out(data_set: DataSet, wanted: EngineInput, most: int) -> Pixels:
    """Up to so many of its pictures, evenly spread over it: uint8 [n, C, H, W]."""
    total = len(data_set.entries)
    chosen = np.unique(np.linspace(0, max(total - 1, 0), min(most, total)).astype(int))
    width, height = wanted.size
    batch = np.zeros((len(chosen), wanted.channels, height, width), np.uint8)
    letterbox = Letterbox(wanted)
    for row, index in zip(batch, chosen, strict=True):
        letterbox.write(Picture((np.ascontiguousarray(data_set.read(int(index)).rgb),), "rgb24"), row)
    return batch
