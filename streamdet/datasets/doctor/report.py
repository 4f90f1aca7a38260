"""What the doctor says: findings, each with its cases, what it means and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from streamdet.datasets.samples import DataSet
from streamdet.errors import DataError

if TYPE_CHECKING:
    from streamdet.datasets.doctor.snapshot import Snapshot

Level = Literal["error", "warning", "info"]  # refuses training · deserves a look · good to know


@dataclass(frozen=True, slots=True)
class Case:
    """One place where something was found."""

    data_set: str  # its name
    note: str = ""
    key: str | None = None  # the picture; None where it is about the whole set
    path: Path | None = None
    row: int | None = None  # the object; None where it is about the picture
    xyxy: tuple[float, float, float, float] | None = None
    other: Path | None = None  # the second picture of a pair

    @property
    def place(self) -> str:
        """Where, in one line."""
        parts = [self.data_set if self.key is None else f"{self.data_set}: {self.key}"]
        if self.xyxy is not None:
            parts.append("(" + ", ".join(f"{edge:.6g}" for edge in self.xyxy) + ")")
        return " ".join(parts)


@dataclass(frozen=True)
class Check:
    """One question to a snapshot of data sets: a pure function, and what its answer means."""

    name: str
    level: Level
    title: str
    explanation: str
    remedy: str
    find: Callable[[Snapshot], Iterable[Case]] = field(repr=False)


@dataclass(frozen=True)
class Finding:
    """A check that found something."""

    check: str
    level: Level
    title: str
    explanation: str
    remedy: str
    cases: tuple[Case, ...] = field(repr=False)

    @property
    def count(self) -> int:
        """How often."""
        return len(self.cases)

    def examples(self, most: int) -> tuple[Case, ...]:
        """Some cases, spread over all of them."""
        step = max(1, -(-self.count // most))
        return self.cases[::step]


@dataclass(frozen=True)
class Report:
    """All findings about some data sets, the gravest first."""

    findings: tuple[Finding, ...]
    data_sets: tuple[DataSet, ...] = field(repr=False)
    checks: int  # how many were made
    size: tuple[int, int]  # the training size in question

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What training refuses."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def lasting_errors(self) -> tuple[Finding, ...]:
        """Errors that leaving out pictures and objects does not mend."""
        return tuple(each for each in self.errors if any(case.key is None for case in each.cases))

    def refuse(self, *, skip_bad: bool = False) -> None:
        """DataError when there are errors; with `skip_bad`, only those that `usable` cannot mend."""
        refused = self.lasting_errors if skip_bad else self.errors
        if not refused:
            return
        lines = [f"  {each.title}: {each.count}, such as {each.cases[0].place}" for each in refused]
        hint = "streamdet data doctor shows them all" + ("" if skip_bad else "; --skip-bad leaves them out")
        raise DataError("the data set has errors:\n" + "\n".join(lines), hint=hint)

    def as_json(self, most: int = 100) -> dict[str, Any]:
        """For machines: one of the reports of `streamdet.data_report/1`."""
        return {
            "data_sets": [
                {
                    "name": each.name,
                    "pictures": len(each.entries),
                    "objects": sum(len(entry.objects) for entry in each.entries),
                    "classes": list(each.classes),
                }
                for each in self.data_sets
            ],
            "size": list(self.size),
            "checks": self.checks,
            "findings": [_finding_json(each, most) for each in self.findings],
        }


def _finding_json(finding: Finding, most: int) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level,
        "title": finding.title,
        "count": finding.count,
        "explanation": finding.explanation,
        "remedy": finding.remedy,
        "cases": [
            {
                "data_set": case.data_set,
                "key": case.key,
                "path": None if case.path is None else str(case.path),
                "object": case.row,
                "xyxy": None if case.xyxy is None else [edge if edge == edge else None for edge in case.xyxy],
                "other": None if case.other is None else str(case.other),
                "note": case.note,
            }
            for case in finding.cases[:most]
        ],
    }
