"""Where streamdet keeps what it can make again: compiled models and measured speeds."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/streamdet, or ~/.cache/streamdet; it need not exist."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "streamdet"


def writable_folder(name: str) -> Path | None:
    """A folder of the cache, made where it is missing; None where nothing can be written, as in some containers."""
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def remembered(name: str) -> dict[str, Any]:
    """What `remember` wrote under that name; empty where there is nothing, or nothing readable."""
    try:
        found = json.loads((cache_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(name: str, fields: dict[str, Any]) -> bool:
    """Add fields to a JSON file of the cache, whole or not at all; False where nothing can be written."""
    folder = writable_folder("")
    if folder is None:
        return False
    merged = remembered(name) | fields
    try:
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".partial", delete=False, encoding="utf-8") as stream:
            json.dump(merged, stream, indent=1)
        Path(stream.name).replace(folder / name)
    except OSError:
        return False
    return True
