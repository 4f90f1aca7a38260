"""The file of a detector from before networks, whichever kind it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamdet.errors import DataError
from streamdet.models.classic.dpm import PartsDetector
from streamdet.models.classic.window_detector import WindowDetector

MODEL = "model.npz"  # its name in a run's folder and in an engine's

ClassicDetector = WindowDetector | PartsDetector

FAMILIES: dict[str, type[WindowDetector] | type[PartsDetector]] = {
    kind.family: kind for kind in (WindowDetector, PartsDetector)
}


def load_classic(path: Path) -> ClassicDetector:
    """What a detector's `save` wrote."""
    try:
        with path.open("rb") as file, np.load(file) as held:
            family = str(held["family"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError("no detector can be read", where=path, got=str(error)) from error
    if family not in FAMILIES:
        raise DataError("this version knows no such detector", where=path, expected=", ".join(FAMILIES), got=family)
    return FAMILIES[family].load(path)
