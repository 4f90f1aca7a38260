"""LineFile: a file that holds whole lines, whatever happens while they are written."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from streamdet.errors import SinkLost
from streamdet.sinks.loss import make_folder, sink_lost

Existing = Literal["append", "replace"]
_ACTION = "records cannot be written"


class LineFile:
    """Appends lines, each with one write of its own and none by halves.

    There is no buffer: a line that `append` has taken survives the death of this process (not of the machine). One
    process at a time writes a file; a second one is refused.
    """

    def __init__(self, path: Path, is_ours: Callable[[bytes], bool]) -> None:
        """`is_ours` recognises the start of a line that this program writes: only such a line is ever repaired."""
        self.path = path
        self.size = 0
        self._is_ours = is_ours
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether lines can be appended."""
        return self._descriptor >= 0

    def open(self, existing: Existing) -> None:
        """Open or create it, its folder too; a last line cut off by an earlier kill is removed."""
        make_folder(self.path.parent, _ACTION)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise sink_lost(_ACTION, self.path, error) from error
        try:
            self._claim(descriptor)
            if existing == "replace":
                os.ftruncate(descriptor, 0)
            self.size = self._whole_lines(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise error if isinstance(error, SinkLost) else sink_lost(_ACTION, self.path, error) from error
        self._descriptor = descriptor

    def append(self, line: bytes) -> None:
        """Write one line, newline included; where it cannot be written whole, nothing of it stays."""
        written = 0
        try:
            while written < len(line):  # a full disk takes what fits, and says so at the next attempt
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            self._take_back(written)
            raise sink_lost(_ACTION, self.path, error) from error
        self.size += len(line)

    def _take_back(self, written: int) -> None:
        if written == 0:
            return
        try:
            # Not `self.size`: whoever copied and truncated the file meanwhile has moved its end.
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
        except OSError:
            self.close()  # the next `open` repairs the last line

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _claim(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SinkLost(f"{_ACTION}: it is not a regular file", where=self.path, hint="choose another path")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise SinkLost(
                    f"{_ACTION}: another sink or process is writing this file",
                    where=self.path,
                    hint="give each its own path",
                ) from error
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # some network file systems know no locks
                raise

    def _whole_lines(self, descriptor: int) -> int:
        """The file's length, after a last line without an end is cut off."""
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return size
        start = _last_line_start(descriptor, size)
        if not self._is_ours(os.pread(descriptor, 64, start)):
            raise SinkLost(
                f"{_ACTION}: the file ends in the middle of a line that is no record",
                where=self.path,
                hint="choose another path, so that nothing of yours is overwritten",
            )
        os.ftruncate(descriptor, start)
        return start


def _last_line_start(descriptor: int, size: int) -> int:
    end = size
    while end > 0:
        begin = max(end - 65536, 0)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
