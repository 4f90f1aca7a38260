"""Gives memory back to the system that the allocator keeps although nobody uses it."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The C library's own call, where it has one (glibc does, musl does not)."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return trim


def give_back() -> None:
    """Takes milliseconds and does not hold the GIL.

    Connections come and go, and each allocates in many small pieces between those of the others. What it frees stays
    with the process as holes: ten megabytes after a hundred reconnects, for nothing.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
