"""What several verbs say and ask the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamdet.errors import EngineMismatch

if TYPE_CHECKING:
    from streamdet.infer.shelf import Engine


def say(what: Any) -> None:
    """Print text with rich markup, or anything that rich can draw."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=isinstance(what, str)).print(what)


def one_engine(name: str) -> Engine:
    """The engine of that name; a suite is refused, with the names of its parts."""
    from streamdet.infer.shelf import Shelf, Suite

    found = Shelf().open(name)
    if isinstance(found, Suite):
        raise EngineMismatch(
            f"{name} is a suite of several steps",
            where=found.folder,
            expected="one engine",
            hint=" or ".join(f"streamdet engine check {part}" for part in found.manifest.engines) or None,
        )
    return found
