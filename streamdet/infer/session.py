"""A Session from a compiled network: the input buffer in front of it, the tail or the manifest's names behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, InferenceFailed
from streamdet.infer.tail import Tail
from streamdet.manifest import EngineManifest

if TYPE_CHECKING:
    from streamdet.infer.gpu_network import GpuNetwork


class Network(Protocol):
    """A graph compiled for one thread. It reads the buffer it was made with."""

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """Names in the graph → arrays [n, …] of the first n pictures, valid until the next run."""
        ...

    def close(self) -> None: ...


class EngineSession:
    """Session over any Network; see contract.Session for what it promises."""

    def __init__(
        self, manifest: EngineManifest, buffer: npt.NDArray[np.uint8], network: Network, with_tail: bool
    ) -> None:
        self._buffer = buffer
        self._network: Network | None = network
        self._tail = Tail(manifest.nms, len(buffer)) if with_tail and manifest.nms else None
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
        return {meaning: named[name] for meaning, name in self._outputs.items()}

    def close(self) -> None:
        """Give the network back; idempotent."""
        if self._network is not None:
            self._network.close()
        self._network = None


@dataclass(frozen=True, slots=True)
class DeviceInput:
    """Writable [C, H, W] in a GPU's memory: one picture's place in a batch."""

    pointer: int
    shape: tuple[int, ...]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": self.shape, "typestr": "|u1", "data": (self.pointer, False), "strides": None}


class GpuSession(EngineSession):
    """A Session that also takes pictures which were prepared on its GPU; see gpu_input.py.

    Queue in `stream` what fills `place(0)` to `place(n - 1)`, then call `run_prepared(n)`: the only wait is at its end.
    """

    def __init__(self, manifest: EngineManifest, network: GpuNetwork) -> None:
        super().__init__(manifest, network.buffer, network, with_tail=False)
        self._gpu_network = network
        self.cuda = network.cuda
        self.stream = network.stream

    def place(self, i: int) -> DeviceInput:
        """Where picture i of a batch is read; the same memory as long as the session is open."""
        shape = self._buffer.shape[1:]
        return DeviceInput(self._gpu_network.input_pointer + i * int(np.prod(shape)), shape)

    def run_prepared(self, n: int) -> Mapping[str, npt.NDArray[Any]]:
        """What the network says of the n pictures in its places, by meaning."""
        if self._network is None:
            raise InferenceFailed("the session is closed")
        named = self._gpu_network.run_prepared(n)
        return {meaning: named[name] for meaning, name in self._outputs.items()}


def input_buffer(manifest: EngineManifest) -> npt.NDArray[np.uint8]:
    """Room for the largest batch; zeros, so that what a fixed batch runs beyond n is defined."""
    width, height = manifest.input.size
    return np.zeros((manifest.input.batch[1], manifest.input.channels, height, width), np.uint8)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as a runtime sees it; a dimension that is free is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None  # None where not even the number of dimensions is known

    def __str__(self) -> str:
        dims = "…" if self.shape is None else ", ".join("N" if d is None else str(d) for d in self.shape)
        return f"{self.name} {self.dtype} [{dims}]"


def refuse_misfit(
    manifest: EngineManifest, path: Path, inputs: Sequence[Port], outputs: Sequence[Port], cut_scores: str | None
) -> None:
    """EngineMismatch unless the graph's ports are those that the manifest names; `cut_scores` where it ends there."""
    width, height = manifest.input.size
    smallest, largest = manifest.input.batch
    batch = largest if smallest == largest else None
    wanted = Port(manifest.input.name, "uint8", (batch, manifest.input.channels, height, width))
    one = inputs[0] if len(inputs) == 1 else None
    if (
        one is None
        or one.shape is None
        or (one.name, one.dtype, one.shape[1:])
        != (
            wanted.name,
            "uint8",
            (manifest.input.channels, height, width),
        )
    ):
        got = "; ".join(map(str, inputs))
        raise EngineMismatch("manifest and model disagree about the input", where=path, expected=wanted, got=got)
    if one.shape[0] is not None and (smallest, largest) != (one.shape[0], one.shape[0]):
        raise EngineMismatch(
            "manifest and model disagree about the batch",
            where=path,
            expected=f"{smallest} to {largest}",
            got=f"exactly {one.shape[0]}",
        )
    named = {port.name: port for port in outputs}
    missing = [] if cut_scores else [name for name in manifest.outputs.values() if name not in named]
    if missing:
        raise EngineMismatch(
            "the model lacks outputs that the manifest names", where=path, expected=missing, got=list(named)
        )
    shape = named[cut_scores].shape if cut_scores else None
    if shape is not None and shape[-1] not in (None, len(manifest.classes)):
        raise EngineMismatch(
            "manifest and model disagree about the classes",
            where=path,
            expected=f"{len(manifest.classes)} classes",
            got=f"{shape[-1]}",
        )
