"""Ranges of a network's tensors on the user's own pictures, prepared exactly as a run prepares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from streamdet.graft.raw import Runner

_BINS = 2048
LEVELS = 127  # of int8, used symmetrically
UNSIGNED_LEVELS = 255  # of uint8


class Histogram:
    """How often a tensor takes which magnitude; grows with what it sees, and keeps what it has counted."""

    def __init__(self) -> None:
        self.top = 0.0
        self.counts: npt.NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count one picture's values."""
        magnitude = np.abs(values.ravel()).astype(np.float32)
        largest = float(magnitude.max(initial=0.0))
        while largest > self.top:
            self._widen(largest)
        if self.top > 0:
            places = np.minimum((magnitude * (_BINS / self.top)).astype(np.int64), _BINS - 1)
            self.counts += np.bincount(places, minlength=_BINS)

    def _widen(self, largest: float) -> None:
        """Twice the range, two bins becoming one: nothing is counted anew."""
        if self.top == 0.0:
            self.top = largest
            return
        self.top *= 2
        self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(_BINS // 2, np.int64)])

    def best_limit(self, levels: int = LEVELS) -> float:
        """Where to clip so that rounding within and clipping beyond err least, in squares; 1 if all is 0."""
        if self.top == 0.0:
            return 1.0
        value = (np.arange(_BINS) + 0.5) * (self.top / _BINS)
        count = self.counts.astype(np.float64)
        limits = (np.arange(_BINS) + 1.0) * (self.top / _BINS)
        within = np.cumsum(count)
        beyond = count.sum() - within
        first, second = (np.cumsum((count * value**power)[::-1])[::-1] for power in (1, 2))
        above_first, above_second = np.append(first[1:], 0.0), np.append(second[1:], 0.0)
        clipped = above_second - 2 * limits * above_first + limits**2 * beyond
        rounded = within * (limits / levels) ** 2 / 12
        return float(limits[np.argmin(clipped + rounded)])


class Spread:
    """A tensor's values on both sides of zero, each clipped where that errs least: what unsigned integers span."""

    def __init__(self) -> None:
        self.above, self.below = Histogram(), Histogram()

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count one picture's values."""
        self.above.add(values[values > 0])
        self.below.add(values[values < 0])

    def limits(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The lowest and the highest value to be told apart; zero always lies between."""
        high = self.above.best_limit(UNSIGNED_LEVELS) if self.above.top else 0.0
        low = -self.below.best_limit(UNSIGNED_LEVELS) if self.below.top else 0.0
        return np.float32(low) * np.ones(1, np.float32), np.float32(high or 1e-6) * np.ones(1, np.float32)


class Counting(Protocol):
    """What sees a tensor's values, picture by picture."""

    def add(self, values: npt.NDArray[Any]) -> None: ...


Counter = TypeVar("Counter", bound=Counting)


def calibrate(
    model: Any,
    tensors: Sequence[str],
    input_name: str,
    pictures: npt.NDArray[np.uint8],
    counter: type[Counter],
) -> dict[str, Counter]:
    """What some tensors of a graph hold over pictures [n, C, H, W], one picture at a time."""
    from onnx import helper

    shown = type(model)()
    shown.CopyFrom(model)
    declared = {info.name for info in shown.graph.output}
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors if name not in declared)
    runner = Runner(shown, "calibration", list(tensors))
    found = {name: counter() for name in tensors}
    for i in range(len(pictures)):
        for name, values in runner.run({input_name: pictures[i : i + 1]}).items():
            found[name].add(values)
    return found
