"""The pictures of a training: opened, divided where they are not, seen by the doctor."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.doctor.examine import examine, usable
from streamdet.datasets.doctor.report import Case
from streamdet.datasets.samples import DataSet, Entry, Listed
from streamdet.errors import DataError
from streamdet.training.options import DataOptions
from streamdet.training.reporting import Reporter

_SHOWN = 10


@dataclass(frozen=True)
class DataSets:
    """Pictures to learn from, to choose the best weights by, and to score once at the end."""

    train: DataSet
    valid: DataSet
    test: DataSet | None = None

    def named(self) -> dict[str, DataSet]:
        """Those that there are, by what they are for."""
        return {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) is not None}


def open_all(options: DataOptions) -> DataSets:
    """Read the labels of all parts; their classes must be the same."""
    train = open_data_set(options.train)
    test = None if options.test is None else open_data_set(options.test)
    if options.valid is None:
        train, valid = held_out(train, options.hold_out)
    else:
        valid = open_data_set(options.valid)
    for other in (valid, test):
        if other is not None and other.classes != train.classes:
            raise DataError(
                "the pictures to judge by have other classes than those to learn from",
                where=other.name,
                expected=", ".join(train.classes),
                got=", ".join(other.classes),
                hint="name them in the same order with `classes:` under data.train and data.valid",
            )
    return DataSets(train, valid, test)


def refuse_without_outlines(data: DataSets) -> None:
    """What learns masks needs some, and needs some to be judged by."""
    for data_set in data.named().values():
        if not any(entry.objects.polygons is not None for entry in data_set.entries):
            raise DataError(
                "the labels hold no outlines",
                where=data_set.name,
                expected="masks or polygons beside the boxes: `segmentation`, as COCO writes them",
                hint="a detector learns from boxes alone",
            )


def held_out(data_set: DataSet, share: float) -> tuple[DataSet, DataSet]:
    """A data set without splits → one to learn from and one to judge by; the same ones every time.

    Pictures of one group show the same things and stay together.
    """
    entries = data_set.entries
    members = Counter(_group(entry) for entry in entries)
    names = sorted(members, key=lambda name: hashlib.sha256(name.encode()).digest())
    chosen: set[str] = set()
    count = 0
    for name in names[:-1]:
        if count >= share * len(entries):
            break
        chosen.add(name)
        count += members[name]
    learnt = tuple(entry for entry in entries if _group(entry) not in chosen)
    judged = tuple(entry for entry in entries if _group(entry) in chosen)
    name, classes = data_set.name, data_set.classes
    return Listed(f"{name}/learnt", classes, learnt), Listed(f"{name}/held-out", classes, judged)


def _group(entry: Entry) -> str:
    return entry.group or entry.key


def examined(data: DataSets, size: tuple[int, int], skip_bad: bool, skipped: Path, reporter: Reporter) -> DataSets:
    """What the doctor lets through. Errors are refused, or with `skip_bad` left out and listed in a file."""
    names = {"train": data.train, "val": data.valid} | ({} if data.test is None else {"test": data.test})
    report = examine(names, size=size)
    report.refuse(skip_bad=skip_bad)
    for finding in report.findings:
        if finding.level == "warning":
            reporter.say(f"data: {finding.title}: {finding.count}, such as {finding.cases[0].place}")
    left_out: list[Case] = []
    sound = {}
    for name, data_set in data.named().items():
        sound[name], cases = usable(data_set, report)
        left_out += cases
        if not sound[name].entries:
            raise DataError("no picture of a data set can be used", where=data_set.name, hint="streamdet data doctor")
    if left_out:
        lines = [f"{case.place} {case.note}".rstrip() for case in left_out]
        for line in lines[:_SHOWN]:
            reporter.say(f"left out: {line}")
        if len(lines) > _SHOWN:
            reporter.say(f"left out: {len(lines) - _SHOWN} more, listed in {skipped}")
        skipped.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DataSets(**sound)
