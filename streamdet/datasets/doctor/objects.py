"""Checks of labelled objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from streamdet.boxes import iou, place
from streamdet.datasets.doctor.report import Case, Check
from streamdet.datasets.doctor.snapshot import ObjectTable, Scanned, Snapshot

_SAME = 0.8  # overlap of two boxes around one object
_TINY_PX = 4.0  # at the training size; the finest stride of most networks is 8
_GIANT_RATIO = 0.9
_LONG = 15.0
_CROWDED = 300  # what an engine reports at most

Marks = npt.NDArray[np.bool_]  # [N]


def _not_finite(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.cases(lambda each: np.asarray(~np.isfinite(each.table.xyxy).all(axis=1), np.bool_))


def _inverted(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.cases(lambda each: np.asarray((each.table.sides < 0).any(axis=1), np.bool_))


def _no_area(snapshot: Snapshot) -> Iterator[Case]:
    def marks(each: Scanned) -> Marks:
        sides = each.table.sides
        known = (each.table.size > 0).all(axis=1)  # relative boxes of an unreadable picture have no size
        return np.asarray((sides >= 0).all(axis=1) & (sides <= 1).any(axis=1) & known, np.bool_)

    return snapshot.cases(marks)


def _outside(snapshot: Snapshot) -> Iterator[Case]:
    def marks(each: Scanned) -> Marks:
        table = each.table
        away = (table.xyxy[:, 2:] <= 0).any(axis=1) | (table.xyxy[:, :2] >= table.size).any(axis=1)
        return np.asarray(table.sound & away, np.bool_)

    return snapshot.cases(marks)


def _beyond_px(table: ObjectTable) -> npt.NDArray[np.float32]:
    """[N]: how far a box reaches out of its picture."""
    out = np.concatenate([-table.xyxy[:, :2], table.xyxy[:, 2:] - table.size], axis=1)
    return np.asarray(out.max(axis=1, initial=0), np.float32)


def _beyond(snapshot: Snapshot) -> Iterator[Case]:
    def marks(each: Scanned) -> Marks:
        table = each.table
        inside = (table.xyxy[:, 2:] > 0).all(axis=1) & (table.xyxy[:, :2] < table.size).all(axis=1)
        return np.asarray(table.sound & inside & (_beyond_px(table) > 0.51), np.bool_)

    return snapshot.cases(marks, lambda table, number: f"{_beyond_px(table)[number]:.1f} px")


def _one_based(snapshot: Snapshot) -> Iterator[Case]:
    """VOC says that it counts from 1; in other formats, many boxes at 1 and none at 0 give it away."""
    for each in snapshot.scanned:
        table = each.table
        low, high = table.xyxy[:, :2], table.xyxy[:, 2:]
        at_end = int((high == table.size).sum())
        if each.labelling == "voc":
            first, zero = int((low == 0).sum()), int((low == -1).sum())
            if first and not zero:
                yield Case(each.name, f"smallest coordinate 1 ({first} times, never 0), {at_end} at the last pixel")
        else:
            first, zero = int((low == 1).sum()), int((low <= 0).sum())
            if first >= 5 and not zero and at_end:
                yield Case(each.name, f"smallest coordinate 1 ({first} times, never 0), {at_end} at the far edge")


def _one_based_voc(snapshot: Snapshot) -> Iterator[Case]:
    voc = {each.name for each in snapshot.scanned if each.labelling == "voc"}
    return (case for case in _one_based(snapshot) if case.data_set in voc)


def _one_based_other(snapshot: Snapshot) -> Iterator[Case]:
    voc = {each.name for each in snapshot.scanned if each.labelling == "voc"}
    return (case for case in _one_based(snapshot) if case.data_set not in voc)


def _zero_based_voc(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        below = int((each.table.xyxy[:, :2] == -1).sum())
        if each.labelling == "voc" and below:
            yield Case(each.name, f"{below} coordinates are 0, which does not exist when counting from 1")


def _overlaps(snapshot: Snapshot, same_class: bool, above: float) -> Iterator[Case]:
    for each in snapshot.scanned:
        for at, entry in enumerate(each.entries):
            objects = entry.objects
            if len(objects) < 2 or not np.isfinite(objects.xyxy).all():
                continue
            overlap = np.triu(iou(objects.xyxy, objects.xyxy), 1)
            alike = objects.class_id[:, None] == objects.class_id[None]
            meant = ~objects.ignored[:, None] & ~objects.ignored[None]  # a crowd may well lie around what it holds
            for first, second in np.argwhere((overlap > above) & (alike == same_class) & meant).tolist():
                yield each.case(
                    at, f"IoU {overlap[first, second]:.2f} with object {first + 1} of the picture", row=second
                )


def _doubled(snapshot: Snapshot) -> Iterator[Case]:
    return _overlaps(snapshot, True, _SAME)


def _two_classes(snapshot: Snapshot) -> Iterator[Case]:
    return _overlaps(snapshot, False, 0.9)


def _trained_sides(each: Scanned, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """[N, 2]: width and height once the picture is fitted into the training size."""
    table = each.table
    scales = {
        tuple(shown): place((int(shown[0]), int(shown[1])), size).scale
        for shown in {tuple(row) for row in table.size.tolist()}
        if min(shown) > 0
    }
    scale = np.array([scales.get(tuple(row), (1.0, 1.0)) for row in table.size.tolist()], np.float32)
    return np.asarray(table.sides * scale.reshape(-1, 2), np.float32)


def _tiny(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        sides = _trained_sides(each, snapshot.size)
        table = each.table
        for number in np.flatnonzero(
            table.sound & ~table.ignored & (sides.min(axis=1, initial=np.inf) < _TINY_PX)
        ).tolist():
            width, height = sides[number]
            yield each.case(
                int(table.at[number]), f"{width:.1f} by {height:.1f} px in training", row=int(table.row[number])
            )


def _giant(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.cases(
        lambda each: each.table.sound & (each.table.sides >= _GIANT_RATIO * each.table.size).all(axis=1)
    )


def _long(snapshot: Snapshot) -> Iterator[Case]:
    def ratio(table: ObjectTable) -> npt.NDArray[np.float32]:
        sides = np.maximum(table.sides, 1e-6)
        return np.asarray(sides.max(axis=1, initial=0) / sides.min(axis=1, initial=np.inf), np.float32)

    return snapshot.cases(
        lambda each: each.table.sound & (ratio(each.table) > _LONG),
        lambda table, number: f"{ratio(table)[number]:.0f} : 1",
    )


def _unknown_class(snapshot: Snapshot) -> Iterator[Case]:
    def marks(each: Scanned) -> Marks:
        class_id = each.table.class_id
        return np.asarray((class_id < 0) | (class_id >= len(each.data_set.classes)), np.bool_)

    return snapshot.cases(marks)


def _points_astray(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        for at, entry in enumerate(each.entries):
            points = entry.objects.keypoints
            if points is None or not len(points):
                continue
            slack = 0.25 * (entry.objects.xyxy[:, 2:] - entry.objects.xyxy[:, :2])[:, None] + 2
            low, high = entry.objects.xyxy[:, None, :2] - slack, entry.objects.xyxy[:, None, 2:] + slack
            away = ((points[..., :2] < low) | (points[..., :2] > high)).any(axis=-1) & (points[..., 2] > 0)
            for row in np.flatnonzero(away.any(axis=1)).tolist():
                yield each.case(at, f"{int(away[row].sum())} of {points.shape[1]} points", row=row)


def _outline_differs(snapshot: Snapshot) -> Iterator[Case]:
    for each in snapshot.scanned:
        for at, entry in enumerate(each.entries):
            for row, rings in enumerate(entry.objects.polygons or ()):
                if not rings or entry.objects.ignored[row]:
                    continue
                every = np.concatenate(rings)
                around = np.concatenate([every.min(axis=0), every.max(axis=0)])[None].astype(np.float32)
                overlap = float(iou(around, entry.objects.xyxy[row : row + 1])[0, 0])
                if overlap < 0.7:
                    yield each.case(at, f"IoU {overlap:.2f} between the box and its outline", row=row)


def _crowded(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(
        lambda entry, _: f"{len(entry.objects)} objects" if len(entry.objects) > _CROWDED else None
    )


CHECKS = (
    Check(
        "box_not_finite",
        "error",
        "boxes that are no numbers",
        "A coordinate is NaN or infinite.",
        "Correct or remove the object.",
        _not_finite,
    ),
    Check(
        "box_inverted",
        "error",
        "inverted boxes",
        "The right edge lies left of the left one, or the bottom above the top.",
        "Exchange the coordinates, once you know why they are exchanged.",
        _inverted,
    ),
    Check(
        "box_no_area",
        "error",
        "boxes without area",
        "A pixel or less wide or high: a stray click of the annotator.",
        "Remove the object.",
        _no_area,
    ),
    Check(
        "box_outside",
        "error",
        "boxes outside their picture",
        "Nothing of the object is in the picture: labels of another picture, of another size, or in pixels where "
        "shares of the picture are meant.",
        "Look at the picture; remove or correct the object.",
        _outside,
    ),
    Check(
        "box_beyond_edge",
        "warning",
        "boxes beyond the picture's edge",
        "They are cut to the picture. Far out, the picture may have been cropped after labelling.",
        "Nothing, where it is a few pixels.",
        _beyond,
    ),
    Check(
        "counted_from_one",
        "info",
        "coordinates counted from 1",
        "As in Pascal VOC, the last pixel included. They are converted: 1 becomes edge 0, the last pixel the far edge.",
        "Nothing.",
        _one_based_voc,
    ),
    Check(
        "looks_one_based",
        "warning",
        "coordinates that look counted from 1",
        "Many boxes begin at 1 and none at 0, where this format counts from 0: everything is off by a pixel.",
        "Subtract 1 from left and top when converting from VOC.",
        _one_based_other,
    ),
    Check(
        "voc_from_zero",
        "warning",
        "VOC files that count from 0",
        "VOC counts pixels from 1, but some of these coordinates are 0: everything is off by a pixel.",
        "Add ?first_pixel=0 to the data set.",
        _zero_based_voc,
    ),
    Check(
        "doubled",
        "warning",
        "objects labelled twice",
        "Two boxes of one class overlap by more than 0.8: one object, which then counts as one found and one missed.",
        "Remove one of the two.",
        _doubled,
    ),
    Check(
        "two_classes",
        "warning",
        "objects of two classes at once",
        "Two boxes of different classes overlap by more than 0.9; a detector names one class per object.",
        "Decide for one.",
        _two_classes,
    ),
    Check(
        "tiny",
        "warning",
        "objects too small at the training size",
        "Less than 4 pixels wide or high once the picture is fitted: hardly anything is left to be seen.",
        "Train at a larger size (--size), with a stride-4 level, or in tiles.",
        _tiny,
    ),
    Check(
        "giant",
        "info",
        "boxes around the whole picture",
        "At least 90 % of the width and height: labels of pictures rather than of objects.",
        "Look whether that is what you mean.",
        _giant,
    ),
    Check(
        "long",
        "warning",
        "extremely long boxes",
        "More than 15 times as long as wide: often a slip of the mouse.",
        "Look at them.",
        _long,
    ),
    Check(
        "class_unknown",
        "error",
        "objects of unknown classes",
        "The class is not among those that the data set declares.",
        "Declare the class, or correct the object.",
        _unknown_class,
    ),
    Check(
        "points_astray",
        "warning",
        "keypoints away from their box",
        "Points lie more than a quarter of the box outside of it.",
        "Look at them: keypoints of another object, or a box without its far parts.",
        _points_astray,
    ),
    Check(
        "outline_differs",
        "warning",
        "outlines that do not fit their box",
        "The box around the outline overlaps the labelled box by less than 0.7.",
        "Make the box from the outline.",
        _outline_differs,
    ),
    Check(
        "crowded",
        "warning",
        "pictures with more than 300 objects",
        "Engines report 300 objects at most: the rest cannot be found.",
        "Cut the pictures into tiles, or export with a higher limit.",
        _crowded,
    ),
)
