"""Plates laid into pictures, for a detector to learn from besides labelled ones."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, overload

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streamdet.boxes import clip
from streamdet.datasets.samples import DataSet, Listed, Objects, Sample
from streamdet.errors import ConfigError, DataError
from streamdet.scenes.alphabets import usable_typefaces
from streamdet.scenes.backgrounds import Background, rendered_street
from streamdet.scenes.dice import Dice
from streamdet.scenes.plate_kinds import Kinds
from streamdet.scenes.plate_scenes import SceneOptions, plate_scene
from streamdet.scenes.truth import Truth
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.augment.colour import recolour

_LABELLED, _IGNORED = "labelled", "ignored"  # names of the plates that a photograph shows by itself
_STREET_SEED, _STREET_S = 900_000, 30.0
_SLACK_SALT = 29
_UNKNOWN = -1.0  # visibility of a point of which nothing is known


class RenderedPlates(BaseModel):
    """Plates of ours laid over the pictures of the data set, over streets of ours and over nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: Annotated[float, Field(gt=0, le=1, description="Of the samples, how many are such scenes.")] = 0.6
    plate_px: Annotated[
        tuple[float, float], Field(description="Height of the plates laid in, in pixels of the input, from and to.")
    ] = (6.0, 90.0)
    severity: Annotated[float, Field(ge=0, description="Of light, blur, noise, transmission and poses.")] = 1.0
    over_known: Annotated[
        float, Field(ge=0, le=1, description="Share of the pictures' own plates that get one of ours laid over them.")
    ] = 0.4
    streets: Annotated[int, Field(ge=0, description="Streets of ours; drawing one takes half a second.")] = 24
    street_share: Annotated[float, Field(ge=0, lt=1, description="Share of scenes that are laid into those.")] = 0.15
    typefaces: Annotated[Path | None, Field(description="A folder of typefaces to draw with besides our styles.")] = (
        None
    )
    slack: Annotated[
        tuple[float, float, float, float],
        Field(
            description="How far boxes reach beyond the plate on the left, top, right and bottom, as shares of its "
            "width and height: as the labelled boxes do, which are seldom tight."
        ),
    ] = (0.0, 0.0, 0.0, 0.0)
    corners: Annotated[
        Path | None, Field(description="Corners of labelled plates: a CSV file: file, x1, y1, x2, y2, tl_x … bl_y.")
    ] = None
    ignored: Annotated[
        Path | None, Field(description="Plates without a label, as a CSV file: file, x1, y1, x2, y2 …: not background.")
    ] = None


@dataclass(frozen=True)
class SceneSamples:
    """Labelled pictures and rendered scenes in turn; which comes follows from the seed."""

    real: Augmenter
    backgrounds: Sequence[Background]
    options: RenderedPlates
    scenes: SceneOptions

    def sample(self, index: int, seed: int) -> Sample:
        """A labelled picture, or a scene of that seed."""
        random = np.random.default_rng([seed, index, _SLACK_SALT])
        if random.random() >= self.options.share:
            return self.real.sample(index, seed)
        scene = plate_scene(seed, index, self.scenes, self.backgrounds)
        rgb = recolour(np.asarray(cv2.cvtColor(scene.bgr, cv2.COLOR_BGR2RGB), np.uint8), self.real.options, random)
        dice = Dice.of(seed, index, _SLACK_SALT)
        return Sample(f"rendered/{seed}", rgb, _objects(scene.truth, self.scenes.size, self.options.slack, dice))


def samples_with(
    real: Augmenter, backgrounds: Sequence[Background], options: RenderedPlates, full: tuple[int, int]
) -> SceneSamples:
    """Scenes of the size of the labelled pictures, which may be smaller than in the end: plates are then, too."""
    ratio = real.size[0] / full[0]
    kinds = Kinds(typefaces=() if options.typefaces is None else usable_typefaces(options.typefaces))
    scenes = SceneOptions(
        size=real.size,
        plate_px=(max(options.plate_px[0] * ratio, 3.5), options.plate_px[1] * ratio),
        kinds=kinds,
        severity=options.severity,
        over_known=options.over_known,
    )
    return SceneSamples(real, backgrounds, options, scenes)


def _objects(
    truth: Sequence[Truth], size: tuple[int, int], slack: tuple[float, float, float, float], dice: Dice
) -> Objects:
    """Plates of ours get their slack; those of photographs stay as they were labelled."""
    xyxy = np.array([each.xyxy for each in truth], np.float32).reshape(-1, 4)
    points = np.zeros((len(truth), 4, 3), np.float32)
    points[..., 2] = _UNKNOWN
    for row, each in enumerate(truth):
        if each.corners:
            points[row, :, :2] = each.corners
            inside = (points[row, :, :2] >= 0) & (points[row, :, :2] <= np.array(size, np.float32))
            points[row, :, 2] = inside.all(axis=1)
        if each.name == "plate":
            xyxy[row] += _reach(each, slack, dice)
    ignored = np.array([each.name == _IGNORED or each.visible_ratio < 0.4 for each in truth], np.bool_)
    return Objects(clip(xyxy, *size), np.zeros(len(truth), np.int64), ignored, points)


