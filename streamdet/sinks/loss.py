"""The one seam between the operating system's errors and SinkLost."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from streamdet.errors import SinkLost

# errno → what the user reads, and what helps
_SAYINGS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "free some space; writing goes on by itself"),
    errno.EDQUOT: ("the disk quota is used up", "free some space; writing goes on by itself"),
    errno.EFBIG: ("the file may not grow further", "raise the limit on file sizes, or rotate earlier"),
    errno.EACCES: ("no permission to write there", "choose another path, or give this user the right to write"),
    errno.EPERM: ("no permission to write there", "choose another path, or give this user the right to write"),
    errno.EROFS: ("the file system is read-only", "choose another path, or mount it for writing"),
    errno.EISDIR: ("a directory stands where a file is to be written", "choose another path"),
    errno.ENOTDIR: ("a file stands where a directory is needed", "choose another path, or move that file away"),
    errno.EEXIST: ("a file stands where a directory is needed", "choose another path, or move that file away"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter one"),
    errno.EIO: ("the disk failed", "see the system's log"),
}


def sink_lost(action: str, path: Path, error: OSError) -> SinkLost:
    """`action` as 'records cannot be written', and what the operating system says, in words."""
    saying, hint = _SAYINGS.get(error.errno or 0, (error.strerror or str(error), None))
    return SinkLost(f"{action}: {saying}", where=path, hint=hint)


def make_folder(path: Path, action: str) -> None:
    """Create a folder and those above it; SinkLost where that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sink_lost(action, path, error) from error


def make_writable_folder(path: Path, action: str) -> None:
    """Create a folder and make sure that files can be made in it, before there is anything to lose."""
    make_folder(path, action)
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise sink_lost(action, path, error) from error
