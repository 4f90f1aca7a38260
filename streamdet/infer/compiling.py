"""How kernels with fixed types are compiled: once, and kept on disk. (The tracker's are woven together: see there.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types


def compiled(*signature: Any) -> Any:
    """`njit` with one signature and a cache on disk, or without the cache where no folder is writable.

    The GIL is released, so that a thread per core is enough to work on many pictures.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(signature, nogil=True, cache=True)(function)
        except RuntimeError:  # numba found no place for its cache: a read-only container without a home
            return njit(signature, nogil=True)(function)

    return decorate


def table(scalar: Any, dimensions: int) -> Any:
    """The type of a C-ordered array that a kernel reads."""
    return types.Array(scalar, dimensions, "C", readonly=True)


def sheet(scalar: Any, dimensions: int) -> Any:
    """The type of a C-ordered array that a kernel writes."""
    return types.Array(scalar, dimensions, "C")
