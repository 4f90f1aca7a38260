"""Proposals of a whole data set: worked out once, on all cores, and kept on disk.

A picture's proposals are named after everything that they depend on: its pixels, the method and its options, and the
version of the methods. So the same picture in two data sets is searched once, and nothing stale is ever read: what has
changed has another name.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from streamdet.datasets.samples import DataSet
from streamdet.infer.cache import writable_folder
from streamdet.proposals.contract import Proposals, Proposer, Rgb

VERSION = 1  # count up when a method begins to answer differently
_AHEAD = 2  # pictures per worker that are begun before their turn: bounds what is in memory


def proposals_of(
    data_set: DataSet,
    proposer: Proposer,
    *,
    folder: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Proposals]:
    """One Proposals per entry, in order.

    `folder` is where they are kept: the user's cache unless named. Threads are enough: the kernels release the GIL.
    """
    shelf = folder if folder is not None else writable_folder("proposals")
    count = workers or os.cpu_count() or 1
    total = len(data_set.entries)
    with ThreadPoolExecutor(count, "proposals") as pool:
        begun: list[Future[Proposals]] = []
        try:
            for index in range(total):
                ahead = range(index + len(begun), min(index + count * _AHEAD, total))
                begun += [pool.submit(_one, data_set, each, proposer, shelf) for each in ahead]
                found = begun.pop(0).result()
                if progress is not None:
                    progress(index + 1, total)
                yield found
        finally:
            pool.shutdown(cancel_futures=True)


def _one(data_set: DataSet, index: int, proposer: Proposer, shelf: Path | None) -> Proposals:
    rgb = data_set.read(index).rgb
    return proposer(rgb) if shelf is None else kept(rgb, proposer, shelf)


def kept(rgb: Rgb, proposer: Proposer, shelf: Path) -> Proposals:
    """The proposals of one picture, from the folder where they are there, else worked out and put there."""
    name = content_name(rgb, proposer)
    path = shelf / name[:2] / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return Proposals(arrays["xyxy"], arrays["score"])
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, EOFError, ValueError):
        # not there, or a file that a full disk cut off: worked out (again), and written over
        found = proposer(rgb)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(
        f"{name}.{os.getpid()}.{threading.get_ident()}.part"
    )  # whoever reads sees a whole file or none
    with unfinished.open("wb") as stream:
        np.savez_compressed(stream, xyxy=found.xyxy, score=found.score)
    unfinished.replace(path)
    return found


def content_name(rgb: Rgb, proposer: Proposer) -> str:
    """A name made of all that the answer depends on."""
    method = f"{VERSION} {proposer.name} {proposer.options.model_dump_json()} {rgb.shape}"
    digest = hashlib.blake2b(method.encode(), digest_size=20)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


class Kept:
    """A Proposer that remembers: what it found once in a picture is read from the folder the next time."""

    def __init__(self, proposer: Proposer, folder: Path | None = None) -> None:
        """`folder` is the user's cache unless named; where none can be written, nothing is kept."""
        self.name, self.options = proposer.name, proposer.options
        self._proposer = proposer
        self._folder = folder if folder is not None else writable_folder("proposals")

    def __call__(self, rgb: Rgb) -> Proposals:
        return self._proposer(rgb) if self._folder is None else kept(rgb, self._proposer, self._folder)
