"""How many of the plates that passed were read right: a scene's truth beside the records of a run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdet.errors import DataError

_VISIBLE = 0.75  # of its area
_FRAMES = 5  # so often a plate must be readable to count


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of the plates that could be read."""

    plates: int  # that passed, large enough, and often enough
    right: int  # final, and what stands there
    single: int  # read right, and never settled
    wrong: int  # final texts that stand on no plate of the scene
    missed: int  # no text of theirs was ever said

    @property
    def share(self) -> float:
        """Of the plates, those read right."""
        return self.right / self.plates if self.plates else 0.0


def plates_passed(truth: Path, records: Path, min_height_px: float = 14.0) -> Passed:
    """From the truth file of a synthetic scene and the records of a run on it.

    A plate counts if it was visible and that high in five frames or more; a final text of one that was smaller is
    no error.
    """
    heights: Counter[str] = Counter()
    texts: set[str] = set()
    for line in _lines(truth):
        for entry in line["objects"]:
            if entry["class"] != "plate" or not entry["text"]:
                continue
            texts.add(entry["text"])
            _, top, _, bottom = entry["xyxy"]
            heights[entry["text"]] += entry["visible_ratio"] >= _VISIBLE and bottom - top >= min_height_px
    said: dict[str, set[str]] = defaultdict(set)
    for line in _lines(records):
        if line.get("kind") in ("plate_final", "plate_rejoined"):
            said[line["state"]].add(line["text"])
    wanted = {text for text, frames in heights.items() if frames >= _FRAMES}
    right = wanted & said["final"]
    single = (wanted - right) & said["single"]
    return Passed(
        len(wanted), len(right), len(single), len(said["final"] - texts), len(wanted) - len(right) - len(single)
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise DataError("these are no records", where=path, got=type(error).__name__) from error