def _reach(each: Truth, slack: tuple[float, float, float, float], dice: Dice) -> npt.NDArray[np.float32]:
    """How far the edges of a box go outwards, [4]."""
    left, top, right, bottom = each.xyxy
    sides = np.array([right - left, bottom - top] * 2, np.float32)
    vary = np.exp(dice.random.standard_normal(4) * 0.35)
    return np.asarray(np.array([-1, -1, 1, 1]) * np.array(slack) * vary * sides, np.float32)


class Grounds(Sequence[Background]):
    """Photographs with their plates, read when they are asked for, and some streets among them."""

    def __init__(self, data_set: DataSet, streets: int, street_share: float) -> None:
        self._data_set = data_set
        self._photographs = len(data_set.entries)
        self._streets: dict[int, Background] = {}
        self._different = streets
        self._many = round(self._photographs * street_share / (1 - street_share)) if streets else 0

    def __len__(self) -> int:
        return self._photographs + self._many

    @overload
    def __getitem__(self, index: int) -> Background: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Background]: ...
    def __getitem__(self, index: int | slice) -> Background | Sequence[Background]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index < self._photographs:
            sample = self._data_set.read(index)
            bgr = np.asarray(cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2BGR), np.uint8)
            return Background(bgr, _truth(sample.objects))
        number = index % self._different
        if number not in self._streets:
            self._streets[number] = rendered_street(_STREET_SEED + number, _STREET_S)
        return self._streets[number]


def _truth(objects: Objects) -> tuple[Truth, ...]:
    found = []
    for row, (left, top, right, bottom) in enumerate(objects.xyxy.astype(float).tolist()):
        points = None if objects.keypoints is None else objects.keypoints[row]
        known = points is not None and bool((points[:, 2] > 0).all())
        corners = tuple((float(x), float(y)) for x, y in points[:, :2]) if points is not None and known else ()
        name = _IGNORED if objects.ignored[row] else _LABELLED
        # a plate that is ignored counts as hidden, so that none of ours is laid over it
        ratio = 0.0 if objects.ignored[row] else 1.0
        found.append(Truth(row, name, (left, top, right, bottom), corners, visible_ratio=ratio))
    return tuple(found)


def with_corners(data_set: DataSet, options: RenderedPlates) -> Listed:
    """The labelled pictures with the corners that are known, and with plates that are to be ignored."""
    corners, ignored = _by_file(options.corners), _by_file(options.ignored)
    entries = []
    known = 0
    for entry in data_set.entries:
        objects = entry.objects
        points = np.zeros((len(objects), 4, 3), np.float32)
        points[..., 2] = _UNKNOWN
        for row in corners.get(entry.path.name, ()):
            here = np.abs(objects.xyxy - _numbers(row, "x1", "y1", "x2", "y2")).max(axis=1, initial=0.0) < 0.02
            outline = _numbers(row, "tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y").reshape(4, 2)
            points[here, :, :2], points[here, :, 2] = outline, 1.0
            known += int(here.sum())
        entries.append(replace(entry, objects=_and_ignored(replace(objects, keypoints=points), ignored, entry.path)))
    if options.corners is not None and not known:
        raise ConfigError("no corner is of any of these pictures", where=options.corners, expected=data_set.name)
    return Listed(data_set.name, data_set.classes, tuple(entries))


def _and_ignored(objects: Objects, ignored: Mapping[str, Sequence[dict[str, str]]], path: Path) -> Objects:
    rows = [_numbers(row, "x1", "y1", "x2", "y2") for row in ignored.get(path.name, ())]
    if not rows:
        return objects
    points = np.zeros((len(rows), 4, 3), np.float32)
    points[..., 2] = _UNKNOWN
    assert objects.keypoints is not None
    return Objects(
        np.concatenate([objects.xyxy, np.array(rows, np.float32)]),
        np.concatenate([objects.class_id, np.zeros(len(rows), np.int64)]),
        np.concatenate([objects.ignored, np.ones(len(rows), np.bool_)]),
        np.concatenate([objects.keypoints, points]),
    )


def _numbers(row: Mapping[str, str], *names: str) -> npt.NDArray[np.float32]:
    return np.array([float(row[name]) for name in names], np.float32)


def _by_file(path: Path | None) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    if path is not None:
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    found[row["file"]].append(row)
        except OSError as error:
            raise DataError("labels cannot be read", where=path, got=error.strerror) from error
    return found
