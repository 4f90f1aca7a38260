"""The last steps of an R-CNN: SVMs that have seen their own mistakes, and lines from crops to boxes.

They begin when the network has learnt, with its best weights, and take up where they were when they are begun again:
what the network said of a picture is on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from streamdet.boxes import iou
from streamdet.datasets.samples import DataSet, Objects
from streamdet.errors import TrainingFailed
from streamdet.manifest import sha256_of
from streamdet.models.box_coder import encode
from streamdet.models.classic.linear_svm import Plane
from streamdet.models.classic.mining import APART, EASY, MiningOptions, fitted
from streamdet.models.classic.ridge import Lines, Ridge
from streamdet.models.rcnn import FittingOptions, Rcnn
from streamdet.models.weights import load_trained, save_trained
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.shelved import Kept
from streamdet.training.crop_features import CropFeatures, CropReader, FeatureShelf
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder

Floats = npt.NDArray[np.float32]

_LENGTH = 20.0  # of a crop's features on average, as in the paper: costs and damping are meant for such
_FIRST = 30  # background of a picture that the SVMs begin with
_NOTHING = -10.0  # margin of a class that there is nothing to learn of


def fit_last_steps(
    folder: RunFolder, data_set: DataSet, reporter: Reporter, stop: Callable[[], bool] = lambda: False
) -> None:
    """Fit what stands behind the network, and put the best weights back with it; nothing where that is done."""
    trained = load_trained(folder.best)
    model = trained.model
    if not isinstance(model, Rcnn) or bool(model.fitted):
        return
    options = model.options.fitting
    reader = CropReader(model, data_set, trained.size, Kept(open_proposer(model.proposals)), options.near)
    shelf = FeatureShelf(folder.path / f"features-{sha256_of(folder.best)[:12]}", options.features_mb, reader)
    pictures = _Pictures(data_set, shelf, stop)
    reporter.say(f"R-CNN: {len(data_set.entries)} pictures, crop by crop, at most {options.features_mb} MB of features")
    dense_scale, pooled_scale = pictures.scales()
    planes = _planes(pictures, options, dense_scale, reporter)
    reporter.say("R-CNN: from crops to boxes")
    lines = [_lines(pictures, class_id, options.damping, pooled_scale) for class_id in range(model.classes)]
    weight = np.stack([plane.weight for plane in planes]) * dense_scale
    bias = np.array([plane.bias for plane in planes], np.float32)
    model.fit(
        (torch.from_numpy(weight), torch.from_numpy(bias)),
        (
            torch.from_numpy(np.concatenate([each.weight for each in lines]) * pooled_scale),
            torch.from_numpy(np.concatenate([each.bias for each in lines])),
        ),
    )
    save_trained(folder.best, replace(trained, model=model))
    shelf.clear()


@dataclass(frozen=True)
class _Pictures:
    """The pictures that are learnt from, with what the network says of their crops."""

    data_set: DataSet
    shelf: FeatureShelf
    stop: Callable[[], bool]

    def __len__(self) -> int:
        return len(self.data_set.entries)

    def at(self, index: int) -> tuple[Objects, CropFeatures]:
        """One of them; where it is asked to stop, that ends the way through."""
        if self.stop():
            raise TrainingFailed(
                "asked to stop before the SVMs and boxes were fitted",
                hint="streamdet train --resume goes on from here",
            )
        return self.data_set.entries[index].objects, self.shelf(index)

    def scales(self) -> tuple[np.float32, np.float32]:
        """What brings the features of objects to their usual length: of the dense layers, and of the pooled cells."""
        dense, pooled = [0.0], [0.0]
        for index in range(len(self)):
            objects, crops = self.at(index)
            dense += np.linalg.norm(crops.dense[len(crops.dense) - len(objects) :].astype(np.float32), axis=1).tolist()
            pooled += np.linalg.norm(crops.pooled.astype(np.float32), axis=1).tolist()
        return tuple(np.float32(_LENGTH / max(sum(each) / max(len(each) - 1, 1), 1e-6)) for each in (dense, pooled))  # type: ignore[return-value]


def _planes(pictures: _Pictures, options: FittingOptions, scale: np.float32, reporter: Reporter) -> list[Plane]:
    """One plane per class, fitted anew after each round of mistakes."""
    asked = MiningOptions(rounds=options.rounds, cost=options.cost, per_picture=100)
    chance = np.random.default_rng(asked.seed)
    classes = pictures.data_set.classes
    positive: list[list[Floats]] = [[] for _ in classes]
    negative: list[list[Floats]] = [[] for _ in classes]
    for index in range(len(pictures)):
        objects, crops = pictures.at(index)
        points = crops.dense.astype(np.float32) * scale
        for class_id in range(len(classes)):
            mine = ~objects.ignored & (objects.class_id == class_id)
            positive[class_id].append(points[len(points) - len(objects) :][mine])
            others = _background(objects, crops, class_id)
            negative[class_id].append(points[chance.permutation(others)[:_FIRST]])
    planes = [_plane(*both, asked) for both in zip(positive, negative, strict=True)]
    for number in range(asked.rounds):
        negative = [_hard(found, plane) for found, plane in zip(negative, planes, strict=True)]
        for index in range(len(pictures)):
            objects, crops = pictures.at(index)
            points = crops.dense.astype(np.float32) * scale
            for class_id, plane in enumerate(planes):
                elsewhere = points[_background(objects, crops, class_id)]
                margin = plane(elsewhere)
                worst = np.argsort(-margin)[: asked.per_picture]
                negative[class_id].append(elsewhere[worst[margin[worst] > -1]])
        planes = [_plane(*both, asked) for both in zip(positive, negative, strict=True)]
        counts = ", ".join(f"{sum(map(len, found))} of {name}" for name, found in zip(classes, negative, strict=True))
        reporter.say(f"R-CNN: round {number + 1}: background that is not easy: {counts}")
    return planes


def _plane(positive: list[Floats], negative: list[Floats], asked: MiningOptions) -> Plane:
    wanted, others = np.concatenate(positive), np.concatenate(negative)[-asked.most :]
    if not len(wanted):
        return Plane(np.zeros(wanted.shape[1], np.float32), _NOTHING)
    return fitted(wanted, others, asked)


def _hard(negative: list[Floats], plane: Plane) -> list[Floats]:
    """Without what no longer holds the plane."""
    points = np.concatenate(negative)
    return [points[plane(points) > EASY]]


def _background(objects: Objects, crops: CropFeatures, class_id: int) -> npt.NDArray[np.intp]:
    """Rows of crops without anything of a class, nor of what is ignored."""
    concerned = (objects.class_id == class_id) | objects.ignored
    return np.flatnonzero(iou(crops.xyxy, crops.objects[concerned]).max(axis=1, initial=0) < APART)


def _lines(pictures: _Pictures, class_id: int, damping: float, scale: np.float32) -> Lines:
    """From what the last convolution says of a crop to where the object in it lies, for one class."""
    sums: Ridge | None = None
    for index in range(len(pictures)):
        objects, crops = pictures.at(index)
        sums = sums or Ridge(crops.pooled.shape[1], 4)
        real = np.flatnonzero(~objects.ignored)
        overlap = iou(crops.xyxy[crops.near], crops.objects[real])
        if not overlap.size:
            continue
        owner = real[overlap.argmax(axis=1)]
        mine = objects.class_id[owner] == class_id
        wanted = encode(
            torch.from_numpy(crops.objects[owner[mine]]), torch.from_numpy(crops.xyxy[crops.near[mine]])
        ).numpy()
        sums.add(crops.pooled[mine].astype(np.float32) * scale, wanted)
    assert sums is not None
    return sums.lines(damping)
