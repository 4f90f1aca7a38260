"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from streamdet.errors import LossCause


@dataclass(slots=True)
class Backoff:
    """Exponential with full jitter and a cap; slow where fast retries would lock an account."""

    first_s: float = 0.5
    cap_s: float = 30.0
    slow_s: float = 60.0  # unauthorised
    healthy_s: float = 10.0  # after so long without a loss the count starts anew
    least_s: float = 0.1  # full jitter may say zero, and a dead camera must not spin a core
    dice: random.Random | None = None
    _attempt: int = 0

    def next_s(self, cause: LossCause | None = None, healthy_for_s: float = 0.0) -> float:
        """The wait after one more failure, which came after `healthy_for_s` of good service."""
        if healthy_for_s >= self.healthy_s:
            self._attempt = 0
        ceiling_s = min(self.cap_s, self.first_s * 2.0 ** min(self._attempt, 30))
        self._attempt += 1
        uniform = (self.dice or random).uniform
        if cause == "unauthorised":
            return uniform(self.slow_s, 2 * self.slow_s)
        return max(self.least_s, uniform(0, ceiling_s))
