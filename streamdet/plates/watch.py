"""Plates that somebody waits for, found also where a character is off that is easily taken for another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streamdet.errors import ConfigError
from streamdet.plates.alignment import distance


@dataclass(frozen=True, slots=True)
class Watched:
    """One line of a list. Its `repr` says the label alone: the text is personal data."""

    text: str
    label: str

    def __repr__(self) -> str:
        return f"Watched({self.label})"


@dataclass(frozen=True, slots=True)
class Hit:
    """A plate that is on the list, or as good as."""

    label: str
    distance: float


class WatchList:
    """Plates with a label each, looked up within a distance."""

    def __init__(self, entries: Iterable[Watched], within: float = 1.0) -> None:
        self._entries = tuple(entries)
        self._within = within

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, text: str) -> Hit | None:
        """The nearest entry within reach; of equals the first."""
        near = [entry for entry in self._entries if abs(len(entry.text) - len(text)) <= self._within]
        if not near:
            return None
        best = min(near, key=lambda entry: distance(entry.text, text))
        off = distance(best.text, text)
        return Hit(best.label, round(off, 3)) if off <= self._within else None


def read_watch_list(path: Path, within: float = 1.0) -> WatchList:
    """A file with a plate a line, and behind a comma what it is called; `#` begins a remark.

    A plate without a name is called by its line: `line 12`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the watch list cannot be read", where=path, got=type(error).__name__) from error
    entries = []
    for number, line in enumerate(lines, 1):
        plate, _, label = line.partition("#")[0].partition(",")
        text = "".join(letter for letter in plate.upper() if letter.isascii() and letter.isalnum())
        if text:
            entries.append(Watched(text, label.strip() or f"line {number}"))
    return WatchList(entries, within)
