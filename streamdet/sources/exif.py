"""Which way up a photograph was taken, as its EXIF says."""

from __future__ import annotations

import struct

from streamdet.picture import Rotation

# EXIF orientation → clockwise degrees to apply after a left-right flip, if mirrored
_ORIENTATIONS: dict[int, tuple[Rotation, bool]] = {
    1: (0, False),
    2: (0, True),
    3: (180, False),
    4: (180, True),
    5: (270, True),
    6: (90, False),
    7: (90, True),
    8: (270, False),
}
_TAG_ORIENTATION = 0x0112
_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF\0\0\0\0")  # in JPEG, PNG and WebP
_WITHIN = 1 << 17  # bytes from the start: EXIF blocks are at most 64 KiB and stand early


def orientation(picture: bytes) -> tuple[Rotation, bool]:
    """Clockwise degrees, and whether it is mirrored; upright where nothing (sane) is said."""
    starts = [0] if picture[:4] in (b"II*\0", b"MM\0*") else []  # a TIFF file is what EXIF blocks imitate
    for mark in _MARKS:
        at = picture.find(mark, 0, _WITHIN)
        if at >= 0:
            starts.append(at + len(mark))
    at = picture.find(b"EXIF", 0, 64) if picture[:4] == b"RIFF" else -1
    if at >= 0:
        starts.append(at + 8)
    for start in starts:
        found = _ORIENTATIONS.get(_tag(picture[start : start + (1 << 16)], _TAG_ORIENTATION))
        if found is not None:
            return found
    return 0, False


def _tag(block: bytes, wanted: int) -> int:
    """A short of the first directory of a TIFF block; 0 where it is missing or the block is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, directory)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, directory + 2 + 12 * entry)
            if tag == wanted:
                return int(value)
    except struct.error:
        pass
    return 0
