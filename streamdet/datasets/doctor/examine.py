"""The doctor's visit: look at everything once, ask every question, and leave out what is bad."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamdet.datasets.doctor import objects, pictures, sets
from streamdet.datasets.doctor.report import Case, Check, Finding, Level, Report
from streamdet.datasets.doctor.snapshot import Snapshot, scan
from streamdet.datasets.samples import DataSet, Entry, Sample

CHECKS: tuple[Check, ...] = (*pictures.CHECKS, *objects.CHECKS, *sets.CHECKS)

_ORDER: dict[Level, int] = {"error": 0, "warning": 1, "info": 2}


def examine(
    data_sets: Mapping[str, DataSet] | Sequence[DataSet],
    *,
    size: tuple[int, int] = (640, 640),
    progress: Callable[[int, int], None] | None = None,
    checks: Sequence[Check] = CHECKS,
) -> Report:
    """Every check on every data set; roles (train, val, test) are the keys, or the names' last parts.

    `size` is the training size (width, height), `progress` is told (pictures looked at, all of them).
    """
    named = (
        list(data_sets.items())
        if isinstance(data_sets, Mapping)
        else [(each.name.rpartition("/")[2], each) for each in data_sets]
    )
    snapshot = scan(named, size, progress)
    findings = [finding for check in checks if (finding := _ask(check, snapshot)) is not None]
    findings.sort(key=lambda finding: _ORDER[finding.level])  # stable: within a level in the order of the checks
    return Report(tuple(findings), tuple(each for _, each in named), len(checks), size)


def _ask(check: Check, snapshot: Snapshot) -> Finding | None:
    try:
        cases = tuple(check.find(snapshot))
    except Exception:  # noqa: BLE001 - a check that crashes must not hide what the others find: it is an error itself
        return Finding(
            check.name,
            "error",
            f"the check {check.name} crashed",
            "This is a fault of the doctor, and what it would have found is not known.",
            "Please report it, with the lines below.",
            (Case(", ".join(each.name for each in snapshot.scanned), traceback.format_exc(limit=-3)),),
        )
    if not cases:
        return None
    return Finding(check.name, check.level, check.title, check.explanation, check.remedy, cases)


@dataclass(frozen=True)
class Chosen:
    """Some pictures of a data set, some of their objects."""

    whole: DataSet = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)
    places: tuple[int, ...] = field(repr=False)  # in the whole

    @property
    def name(self) -> str:
        """As the whole."""
        return self.whole.name

    @property
    def classes(self) -> tuple[str, ...]:
        """As the whole."""
        return self.whole.classes

    def read(self, index: int) -> Sample:
        """The picture with the objects that were chosen."""
        sample = self.whole.read(self.places[index])
        return Sample(sample.key, sample.rgb, self.entries[index].objects)


def usable(data_set: DataSet, report: Report) -> tuple[DataSet, tuple[Case, ...]]:
    """The data set without what the report calls an error, and the cases that were left out.

    An error about an object costs the object, one about a picture the picture.
    """
    skipped = [
        case
        for finding in report.errors
        for case in finding.cases
        if case.data_set == data_set.name and case.key is not None
    ]
    if not skipped:
        return data_set, ()
    bad_pictures = {case.key for case in skipped if case.row is None}
    bad_rows: dict[str, set[int]] = {}
    for case in skipped:
        if case.row is not None and case.key is not None:
            bad_rows.setdefault(case.key, set()).add(case.row)
    entries, places = [], []
    for at, entry in enumerate(data_set.entries):
        if entry.key in bad_pictures:
            continue
        entries.append(_without(entry, bad_rows.get(entry.key, set())))
        places.append(at)
    return Chosen(data_set, tuple(entries), tuple(places)), tuple(skipped)


def _without(entry: Entry, rows: set[int]) -> Entry:
    if not rows:
        return entry
    kept = np.array([row not in rows for row in range(len(entry.objects))], np.bool_)
    return Entry(entry.key, entry.path, entry.size, entry.objects.rows(kept), entry.group, entry.labels)
