"""Cuts an MP4 that could not be written to its end back to its last whole fragment."""

from __future__ import annotations

import os
from pathlib import Path


def keep_whole_fragments(path: Path) -> int:
    """Shorten a fragmented MP4 so that no box in it is cut off and no fragment lacks its frames; how many remain."""
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END)
        position = whole = fragments = 0
        while position + 8 <= length:
            file.seek(position)
            header = file.read(16)
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if size == 1:  # the true size follows, in 64 bits
                size = int.from_bytes(header[8:16])
            if size < 8 or position + size > length:
                break
            position += size
            if kind != b"moof":  # a fragment's index, worth nothing without the mdat behind it
                whole = position
                fragments += kind == b"mdat"
        file.truncate(whole)
    return fragments
