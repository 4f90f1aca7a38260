"""A Session from a compiled network: the input buffer in front of it, the tail or the manifest's names behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.errors import InferenceFailed
from streamdet.infer.tail import Tail
from streamdet.manifest import EngineManifest


class Network(Protocol):
    """A graph compiled for one thread. It reads the buffer it was made with."""

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """Names in the graph → arrays [n, …] of the first n pictures, valid until the next run."""
        ...

    def close(self) -> None: ...


class EngineSession:
    """Session over any Network; see contract.Session for what it promises."""

    def __init__(
        self, manifest: EngineManifest, buffer: npt.NDArray[np.uint8], network: Network, tail: Tail | None
    ) -> None:
        self._buffer = buffer
        self._network: Network | None = network
        self._tail = tail
        self._outputs = manifest.outputs
        self._largest = manifest.input.batch[1]

    def input(self, n: int) -> npt.NDArray[np.uint8]:
        """Writable [n, C, H, W]; the same memory at every call."""
        if not 1 <= n <= self._largest:
            raise InferenceFailed("a batch of that size does not fit", expected=f"1 to {self._largest}", got=n)
        return self._buffer[:n]

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """What the network says of the first n pictures, by meaning."""
        if self._network is None:
            raise InferenceFailed("the session is closed")
        named = self._network.run(n)
        if self._tail is not None:
            return self._tail.run(named)
        return {meaning: named[name] for meaning, name in self._outputs.items() if name in named}

    def close(self) -> None:
        """Give the network back; idempotent."""
        if self._network is not None:
            self._network.close()
        self._network = None


def input_buffer(manifest: EngineManifest) -> npt.NDArray[np.uint8]:
    """Room for the largest batch; zeros, so that what a fixed batch runs beyond n is defined."""
    width, height = manifest.input.size
    return np.zeros((manifest.input.batch[1], manifest.input.channels, height, width), np.uint8)
