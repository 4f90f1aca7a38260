"""A keyed hash in place of a plate's text, so that records can be compared and nobody reads them."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Literal

from streamdet.errors import ConfigError
from streamdet.frames import PlateText

Privacy = Literal["off", "hash", "blur"]  # hash: no text in records and pictures; blur: plates blurred in pictures too

KEY_VARIABLE = "STREAMDET_PLATE_KEY"
_LEAST_BYTES = 16
_SHOWN = 32  # hexadecimal digits: 128 bits


class Veil:
    """Turns texts into what may leave the pipeline."""

    def __init__(self, privacy: Privacy = "off", key: bytes | None = None) -> None:
        self.blurs = privacy == "blur"
        self.hides = privacy != "off"
        self._key = key
        if self.hides and (key is None or len(key) < _LEAST_BYTES):
            raise ConfigError(
                "hashing plates needs a secret key",
                expected=f"at least {_LEAST_BYTES} characters in ${KEY_VARIABLE}, or in the file of privacy_key_file",
                got="none" if key is None else f"{len(key)} characters",
                hint=f"export {KEY_VARIABLE}=$(openssl rand -hex 32)",
            )

    def shown(self, text: PlateText) -> PlateText:
        """The text as it is, or its hash: the same plate has the same one under the same key."""
        if self._key is None or not self.hides:
            return text
        digest = hmac.new(self._key, text.reveal().encode(), hashlib.sha256).hexdigest()
        return PlateText(f"hmac:{digest[:_SHOWN]}")


def veil(privacy: Privacy, key_file: Path | None = None) -> Veil:
    """The veil of that word; the key is the file's content, or else the environment's."""
    if privacy == "off":
        return Veil()
    if key_file is not None:
        try:
            return Veil(privacy, key_file.read_bytes().strip())
        except OSError as error:
            raise ConfigError(
                "the key for hashing plates cannot be read", where=key_file, got=error.strerror
            ) from error
    key = os.environ.get(KEY_VARIABLE)
    return Veil(privacy, None if key is None else key.encode())
