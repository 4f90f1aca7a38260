"""Training samples: each a pure function of its number and a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamdet.boxes import place
from streamdet.datasets.samples import DataSet, Objects, Rgb, Sample
from streamdet.errors import ConfigError
from streamdet.training.augment.arranging import fitted, jitter, mosaic, turned
from streamdet.training.augment.colour import recolour, weather
from streamdet.training.augment.geometry import CutRule, Matrix, move_objects, scaling, translation, warp_into
from streamdet.training.augment.held import HeldPictures
from streamdet.training.augment.options import AugmentOptions
from streamdet.training.augment.pasting import find_room, hidden_ratio, joined, paste

_CORNERS_MIRRORED = (1, 0, 3, 2)  # top left, top right, bottom right, bottom left: still clockwise from the top left


class Augmenter:
    """Makes training samples of exactly `size` (width, height) from a data set.

    `sample(index, seed)` depends on nothing else: not on the order of calls, the number of workers or what is held in
    memory. Give every epoch its own seed. Safe to share between threads.
    """

    def __init__(
        self,
        data_set: DataSet,
        options: AugmentOptions,
        size: tuple[int, int],
        *,
        pictures: HeldPictures | None = None,
    ) -> None:
        self.data_set = data_set
        self.size = size
        self.options = _resolved(options, data_set)
        self.pictures = pictures or HeldPictures(data_set, size, options.memory_mb)
        self._rule = CutRule(options.least_visible_ratio, options.least_side_px, options.cut_objects)
        self._mirrored = _mirrored_keypoints(self.options, data_set)

    def __len__(self) -> int:
        return len(self.data_set.entries)

    def load(self, threads: int = 4, progress: Callable[[int], None] | None = None) -> None:
        """Decode ahead what the memory bound allows; before workers are forked, they share it."""
        self.pictures.load(threads, progress)

    def variant(self, options: AugmentOptions | None = None, size: tuple[int, int] | None = None) -> Augmenter:
        """The same pictures with other options or at another size; memory is shared where that is large enough."""
        wanted = size or self.size
        enough = wanted[0] <= self.pictures.size[0] and wanted[1] <= self.pictures.size[1]
        return Augmenter(self.data_set, options or self.options, wanted, pictures=self.pictures if enough else None)

    def calm(self) -> Augmenter:
        """Without mosaic, mixup and pasting, for the last epochs."""
        return self.variant(self.options.calm())

    def sample(self, index: int, seed: int) -> Sample:
        """Sample number `index` of the data set, as `seed` changes it."""
        random = np.random.default_rng([abs(seed), index])
        rgb, objects = self._scene(index, random)
        if random.random() < self.options.mixup:
            rgb, objects = self._mixed(rgb, objects, random)
        if random.random() < self.options.paste:
            objects = self._pasted(rgb, objects, random)
        rgb = weather(recolour(rgb, self.options, random), self.options, random)
        return Sample(self.data_set.entries[index].key, rgb, objects)

    def _scene(self, index: int, random: np.random.Generator) -> tuple[Rgb, Objects]:
        """A mosaic, or one picture."""
        width, height = self.size
        canvas = np.full((height, width, 3), self.options.pad, np.uint8)
        if random.random() < self.options.mosaic:
            order = [index, *random.integers(len(self), size=3).tolist()]
            random.shuffle(order)
        else:
            order = [index]
        sources = [self.pictures.read(each) for each in order]
        true_sizes = [true for _, true in sources]
        matrices = (
            mosaic(true_sizes, self.size, self.options, random)
            if len(order) == 4
            else [self._alone(true_sizes[0], random)]
        )
        parts = []
        for each, (rgb, true), matrix in zip(order, sources, matrices, strict=True):
            warp_into(canvas, rgb, matrix @ scaling(true[0] / rgb.shape[1], true[1] / rgb.shape[0]))
            parts.append(self._moved(self.data_set.entries[each].objects, matrix))
        return canvas, joined(parts)

    def _alone(self, true: tuple[int, int], random: np.random.Generator) -> Matrix:
        """Where one picture goes that is no part of a mosaic."""
        turn, after = turned(true, self.options, random)
        large = random.random() < self.options.large_jitter
        scale = self.options.large_scale if large else self.options.scale
        return jitter(self.size, self.options, random, scale) @ fitted(after, self.size) @ turn

    def _moved(self, objects: Objects, matrix: Matrix) -> Objects:
        return move_objects(
            objects,
            matrix,
            self.size,
            self._rule,
            outline=self.options.outline,
            mirrored_keypoints=self._mirrored,
        )

    def _mixed(self, rgb: Rgb, objects: Objects, random: np.random.Generator) -> tuple[Rgb, Objects]:
        """Two scenes, one shining through the other; objects of both count."""
        other, others = self._scene(int(random.integers(len(self))), random)
        share = np.float32(random.beta(32, 32))
        blended = np.rint(rgb * share + other * (1 - share)).astype(np.uint8)
        return blended, joined([objects, others])

    def _pasted(self, rgb: Rgb, objects: Objects, random: np.random.Generator) -> Objects:
        """A few objects more, drawn into `rgb`."""
        for _ in range(int(random.integers(1, self.options.paste_most + 1))):
            index = int(random.integers(len(self)))
            given = self.data_set.entries[index].objects
            candidates = np.flatnonzero(~given.ignored)
            if not len(candidates):
                continue
            one = given.rows(candidates[[int(random.integers(len(candidates)))]])
            source, true = self.pictures.read(index)
            matrix = self._somewhere(one, true, objects, random)
            if matrix is None:
                continue
            placed = self._moved(one, matrix)
            if not len(placed) or placed.ignored[0]:
                continue
            paste(rgb, source, matrix @ scaling(true[0] / source.shape[1], true[1] / source.shape[0]), placed)
            if len(objects):
                hidden = hidden_ratio(objects.xyxy, placed.xyxy[0]) > 1 - self.options.least_visible_ratio
                objects = objects.rows(~hidden)
            objects = joined([objects, placed])
        return objects

    def _somewhere(
        self, one: Objects, true: tuple[int, int], taken: Objects, random: np.random.Generator
    ) -> Matrix | None:
        """A matrix that takes one object to a free place, scaled like everything else."""
        ratio = place(true, self.size).scale[0] * float(np.exp(random.uniform(*np.log(self.options.scale))))
        left, top, right, bottom = (float(edge) * ratio for edge in one.xyxy[0])
        room = find_room((right - left, bottom - top), self.size, taken, random)
        if room is None:
            return None
        return translation(room[0] - left, room[1] - top) @ scaling(ratio, ratio)


def _resolved(options: AugmentOptions, data_set: DataSet) -> AugmentOptions:
    """Options without None, as this data set needs them."""
    for name in ("scale", "large_scale"):
        low, high = getattr(options, name)
        if not 0 < low <= high:
            raise ConfigError(f"augment.{name} is no span", expected="0 < from ≤ to", got=(low, high))
    if options.flip_horizontal is not None:
        return options
    written = any(entry.objects.texts is not None for entry in data_set.entries)
    return options.model_copy(update={"flip_horizontal": 0.0 if written else 0.5})


def _mirrored_keypoints(options: AugmentOptions, data_set: DataSet) -> tuple[int, ...] | None:
    points = max((e.objects.keypoints.shape[1] for e in data_set.entries if e.objects.keypoints is not None), default=0)
    if not points:
        return None
    if options.mirrored_keypoints is not None:
        if sorted(options.mirrored_keypoints) != list(range(points)):
            raise ConfigError(
                "augment.mirrored_keypoints is no exchange of all keypoints",
                expected=f"each of 0 to {points - 1} once",
                got=options.mirrored_keypoints,
            )
        return options.mirrored_keypoints
    if points == 4:
        return _CORNERS_MIRRORED
    if options.flip_horizontal or options.flip_vertical:
        raise ConfigError(
            "it is not known which keypoints change places in a mirror",
            where=data_set.name,
            expected=f"augment.mirrored_keypoints: {points} numbers",
            hint="or augment.flip_horizontal: 0 and augment.flip_vertical: 0",
        )
    return None
