"""What a suite's procedure is, and all of them by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamdet.datasets.pictures import Rgb
from streamdet.errors import ManifestInvalid
from streamdet.frames import Detections
from streamdet.manifest import Procedure


class Program(Protocol):
    """A procedure, open for one thread."""

    def __call__(self, rgb: Rgb) -> Detections:
        """What is in a picture [H, W, 3] of any size: in its pixels, best first, without duplicates.

        Down to scores of 0.001 where they are plenty: thresholds act later. Class ids count the procedure's classes. A
        failure raises InferenceFailed.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a program is opened with."""

    procedure: Procedure
    files: Mapping[str, Path]  # as the manifest names them → where they lie, their hashes found right
    threads: int = 1

    def file(self, name: str) -> Path:
        """A file that the program cannot do without."""
        if name not in self.files:
            raise ManifestInvalid(
                f"a procedure of family {self.procedure.family} lacks a file", expected=name, got=", ".join(self.files)
            )
        return self.files[name]


def _classic(setup: Setup) -> Program:
    from streamdet.models.classic.saved import MODEL, load_classic

    return load_classic(setup.file(MODEL))


def _regions(setup: Setup) -> Program:
    from streamdet.suites.regions import RegionDetector

    return RegionDetector(setup)


PROGRAMS: Mapping[str, Callable[[Setup], Program]] = {
    "hog_windows": _classic,
    "deformable_parts": _classic,
    "regions": _regions,
}


def open_program(setup: Setup) -> Program:
    """The program of the procedure's family."""
    family = setup.procedure.family
    if family not in PROGRAMS:
        raise ManifestInvalid(
            "this version knows no such procedure", expected=", ".join(PROGRAMS), got=family, hint="a newer version may"
        )
    return PROGRAMS[family](setup)
