"""Regions of a picture as a network is shown it: the same in training, evaluation and on a stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, Placement
from streamdet.proposals.contract import Proposer


def regions_on(pixels: npt.NDArray[np.uint8], placement: Placement, proposer: Proposer, most: int) -> Boxes:
    """A picture laid into an input, u8 [3, H, W] → its likeliest boxes [n, 4], n ≤ `most`, in pixels of the input.

    Searched is the picture, not what it was padded with; at the input's size, so the time it takes does not grow with
    the frame.
    """
    (width, height), left, top = placement.scaled_size, placement.left_px, placement.top_px
    picture = pixels[:, top : top + height, left : left + width].transpose(1, 2, 0)
    found = proposer(np.ascontiguousarray(picture)).best(most).xyxy
    return found + np.array([left, top, left, top], np.float32)
