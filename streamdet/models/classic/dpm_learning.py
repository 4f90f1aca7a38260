"""Learning deformable parts: nobody says where the parts are, so it is guessed and learnt in turn.

    roots    per aspect: one stiff template, as for windows
    parts    laid where the root, seen at twice its resolution, holds most of its weight
    in turn  every object → the place and the parts that the model of its aspect so far likes best
             every picture → the places without an object that it likes best
             a plane between both, for each component: the next model

The places of the objects are what is latent: fixed while the plane is fitted, then chosen anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Boxes, iou
from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet, Objects
from streamdet.errors import DataError
from streamdet.models.classic.dpm import SPRING, Component, PartsDetector
from streamdet.models.classic.hog import HogOptions
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.mining import (
    APART,
    EASY,
    Learning,
    MiningOptions,
    fitted,
    learn_windows,
    looked_through,
)
from streamdet.models.classic.window import Window
from streamdet.models.classic.window_detector import WindowDetector

_TRUE = 0.6  # overlap that a place of an object must have with it
_AROUND = 0.6  # of an object's larger side: what of the picture is looked at to find its place
_LARGER = 1.3  # than its box an object may be taken for
_STIFF = (0.1, 0.0, 0.1, 0.0)  # springs to begin with
_ROOT_PICTURES = 40  # looked through for the roots, which only begin it all


Members = Callable[[Objects], npt.NDArray[np.bool_]]  # which of the objects belong to a component


@dataclass(frozen=True)
class PartsShape:
    """What a mixture looks like before it has learnt anything."""

    components: int = 2
    cells_down: int = 2  # of the whole, without its margin; how many across follows from the aspect
    cell_px: int = 5
    parts: int = 6
    part_blocks: tuple[int, int] = (5, 4)  # across, down, at twice the resolution
    margin_cells: int = 1
    per_octave: int = 6
    enlarge: float = 1.25
    overlap: float = 0.3


def learn_parts(
    name: str,
    data_set: DataSet,
    shape: PartsShape | None = None,
    options: MiningOptions | None = None,
    learning: Learning | None = None,
) -> PartsDetector:
    """A mixture for the data set's objects of that class."""
    shape, options, learning = shape or PartsShape(), options or MiningOptions(), learning or Learning()
    class_id = data_set.classes.index(name)
    groups = _aspects(data_set, class_id, shape.components)
    components = tuple(
        _with_parts(_root(name, aspect, mine, data_set, shape, options, learning), shape) for aspect, mine in groups
    )
    detector = PartsDetector(name, components, shape.per_octave, shape.enlarge, shape.overlap)
    background = [np.zeros((0, component.plane.weight.size), np.float32) for component in components]
    for number in range(options.rounds):
        objects = _objects(detector, data_set, class_id, [mine for _, mine in groups])
        background = _mined(detector, data_set, options, number, background)
        seen = list(zip(objects, background, strict=True))
        told = ", ".join(f"{len(mine)} of objects, {len(others)} of background" for mine, others in seen)
        learning.say(f"round {number + 1}: places by component: {told}")
        pairs = zip(detector.components, seen, strict=True)
        detector = replace(detector, components=tuple(_fitted(component, *two, options) for component, two in pairs))
        if learning.stop():
            break
    return detector


def _root(
    name: str,
    aspect: float,
    mine: Members,
    data_set: DataSet,
    shape: PartsShape,
    options: MiningOptions,
    learning: Learning,
) -> WindowDetector:
    """A stiff template of the whole, for objects of one aspect."""
    across = max(round(aspect * shape.cells_down), 1) + 2 * shape.margin_cells
    window = Window((across, shape.cells_down + 2 * shape.margin_cells), HogOptions(shape.cell_px), shape.margin_cells)
    blank = WindowDetector(
        name, window, Plane(np.zeros(0, np.float32), 0.0), 2 ** (1 / shape.per_octave), shape.enlarge / 2
    )
    few = replace(options, rounds=1, pictures=min(options.pictures, _ROOT_PICTURES))
    learning.say(f"root of {window.cells[0]} x {window.cells[1]} cells")
    return learn_windows(blank, data_set, few, learning, mine)


def _aspects(data_set: DataSet, class_id: int, components: int) -> list[tuple[float, Members]]:
    """Objects in groups of equal number by aspect: the middle of each, and what tells its members."""
    found = []
    for entry in data_set.entries:
        mine = ~entry.objects.ignored & (entry.objects.class_id == class_id)
        found.append(_aspect(entry.objects.xyxy[mine]))
    aspects = np.concatenate(found) if found else np.zeros(0, np.float32)
    if len(aspects) < components:
        raise DataError(
            "there are too few objects to learn from", where=data_set.name, expected=components, got=len(aspects)
        )
    edges = np.quantile(aspects, np.linspace(0, 1, components + 1))
    edges[0], edges[-1] = 0, np.inf
    groups = []
    for low, high in pairwise(edges):
        middle = float(np.median(aspects[(aspects >= low) & (aspects < high)]))
        groups.append((middle, _between(float(low), float(high))))
    return groups


def _between(low: float, high: float) -> Members:
    def wanted(objects: Objects) -> npt.NDArray[np.bool_]:
        aspect = _aspect(objects.xyxy)
        return ~objects.ignored & (aspect >= low) & (aspect < high)

    return wanted


