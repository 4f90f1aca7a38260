"""Names of files that hold one stretch of one stream each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

Earlier = Literal["keep", "replace"]

_UNFIT = re.compile(r"[^\w.-]+")


class Naming:
    """Gives out paths: `gate.mp4`, then `gate-epoch1.mp4`, and `gate-2.mp4` where a name is taken.

    Where `path` itself ends in the suffix, it is the first stretch's own name and the others stand beside it. A path is
    given out once per run; files of earlier runs are kept (the next free number is taken) or replaced.
    """

    def __init__(self, path: Path, suffix: str, earlier: Earlier) -> None:
        self._exact = path if path.suffix.lower() == suffix else None
        self.folder = path.parent if self._exact else path
        self._suffix = suffix
        self._earlier = earlier
        self._given: set[Path] = set()
        self._exact_stream: str | None = None

    def next(self, stream: str, epoch: int = 0) -> Path:
        """The path for the next stretch of that stream."""
        stem = self._stem(stream) + (f"-epoch{epoch}" if epoch else "")
        number = 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            path = self.folder / f"{name}{self._suffix}"
            if path not in self._given and (self._earlier == "replace" or not path.exists()):
                self._given.add(path)
                return path
            number += 1

    def give_back(self, path: Path) -> None:
        """Nothing was written there after all."""
        self._given.discard(path)

    def _stem(self, stream: str) -> str:
        own = _UNFIT.sub("_", stream).strip(".") or "stream"
        if self._exact is None:
            return own[:120]
        if self._exact_stream in (None, stream):
            self._exact_stream = stream
            return self._exact.stem
        return f"{self._exact.stem}-{own[:120]}"
