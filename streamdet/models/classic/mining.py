"""Learning a detector of windows: from what is labelled, and from its own mistakes.

A picture has a hundred thousand windows without an object; nearly all are so easy that they teach nothing. So the plane
is fitted to a few drawn by chance, then shown the pictures: what it takes for an object wrongly is added, and it is
fitted anew, until it makes hardly any new mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streamdet.boxes import iou
from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet
from streamdet.errors import DataError
from streamdet.models.classic.hog import hog
from streamdet.models.classic.linear_svm import Plane, fit_plane
from streamdet.models.classic.window_detector import WindowDetector

_APART = 0.3  # windows that overlap no object by more than this are background
_PER_PICTURE = 30  # mistakes kept of one picture and round


def learn_windows(
    detector: WindowDetector,
    data_set: DataSet,
    *,
    rounds: int = 3,
    cost: float = 0.01,
    most: int = 30_000,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> WindowDetector:
    """The detector with a plane that was fitted to the data set's objects of its class; its own is not looked at."""
    chance = np.random.default_rng(seed)
    class_id = data_set.classes.index(detector.name)
    wanted, others = [], []
    for index, entry in enumerate(data_set.entries):
        rgb = data_set.read(index).rgb
        mine = ~entry.objects.ignored & (entry.objects.class_id == class_id)
        wanted += [features for box in entry.objects.xyxy[mine] for features in _views(rgb, box, detector)]
        others += _somewhere(rgb, entry.objects.xyxy, detector, chance)
    if not wanted:
        raise DataError(f"no object of class {detector.name!r} is large enough to learn from", where=data_set.name)
    positive, negative = np.array(wanted, np.float32), np.array(others, np.float32)
    for number in range(rounds + 1):
        detector = replace(detector, plane=_fitted(positive, negative, cost, seed))
        say(f"round {number}: {len(positive)} views of objects, {len(negative)} of background")
        if number == rounds:
            break
        hard = [negative[detector.plane(negative) > -1.05]]  # what is far behind the street no longer holds the plane
        for index, entry in enumerate(data_set.entries):
            found = detector.windows(data_set.read(index).rgb, -1.0, 500)
            away = iou(found.xyxy, entry.objects.xyxy).max(axis=1, initial=0) < _APART
            hard.append(found.features[away][:_PER_PICTURE])
        negative = np.concatenate(hard)[:most]
    return detector


def _fitted(positive: npt.NDArray[np.float32], negative: npt.NDArray[np.float32], cost: float, seed: int) -> Plane:
    points = np.concatenate([positive, negative])
    return fit_plane(points, np.arange(len(points)) < len(positive), cost=cost, tolerance=1e-2, rounds=200, seed=seed)


def _views(rgb: Rgb, box: npt.NDArray[np.float32], detector: WindowDetector) -> list[npt.NDArray[np.float32]]:
    """An object as the window would show it, at its own size and shape, and moved by an eighth of a cell's worth."""
    import cv2

    cell = detector.hog.cell_px
    width, height = (n * cell for n in detector.cells)
    inner_width, inner_height = ((n - 2 * detector.margin_cells) * cell for n in detector.cells)
    scale = max((box[2] - box[0]) / inner_width, (box[3] - box[1]) / inner_height)
    if scale <= 0:
        return []
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    views = []
    for shift_x, shift_y in ((0, 0), (-0.25, 0.25), (0.25, -0.25)):
        left = centre_x - scale * (width / 2 + shift_x * cell)
        top = centre_y - scale * (height / 2 + shift_y * cell)
        way = np.array([[scale, 0, left], [0, scale, top]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(rgb, way, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        views.append(hog(np.asarray(view, np.uint8), detector.hog).ravel())
    return views


def _somewhere(
    rgb: Rgb, objects: npt.NDArray[np.float32], detector: WindowDetector, chance: np.random.Generator, count: int = 10
) -> list[npt.NDArray[np.float32]]:
    """Windows of background drawn by chance."""
    found = []
    height, width = rgb.shape[:2]
    aspect = (detector.cells[0] - 2 * detector.margin_cells) / (detector.cells[1] - 2 * detector.margin_cells)
    for _ in range(count):
        across = min(width * chance.uniform(0.03, 0.4), height * aspect)
        left, top = chance.uniform(0, width - across), chance.uniform(0, max(height - across / aspect, 1))
        box = np.array([left, top, left + across, top + across / aspect], np.float32)
        if iou(box[None], objects).max(initial=0) < _APART:
            found.append(_views(rgb, box, detector)[0])
    return found