def _aspect(xyxy: Boxes) -> npt.NDArray[np.float32]:
    height = np.maximum(xyxy[:, 3] - xyxy[:, 1], 1e-3)
    aspect: npt.NDArray[np.float32] = (xyxy[:, 2] - xyxy[:, 0]) / height
    return aspect


def _with_parts(root: WindowDetector, shape: PartsShape) -> Component:
    """A root with parts cut from itself, each where most of its weight still lies that no other part has."""
    import cv2

    rows, columns = root.window.blocks
    weight = root.plane.weight.reshape(rows, columns, -1)
    fine = np.asarray(cv2.resize(weight, (2 * columns + 1, 2 * rows + 1), interpolation=cv2.INTER_LINEAR), np.float32)
    across, down = (min(shape.part_blocks[0], fine.shape[1]), min(shape.part_blocks[1], fine.shape[0]))
    energy = (np.maximum(fine, 0) ** 2).sum(axis=2)
    anchors, templates = [], []
    for _ in range(shape.parts):
        within = np.lib.stride_tricks.sliding_window_view(energy, (down, across)).sum(axis=(2, 3))
        y, x = (int(at) for at in np.unravel_index(int(within.argmax()), within.shape))
        anchors.append((x, y))
        templates.append(fine[y : y + down, x : x + across].ravel())
        energy[y : y + down, x : x + across] = 0
    springs = np.tile(np.array(_STIFF, np.float32) / SPRING, shape.parts)
    vector = np.concatenate([weight.ravel(), *templates, springs])
    return Component(root.window, tuple(anchors), (across, down), Plane(vector, root.plane.bias))


def _objects(
    detector: PartsDetector, data_set: DataSet, class_id: int, groups: Sequence[Members]
) -> list[npt.NDArray[np.float32]]:
    """Every object where the component of its aspect likes it best: features per component."""
    seen: list[list[npt.NDArray[np.float32]]] = [[] for _ in detector.components]
    for index, entry in enumerate(data_set.entries):
        of_class = entry.objects.class_id == class_id
        mine = [of_class & members(entry.objects) for members in groups]
        if not np.any(mine):
            continue
        rgb = data_set.read(index).rgb
        for component, rows, found in zip(detector.components, mine, seen, strict=True):
            found += [
                best
                for box in entry.objects.xyxy[rows]
                if (best := _best_place(detector, component, rgb, box)) is not None
            ]
    columns = [component.plane.weight.size for component in detector.components]
    return [np.array(each, np.float32).reshape(len(each), size) for each, size in zip(seen, columns, strict=True)]


def _best_place(
    detector: PartsDetector, component: Component, rgb: Rgb, box: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32] | None:
    """What the component's plane sees of an object at its best; None where the object is too small for it."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    if width <= 0 or height <= 0:
        return None
    near, box = _around(rgb, box, _AROUND * max(width, height))
    across, down = component.window.inner_px
    # of the pyramid only what could be: it begins where the object is a little larger than the component wants it
    largest = _LARGER * 2 * max(across / width, down / height)
    skipped = max(math.floor(math.log2(detector.enlarge / largest) * detector.per_octave), 0)
    levels = replace(detector, enlarge=detector.enlarge * 2 ** (-skipped / detector.per_octave)).levels(near)
    places = detector.places(levels, component, -np.inf, 100_000)
    rows = np.flatnonzero(iou(places.xyxy, box[None]).max(axis=1, initial=0) > _TRUE)[:1]
    return detector.seen(levels, component, places, rows)[0] if len(rows) else None


def _around(rgb: Rgb, box: npt.NDArray[np.float32], reach_px: float) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """What is around an object, and where it is in that."""
    height, width = rgb.shape[:2]
    left, top = max(int(box[0] - reach_px), 0), max(int(box[1] - reach_px), 0)
    right, bottom = min(int(box[2] + reach_px) + 1, width), min(int(box[3] + reach_px) + 1, height)
    return np.ascontiguousarray(rgb[top:bottom, left:right]), box - np.array([left, top, left, top], np.float32)


def _mined(
    detector: PartsDetector,
    data_set: DataSet,
    options: MiningOptions,
    number: int,
    known: Sequence[npt.NDArray[np.float32]],
) -> list[npt.NDArray[np.float32]]:
    """What looked most like an object and was none, and what of before still does: features per component."""
    hard = [[each[component.plane(each) > EASY]] for component, each in zip(detector.components, known, strict=True)]
    for index in looked_through(len(data_set.entries), options, number):
        levels = detector.levels(data_set.read(index).rgb)
        objects = data_set.entries[index].objects.xyxy
        for component, kept in zip(detector.components, hard, strict=True):
            places = detector.places(levels, component, -np.inf, 20 * options.per_picture)
            away = np.flatnonzero(iou(places.xyxy, objects).max(axis=1, initial=0) < APART)
            kept.append(detector.seen(levels, component, places, away[: options.per_picture]))
    return [np.concatenate(each)[: options.most] for each in hard]


def _fitted(
    component: Component,
    positive: npt.NDArray[np.float32],
    negative: npt.NDArray[np.float32],
    options: MiningOptions,
) -> Component:
    """The component with the plane between both; as it was where there is nothing to part."""
    if not len(positive) or not len(negative):
        return component
    return replace(component, plane=fitted(positive, negative, options))
