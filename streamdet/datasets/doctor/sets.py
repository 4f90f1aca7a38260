"""Checks of whole data sets: classes, splits, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from streamdet.datasets.doctor.likeness import Pair, same, similar
from streamdet.datasets.doctor.report import Case, Check
from streamdet.datasets.doctor.snapshot import Scanned, Snapshot
from streamdet.datasets.samples import RemarkKind

_FEW_PICTURES = 50  # to learn from
_FEW_OF_CLASS = 20
_IMBALANCE = 10.0


def _pairs(pairs: Iterable[Pair], across: bool) -> Iterator[Case]:
    for pair in pairs:
        first, second = pair.first, pair.second
        if (first.scanned is not second.scanned) != across:
            continue
        entry = first.scanned.entries[first.at]
        note = f"like {first.scanned.name}: {entry.key}" + ("" if pair.likeness == 1 else f" ({pair.likeness:.3f})")
        yield second.scanned.case(second.at, note, other=entry)


def _same_within(snapshot: Snapshot) -> Iterator[Case]:
    return _pairs(same(snapshot), False)


def _same_across(snapshot: Snapshot) -> Iterator[Case]:
    return _pairs(same(snapshot), True)


def _similar_within(snapshot: Snapshot) -> Iterator[Case]:
    return _pairs(similar(snapshot), False)


def _similar_across(snapshot: Snapshot) -> Iterator[Case]:
    return _pairs(similar(snapshot), True)


def _shared_groups(snapshot: Snapshot) -> Iterator[Case]:
    owners: dict[str, Scanned] = {}
    for each in snapshot.scanned:
        counts = Counter(entry.group for entry in each.entries if entry.group)
        for group, count in sorted(counts.items()):
            first = owners.setdefault(group, each)
            if first is not each:
                yield Case(each.name, f"{count} pictures of {group}, of which {first.name} has pictures too")


def _classes_differ(snapshot: Snapshot) -> Iterator[Case]:
    first = snapshot.scanned[0]
    for each in snapshot.scanned[1:]:
        if each.data_set.classes != first.data_set.classes:
            mine, theirs = ", ".join(each.data_set.classes), ", ".join(first.data_set.classes)
            yield Case(each.name, f"{mine}; {first.name} has {theirs}")


def _class_counts(each: Scanned) -> dict[str, int]:
    """Objects to learn per class."""
    counts = Counter(each.table.class_id[~each.table.ignored].tolist())
    return {name: counts[row] for row, name in enumerate(each.data_set.classes)}


def _learners(snapshot: Snapshot) -> tuple[Scanned, ...]:
    return snapshot.scanned if snapshot.train is None else (snapshot.train,)


def _not_learnt(snapshot: Snapshot) -> Iterator[Case]:
    if snapshot.train is None:
        return
    learnt = {name for name, count in _class_counts(snapshot.train).items() if count}
    for each in snapshot.scanned:
        if each is not snapshot.train:
            for name, count in _class_counts(each).items():
                if count and name not in learnt:
                    yield Case(each.name, f"{name}: {count} objects, none in {snapshot.train.name}")


def _not_measured(snapshot: Snapshot) -> Iterator[Case]:
    if snapshot.train is None:
        return
    learnt = {name for name, count in _class_counts(snapshot.train).items() if count}
    for each in snapshot.scanned:
        counts = _class_counts(each)
        for name in sorted(learnt):
            if each is not snapshot.train and not counts.get(name):
                yield Case(each.name, f"{name}: no objects")


def _empty_class(snapshot: Snapshot) -> Iterator[Case]:
    for each in _learners(snapshot):
        for name, count in _class_counts(each).items():
            if not count:
                yield Case(each.name, name)


def _few_of_class(snapshot: Snapshot) -> Iterator[Case]:
    for each in _learners(snapshot):
        table = each.table
        for row, name in enumerate(each.data_set.classes):
            pictures = len(np.unique(table.at[(table.class_id == row) & ~table.ignored]))
            if 0 < pictures < _FEW_OF_CLASS:
                yield Case(each.name, f"{name}: on {pictures} pictures")


def _imbalanced(snapshot: Snapshot) -> Iterator[Case]:
    for each in _learners(snapshot):
        counts = {name: count for name, count in _class_counts(each).items() if count}
        most = max(counts.values(), default=0)
        for name, count in counts.items():
            if most > _IMBALANCE * count:
                yield Case(each.name, f"{name}: {count} objects, the most frequent class {most}")


def _few_pictures(snapshot: Snapshot) -> Iterator[Case]:
    for each in _learners(snapshot):
        if len(each.entries) < _FEW_PICTURES:
            yield Case(each.name, f"{len(each.entries)} pictures")


def _nothing(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        if not len(each.entries):
            yield Case(each.name, "no pictures")
        elif not (~each.table.ignored).any():
            yield Case(each.name, "no objects")


def _like_names(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        folded = Counter(name.strip().casefold() for name in each.data_set.classes)
        for name in each.data_set.classes:
            if folded[name.strip().casefold()] > 1:
                yield Case(each.name, repr(name))


def _case_collisions(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        seen: dict[str, str] = {}
        for at, entry in enumerate(each.entries):
            first = seen.setdefault(str(entry.path).casefold(), str(entry.path))
            if first != str(entry.path):
                yield each.case(at, f"differs from {first} in upper and lower case alone")


def _shared_stems(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        if each.labelling != "yolo":
            continue
        seen: dict[object, str] = {}
        for at, entry in enumerate(each.entries):
            first = seen.setdefault(entry.labels, entry.key)
            if first != entry.key:
                yield each.case(at, f"shares its label file with {first}")


def _remarked(kind: RemarkKind) -> Callable[[Snapshot], Iterator[Case]]:
    def find(snapshot: Snapshot) -> Iterator[Case]:
        for each in snapshot.scanned:
            paths = {entry.key: entry.path for entry in each.entries}
            for remark in each.remarks:
                if remark.kind == kind:
                    known = paths.get(remark.key)
                    note = f"{remark.what} ({remark.where})"
                    yield Case(each.name, note, remark.key or None, known)

    return find


CHECKS = (
    Check(
        "nothing_there",
        "error",
        "empty data sets",
        "There is nothing to learn from or to measure with.",
        "Look at the split's list and the folders' names.",
        _nothing,
    ),
    Check(
        "same_picture",
        "warning",
        "pictures that are there twice",
        "The same file under two names: its objects count twice, and its labels may contradict each other.",
        "Keep one.",
        _same_within,
    ),
    Check(
        "same_across",
        "warning",
        "the same pictures in several splits",
        "What is measured was learnt by heart: scores are too good to be true.",
        "Remove them from one of the splits.",
        _same_across,
    ),
    Check(
        "similar_picture",
        "info",
        "pictures that look alike",
        "Neighbouring frames of a film teach little more than one of them.",
        "Take fewer frames of each clip.",
        _similar_within,
    ),
    Check(
        "similar_across",
        "warning",
        "pictures that look alike in several splits",
        "Neighbouring frames on both sides: scores are too good to be true.",
        "Split by clip or place, not by frame: ?include=GROUP and ?exclude=GROUP.",
        _similar_across,
    ),
    Check(
        "shared_groups",
        "warning",
        "clips in several splits",
        "Pictures of one clip or drive on both sides show the same things: scores are too good to be true.",
        "Split by clip: ?include=GROUP and ?exclude=GROUP.",
        _shared_groups,
    ),
    Check(
        "classes_differ",
        "error",
        "splits with different classes",
        "Class numbers would mean different things.",
        "Give all splits the same list: ?classes=first,second.",
        _classes_differ,
    ),
    Check(
        "class_not_learnt",
        "error",
        "classes that are never learnt",
        "They are measured, and there is no example to learn from.",
        "Move pictures of that class into the training split, or leave the class out.",
        _not_learnt,
    ),
    Check(
        "class_not_measured",
        "warning",
        "classes that are never measured",
        "They are learnt, and nothing says how well.",
        "Move some pictures of that class into this split.",
        _not_measured,
    ),
    Check(
        "class_empty",
        "warning",
        "classes without objects",
        "The class is declared and does not occur; the network carries it for nothing.",
        "Remove it from the list, or add examples.",
        _empty_class,
    ),
    Check(
        "class_few",
        "warning",
        "classes on few pictures",
        "Fewer than 20 pictures show the class: it will hardly be learnt.",
        "Add examples.",
        _few_of_class,
    ),
    Check(
        "imbalance",
        "warning",
        "rare classes",
        "The most frequent class has more than ten times as many objects.",
        "Add examples of the rare class; judge by the score per class, not the mean.",
        _imbalanced,
    ),
    Check(
        "few_pictures",
        "warning",
        "few pictures",
        "Fewer than 50 pictures to learn from.",
        "Add pictures; use strong augmentation and the smallest model.",
        _few_pictures,
    ),
    Check(
        "class_names",
        "error",
        "classes with the same name",
        "Two classes differ in upper and lower case or blanks at most: one thing under two numbers.",
        "Merge them.",
        _like_names,
    ),
    Check(
        "case_collision",
        "warning",
        "names that differ in case alone",
        "On Windows and macOS these files are one.",
        "Rename one of them.",
        _case_collisions,
    ),
    Check(
        "shared_labels",
        "error",
        "pictures that share a label file",
        "Two pictures of one name, such as a.jpg and a.png, have one label file between them.",
        "Rename one of them, and give it its own labels.",
        _shared_stems,
    ),
    Check(
        "labels_orphan",
        "warning",
        "labels without a picture",
        "They are not used.",
        "Add the picture, or remove the labels.",
        _remarked("orphan_labels"),
    ),
    Check(
        "picture_orphan",
        "warning",
        "pictures without a label file",
        "They count as pictures with nothing on them, or are not used at all.",
        "Label them, or add an empty file where there is nothing.",
        _remarked("orphan_picture"),
    ),
    Check(
        "class_fractional",
        "warning",
        "class numbers that are no integers",
        "Columns may be exchanged.",
        "Correct the label.",
        _remarked("fractional_class"),
    ),
    Check(
        "duplicate_id",
        "warning",
        "numbers or names given twice",
        "Of two pictures under one number the first is used.",
        "Give each its own.",
        _remarked("duplicate_id"),
    ),
    Check(
        "other_name",
        "warning",
        "labels that name another picture",
        "The labels lie beside one picture and name another; the file's own name counts.",
        "Make sure that the labels belong to the picture.",
        _remarked("other_name"),
    ),
    Check(
        "absolute_path",
        "info",
        "absolute paths",
        "They lead to the computer where the labels were made; the files' own places count.",
        "Nothing.",
        _remarked("absolute_path"),
    ),
    Check(
        "out_of_order",
        "info",
        "labels out of order",
        "The objects of a picture do not stand together in the file: often two files were joined.",
        "Nothing; look for objects labelled twice.",
        _remarked("out_of_order"),
    ),
    Check(
        "left_out", "info", "objects left out", "Their classes were not asked for.", "Nothing.", _remarked("left_out")
    ),
)
