"""Saboteur: any station, with one call that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Saboteur:
    """Stands before `station` and raises at the k-th call of `method`, counted from 1; everything else passes through.

    With `inside`, a method named there returns a station that is sabotaged in turn (a detector's worker, a tracker
    from a factory), and calls are counted over all of them.
    """

    def __init__(
        self,
        station: Any,
        method: str,
        at: int,
        *,
        error: Callable[[], BaseException] = lambda: RuntimeError("sabotage"),
        times: int = 1,
        inside: tuple[str, ...] = (),
        _count: list[int] | None = None,
    ) -> None:
        object.__setattr__(self, "_station", station)
        object.__setattr__(self, "_method", method)
        object.__setattr__(self, "_at", at)
        object.__setattr__(self, "_times", times)
        object.__setattr__(self, "_error", error)
        object.__setattr__(self, "_inside", inside)
        object.__setattr__(self, "_count", _count if _count is not None else [0])
        object.__setattr__(self, "_lock", threading.Lock())

    @property
    def struck(self) -> bool:
        """The call came."""
        return bool(self._count[0] >= self._at)

    def _strike(self) -> None:
        with self._lock:
            self._count[0] += 1
            number = self._count[0]
        if self._at <= number < self._at + self._times:
            raise self._error()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._station, name)
        if not callable(value) or not (name == self._method or name in self._inside):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            if name == self._method:
                self._strike()
            returned = value(*arguments, **named)
            if name in self._inside:
                return Saboteur(
                    returned, self._method, self._at, error=self._error, times=self._times, _count=self._count
                )
            return returned

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._station, name, value)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """A sabotaged factory: the call itself is the method `__call__`."""
        if self._method == "__call__":
            self._strike()
            return self._station(*arguments, **named)
        return Saboteur(
            self._station(*arguments, **named),
            self._method,
            self._at,
            error=self._error,
            times=self._times,
            _count=self._count,
        )
