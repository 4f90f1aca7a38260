"""The compiled kernels, or their numpy twins where numba is absent."""

from __future__ import annotations

import logging
import time
from types import ModuleType

_SLOW_S = 2.0  # from the cache they load in a third of a second
_log = logging.getLogger(__name__)


def kernels_or_twins() -> ModuleType:
    """The module to take `letterbox`, `warp` and `tail` from; the first import on a machine compiles them."""
    started = time.perf_counter()
    try:
        from streamdet.infer import kernels
    except ImportError as error:
        from streamdet.infer import twins

        _log.warning("numba cannot be used (%s): pictures and suppression run in numpy, many times slower", error)
        return twins
    took_s = time.perf_counter() - started
    if took_s > _SLOW_S:
        _log.info("kernels compiled in %.1f s; the next start finds them in numba's cache", took_s)
    return kernels
