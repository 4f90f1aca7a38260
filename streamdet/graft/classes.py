"""The names of a foreign network's classes: from a file of the user's, or from the model's own metadata."""

from __future__ import annotations

import ast
from pathlib import Path

from streamdet.errors import ConfigError, ModelRefused
from streamdet.graft.families.contract import Family, Network

_BACKGROUND = {"__background__", "background"}


def read_names(path: Path) -> tuple[str, ...]:
    """One name per line, in the order of the class numbers; lines of space at the end do not count."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError("the file of class names cannot be read", where=path, got=error.strerror) from error
    except UnicodeDecodeError as error:
        raise ConfigError("the file of class names is not text", where=path, expected="UTF-8", got=error) from error
    names = tuple(line.strip() for line in text.rstrip().splitlines())
    if not names or not all(names):
        raise ConfigError(
            "the file of class names has an empty line" if names else "the file of class names is empty",
            where=path,
            expected="one name per line",
        )
    return names


def names_in_metadata(metadata: dict[str, str]) -> tuple[str, ...]:
    """The names that Ultralytics' and similar exporters write into the file: a dict or list as Python prints it."""
    try:
        names = ast.literal_eval(metadata.get("names", "()"))
    except (ValueError, SyntaxError):
        return ()
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    return tuple(str(name) for name in names) if isinstance(names, (list, tuple)) else ()


def settle_names(
    network: Network, family: Family, told: tuple[str, ...], where: object
) -> tuple[tuple[str, ...], str | None]:
    """One name per class of the head, and a remark where they had to be made up."""
    count = family.class_count(network)
    names = told or names_in_metadata(network.metadata)
    if family.name in ("torchvision", "ssd") and names and names[0].lower() in _BACKGROUND:
        names = names[1:]  # their heads count the background as class 0, their detections never show it
    if not names and count is None:
        raise ModelRefused(
            "neither the model nor you say which classes there are",
            where=where,
            hint="give the names in the network's order, one per line: --classes FILE",
        )
    if not names:
        assert count is not None
        return tuple(
            f"class-{i}" for i in range(count)
        ), f"the model names no classes: called class-0 to class-{count - 1}"
    if count is not None and count != len(names):
        raise ModelRefused(
            "the number of class names is not that of the network's classes",
            where=where,
            expected=f"{count} classes in the head of a {family.name}",
            got=f"{len(names)} names: {', '.join(names[:3])}{' …' * (len(names) > 3)}",
        )
    return names, None
