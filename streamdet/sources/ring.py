"""Pictures in memory that two processes share: slots in a memfd, each with a generation."""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.picture import Plane

_HEADER_BYTES = 64  # the generation, and the pixels behind it on a cache line of their own
_PAGE = mmap.PAGESIZE
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

Layout = tuple[int, tuple[int, ...], str]  # offset in the slot, shape, dtype


def slot_bytes(planes: tuple[Plane, ...]) -> int:
    """What a slot for such planes takes."""
    needed = _HEADER_BYTES + sum(-(-plane.nbytes // 64) * 64 for plane in planes)
    return -(-needed // _PAGE) * _PAGE


@dataclass(frozen=True, slots=True)
class Written:
    """Where a picture lies, for the other side."""

    slot: int
    generation: int
    layouts: tuple[Layout, ...]


class RingWriter:
    """The decoder's side: owns the slots, and lends them.

    A memfd has no name that could be forgotten in /dev/shm, is not bound by its size, and goes away with its last
    mapping. It is sealed, so that neither side can pull the memory away under the other.
    """

    def __init__(self, slots: int, size: int) -> None:
        self.size = size
        self.slots = slots
        self.fd = os.memfd_create("streamdet-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, slots * size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self._memory = mmap.mmap(self.fd, slots * size)
        self._free = list(range(slots))  # a stack: the slot used last is still warm in the cache
        self._generations = [0] * slots

    def fits(self, planes: tuple[Plane, ...]) -> bool:
        """Whether a slot can take them."""
        return slot_bytes(planes) <= self.size

    def write(self, planes: tuple[Plane, ...]) -> Written | None:
        """Copy a picture into a free slot; None where all are out."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._generations[slot] += 1
        base = slot * self.size
        self._memory[base : base + 8] = self._generations[slot].to_bytes(8, "little")
        offset = _HEADER_BYTES
        layouts: list[Layout] = []
        for plane in planes:
            np.copyto(_array(self._memory, base + offset, plane.shape, plane.dtype.str), plane)
            layouts.append((offset, plane.shape, plane.dtype.str))
            offset += -(-plane.nbytes // 64) * 64
        return Written(slot, self._generations[slot], tuple(layouts))

    def give_back(self, slot: int, generation: int) -> None:
        """The other side is done with a slot; an answer to an older generation is ignored."""
        if self._generations[slot] == generation and slot not in self._free:
            self._free.append(slot)

    def close(self) -> None:
        """Let go of the memory; the other side's mapping lives on."""
        os.close(self.fd)
        self._memory.close()


class RingReader:
    """The pipeline's side: sees the slots read-only; the mapping lives as long as any picture of it."""

    def __init__(self, fd: int, slots: int, size: int) -> None:
        self._size = size
        self._memory = mmap.mmap(fd, slots * size, prot=mmap.PROT_READ)

    def planes(self, written: Written) -> tuple[Plane, ...] | None:
        """Views of a picture; None if the slot no longer holds it."""
        base = written.slot * self._size
        if int.from_bytes(self._memory[base : base + 8], "little") != written.generation:
            return None
        return tuple(_array(self._memory, base + offset, shape, dtype) for offset, shape, dtype in written.layouts)


def _array(memory: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    return np.ndarray(shape, dtype, memory, offset)
