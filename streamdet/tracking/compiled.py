"""How the tracking kernels are compiled: without the GIL, cached on disk, and never stale."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

FAMILY = ("columns.py", "kernels.py", "lifecycle.py", "reach.py", "cascade.py", "momentum.py")


def _fingerprint() -> str:
    """One digest over every file whose functions are compiled into each other."""
    here = Path(__file__).parent
    return hashlib.sha256(b"\0".join((here / name).read_bytes() for name in FAMILY)).hexdigest()


FINGERPRINT = _fingerprint()


class _FamilyCache(FunctionCache):  # type: ignore[misc]
    """Numba's disk cache watches the caller's file only; this one also notices a callee edited in a sibling."""

    def _index_key(self, sig: object, codegen: object) -> tuple[object, ...]:
        return (*super()._index_key(sig, codegen), FINGERPRINT)


def compiled(function: F) -> F:
    """The function as machine code, built at its first call on this machine and read from the cache after that."""
    return _compile(function, forceinline=False)


def inlined(function: F) -> F:
    """The same, for the small ones that run once per track or pair: woven into their callers.

    Handing a struct of arrays over costs more than what they do; weaving in the large ones would triple the build.
    """
    return _compile(function, forceinline=True)


def _compile(function: F, forceinline: bool) -> F:
    dispatcher = njit(nogil=True, error_model="numpy", forceinline=forceinline)(function)
    try:
        dispatcher._cache = _FamilyCache(function)
    except RuntimeError as error:  # neither the package's folder nor the user's can be written
        log.warning("%s is compiled anew in every process: %s; set NUMBA_CACHE_DIR", function.__name__, error)
    return cast(F, dispatcher)
