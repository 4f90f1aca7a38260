"""What the command line, or a call of the library, changes in a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_ENGINE = "plates"


@dataclass(frozen=True, slots=True)
class Flags:
    """Words said beside a file; they win over what the file says."""

    source: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    backend: str | None = None
    top: Mapping[str, Any] = field(default_factory=dict)  # keys of the top level
    each_stream: Mapping[str, Any] = field(default_factory=dict)  # keys of every stream

    def applied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The file's values with the flags on top."""
        merged = {**values, **self.top}
        if self.source:
            merged["streams"] = {name: {"source": uri} for name, uri in named(self.source).items()}
        if self.engine:
            merged["detect"] = [{"engine": name} for name in self.engine]
        streams = merged.get("streams")
        if self.each_stream and isinstance(streams, dict):
            merged["streams"] = {
                name: {**stream, **self.each_stream} if isinstance(stream, dict) else stream
                for name, stream in streams.items()
            }
        merged.setdefault("detect", [{"engine": DEFAULT_ENGINE}])
        if self.backend is not None:
            detect = merged["detect"] if isinstance(merged["detect"], list) else [merged["detect"]]
            merged["detect"] = [{**each, "backend": self.backend} for each in detect]
        return merged


def named(sources: tuple[str, ...]) -> dict[str, str]:
    """A name for each source: the file's stem, the camera's address, the scene."""
    names: dict[str, str] = {}
    for uri in sources:
        if "://" in uri:
            parts = urlsplit(uri)
            stem = "-".join(part for part in (parts.hostname or parts.scheme, *parts.path.split("/")) if part)
        elif uri.startswith(("camera:", "synthetic:")):
            stem = uri.partition("?")[0].replace(":", "-")
        else:
            stem = Path(uri).stem
        stem = re.sub(r"[^\w.-]+", "-", stem).strip("-") or "stream"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names[name] = uri
    return names
