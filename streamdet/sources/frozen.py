"""Notices a camera that sends, but always the same picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.frames import Frame

_GRID = 48  # samples along each side: enough to see a person move, cheap enough for every frame
_LOOKS = 20  # within the limit, at pictures on a GPU
_SAME_LEVELS = 0.25  # mean change in grey levels below which nothing has changed but the encoder's rounding


class FrozenWatch:
    """Says when a stream has shown the same picture for `limit_s` while frames kept arriving.

    A live sensor never stands still: even a dark empty yard flickers by more than an encoder's rounding. It looks at a
    sparse grid of the luma, a few microseconds a frame. A picture on a GPU has to be copied for that: there it looks
    a few times within `limit_s` only.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._sample: npt.NDArray[np.int16] | None = None
        self._since_s = 0.0
        self._looked_s = float("-inf")
        self._frozen = False

    def see(self, frame: Frame, now_s: float) -> bool:
        """Whether the stream is frozen, this frame included. `now_s` is a monotonic clock's reading."""
        if frame.picture.device is not None and now_s - self._looked_s < self._limit_s / _LOOKS:
            return self._frozen
        self._looked_s = now_s
        self._frozen = self._is_frozen(frame, now_s)
        return self._frozen

    def _is_frozen(self, frame: Frame, now_s: float) -> bool:
        luma = frame.picture.luma
        rows = max(1, luma.shape[0] // _GRID)
        columns = max(1, luma.shape[1] // _GRID)
        sample = luma[::rows, ::columns].astype(np.int16)
        known = self._sample
        if known is None or known.shape != sample.shape or np.abs(sample - known).mean() > _SAME_LEVELS:
            self._sample, self._since_s = sample, now_s
            return False
        return now_s - self._since_s >= self._limit_s
