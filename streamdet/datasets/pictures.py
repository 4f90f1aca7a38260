"""Picture files: decoded the right way up, or only measured."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtra, PictureUnreadable
from streamdet.sources.exif import orientation

Rgb = npt.NDArray[np.uint8]  # [height, width, 3]

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # segments that begin a frame
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # marks without a length


def read_picture(path: Path) -> Rgb:
    """A picture in RGB, 8 bit, as it is meant to be seen; PictureUnreadable where it cannot be decoded."""
    return decode(_bytes_of(path), path)


def decode(content: bytes, path: Path) -> Rgb:
    """The same of a file that was read already; `path` is for the message."""
    cv2 = _opencv()
    try:
        stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _undecodable(path, content, error.err if content else None) from error
    if stored is None:
        raise _undecodable(path, content, None)
    turn, mirrored = orientation(content)
    if mirrored:
        stored = stored[:, ::-1]
    return np.ascontiguousarray(np.rot90(stored, -turn // 90))


def shown_size(path: Path) -> tuple[int, int] | None:
    """Width and height as shown, from the first bytes where the format allows; None for a file that is no picture."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 18)
    except OSError:
        return None
    stored = _stored_size(head)
    if stored is None:
        try:
            height, width = read_picture(path).shape[:2]
        except PictureUnreadable:
            return None
        return width, height
    turn, _ = orientation(head)
    return stored[::-1] if turn in (90, 270) else stored


def _stored_size(head: bytes) -> tuple[int, int] | None:
    """Width and height from a PNG, BMP or JPEG header."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
        return int(width), int(height)
    if head[:2] == b"BM" and len(head) >= 26:
        width, height = struct.unpack_from("<ii", head, 18)
        return int(width), abs(int(height))
    return _jpeg_size(head) if head[:2] == b"\xff\xd8" else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(head):
        if head[at] != 0xFF:
            return None
        mark = head[at + 1]
        if mark == 0xFF:  # a fill byte
            at += 1
        elif mark in _JPEG_BARE:
            at += 2
        elif mark in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return int(width), int(height)
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureUnreadable("a picture that the labels name is not there", where=path) from error
    except OSError as error:
        raise PictureUnreadable("a picture cannot be read", where=path, got=error.strerror) from error


def _undecodable(path: Path, content: bytes, reason: str | None) -> PictureUnreadable:
    return PictureUnreadable(
        "a picture cannot be decoded",
        where=path,
        expected="a JPEG, PNG, BMP, WebP or TIFF file",
        got=reason or (f"{len(content)} bytes beginning {content[:8]!r}" if content else "an empty file"),
        hint="streamdet data doctor lists every such file; --skip-bad leaves them out",
    )


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:  # pragma: no cover - a base dependency
        raise MissingExtra("opencv-python-headless", None, "reading picture files") from error
    return cv2
