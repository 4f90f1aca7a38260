"""Learning a detector of windows: from what is labelled, and from its own mistakes.

A picture has a hundred thousand windows without an object; nearly all are so easy that they teach nothing. So the plane
is fitted to a few drawn by chance, then shown the pictures: what it takes for an object wrongly is added, and it is
fitted anew, until it makes hardly any new mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamdet.boxes import iou
from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet, Objects
from streamdet.errors import DataError
from streamdet.models.classic.hog import hog
from streamdet.models.classic.linear_svm import Plane, fit_plane
from streamdet.models.classic.window import Window
from streamdet.models.classic.window_detector import WindowDetector

APART = 0.3  # windows that overlap no object by more than this are background
EASY = -1.05  # what is that far behind the street no longer holds the plane
_SHIFTS = ((0.0, 0.0), (-0.25, 0.25), (0.25, -0.25))  # of an object, in cells: a grid never meets it exactly


@dataclass(frozen=True)
class MiningOptions:
    """How long it is learnt, and from how much."""

    rounds: int = 3
    cost: float = 0.01  # what an error weighs
    per_picture: int = 30  # mistakes kept of one picture and round
    pictures: int = 500  # looked through in a round; other ones in the next, where there are more
    most: int = 30_000  # windows of background kept
    seed: int = 0


@dataclass(frozen=True)
class Learning:
    """Who looks on: what is said line by line, and whether it shall end early."""

    say: Callable[[str], None] = lambda line: None
    stop: Callable[[], bool] = lambda: False


def learn_windows(
    detector: WindowDetector,
    data_set: DataSet,
    options: MiningOptions | None = None,
    learning: Learning | None = None,
    wanted: Callable[[Objects], npt.NDArray[np.bool_]] = lambda objects: ~objects.ignored,
) -> WindowDetector:
    """The detector with a plane that was fitted to the data set's objects of its class; its own is not looked at.

    `wanted` chooses among the objects of its class; what it leaves out is neither an object nor background.
    """
    asked, learning = options or MiningOptions(), learning or Learning()
    chance = np.random.default_rng(asked.seed)
    class_id = data_set.classes.index(detector.name)
    positives, negatives = [], []
    for index, entry in enumerate(data_set.entries):
        rgb = data_set.read(index).rgb
        mine = (entry.objects.class_id == class_id) & wanted(entry.objects)
        positives += [features for box in entry.objects.xyxy[mine] for features in views(rgb, box, detector.window)]
        negatives += _somewhere(rgb, entry.objects.xyxy, detector.window, chance)
    if not positives:
        raise DataError(f"no object of class {detector.name!r} is there to learn from", where=data_set.name)
    positive, negative = np.array(positives, np.float32), np.array(negatives, np.float32)
    for number in range(asked.rounds + 1):
        detector = replace(detector, plane=fitted(positive, negative, asked))
        learning.say(f"round {number}: {len(positive)} views of objects, {len(negative)} of background")
        if number == asked.rounds or learning.stop():
            break
        hard = [negative[detector.plane(negative) > EASY]]
        for index in looked_through(len(data_set.entries), asked, number):
            found = detector.windows(data_set.read(index).rgb, -1.0, 500)
            away = iou(found.xyxy, data_set.entries[index].objects.xyxy).max(axis=1, initial=0) < APART
            hard.append(found.features[away][: asked.per_picture])
        negative = np.concatenate(hard)[: asked.most]
    return detector


def looked_through(pictures: int, options: MiningOptions, number: int) -> Sequence[int]:
    """The pictures of a round: all of them, or so many in an order that goes on from round to round."""
    order = np.random.default_rng(options.seed).permutation(pictures)
    first = number * options.pictures
    chosen = order[np.arange(first, first + min(options.pictures, pictures)) % pictures]
    return [int(index) for index in np.sort(chosen)]


def fitted(positive: npt.NDArray[np.float32], negative: npt.NDArray[np.float32], options: MiningOptions) -> Plane:
    """The plane between both."""
    points = np.concatenate([positive, negative])
    is_wanted = np.arange(len(points)) < len(positive)
    return fit_plane(points, is_wanted, cost=options.cost, tolerance=1e-2, rounds=200, seed=options.seed)


def views(
    rgb: Rgb, box: npt.NDArray[np.float32], window: Window, shifts: Sequence[tuple[float, float]] = _SHIFTS
) -> list[npt.NDArray[np.float32]]:
    """What a template sees of an object at its own size and shape, a little moved."""
    if box[2] <= box[0] or box[3] <= box[1]:
        return []
    return [hog(window.view(rgb, box, shift), window.hog).ravel() for shift in shifts]


def _somewhere(
    rgb: Rgb, objects: npt.NDArray[np.float32], window: Window, chance: np.random.Generator, count: int = 10
) -> list[npt.NDArray[np.float32]]:
    """Windows of background drawn by chance."""
    found = []
    height, width = rgb.shape[:2]
    aspect = window.inner_px[0] / window.inner_px[1]
    for _ in range(count):
        across = min(width * chance.uniform(0.03, 0.4), height * aspect)
        left, top = chance.uniform(0, width - across), chance.uniform(0, max(height - across / aspect, 1))
        box = np.array([left, top, left + across, top + across / aspect], np.float32)
        if iou(box[None], objects).max(initial=0) < APART:
            found += views(rgb, box, window, _SHIFTS[:1])
    return found
