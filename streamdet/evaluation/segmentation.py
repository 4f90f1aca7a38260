"""How well pixels are labelled: the overlap of what is said with what is there, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streamdet.datasets.areas import labels_of
from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError
from streamdet.evaluation.answers import Predictor, Progress
from streamdet.evaluation.predictors import EnginePredictor, Scorable
from streamdet.frames import Detections
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.masks import UNKNOWN, ClassMap, Mask
from streamdet.picture import Picture

if TYPE_CHECKING:
    from streamdet.models.segmentation.contract import SegmentationModel

NOTHING = "nothing"

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SegmentScores:
    """Shares in 0..1; NaN of a class that is neither there nor said to be."""

    data: str
    classes: tuple[str, ...]
    pictures: int
    confusion: Counts = field(repr=False)  # [1 + C, 1 + C], pixels: what it is × what it was taken for, nothing first

    @property
    def overlap(self) -> npt.NDArray[np.float64]:
        """[1 + C]: pixels that are and are said to be of a class, by those that are or are said to be."""
        right = self.confusion.diagonal().astype(np.float64)
        either = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - right
        return np.asarray(np.divide(right, either, out=np.full(len(right), np.nan), where=either > 0))

    @property
    def mean_overlap(self) -> float:
        """Over all classes that there are, nothing among them, as the papers count it."""
        told = self.overlap[~np.isnan(self.overlap)]
        return float(told.mean()) if told.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Of all pixels that are known."""
        total = int(self.confusion.sum())
        return float(self.confusion.trace() / total) if total else float("nan")

    def figures(self) -> dict[str, float]:
        """The few numbers that stand for the whole: for tables, cards and logs."""
        names = (NOTHING, *self.classes)
        return {
            "mean_iou": self.mean_overlap,
            "pixel_accuracy": self.pixel_accuracy,
            **{f"iou_{name}": float(value) for name, value in zip(names, self.overlap, strict=True)},
        }

    def as_json(self) -> dict[str, Any]:
        """All figures, as JSON takes them: null stands for NaN."""
        return {
            "data": self.data,
            "pictures": self.pictures,
            **{name: None if np.isnan(value) else round(value, 6) for name, value in self.figures().items()},
            "confusion": {"labels": [NOTHING, *self.classes], "pixels": self.confusion.tolist()},
        }


def score_segments(predictor: Predictor, data_set: DataSet, progress: Progress | None = None) -> SegmentScores:
    """Show a segmenter every picture of a data set and count pixels, each picture at its own size.

    What is in a picture is what the outlines of its objects hold; objects that are ignored are not counted.
    """
    classes = 1 + len(data_set.classes)
    confusion = np.zeros((classes, classes), np.int64)
    total = len(data_set.entries)
    for index in range(total):
        sample = data_set.read(index)
        size = (sample.rgb.shape[1], sample.rgb.shape[0])
        said, there = _said(predictor(sample.rgb), data_set, size), labels_of(sample.objects, size)
        known = there != UNKNOWN
        pairs = there[known].astype(np.int64) * classes + said[known]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        if progress is not None:
            progress(index + 1, total)
    if not total:
        raise ConfigError("the data set has no pictures", where=data_set.name)
    return SegmentScores(data_set.name, data_set.classes, total, confusion)


def _said(found: Detections, data_set: DataSet, size: tuple[int, int]) -> Mask:
    """What is said of each pixel, in the data set's classes; those that it does not label are nothing."""
    if found.class_map is None:
        raise ConfigError("the engine finds objects, but does not label pixels", expected="an engine of kind segmenter")
    labels, names = found.class_map.at(size), found.class_map.names
    unknown = [name for name in data_set.classes if name not in names]
    if unknown:
        raise ConfigError(
            f"the segmenter does not know the data set's class {unknown[0]!r}",
            where=data_set.name,
            expected=", ".join(data_set.classes),
            got=", ".join(names[:20]),
        )
    place = {name: number for number, name in enumerate(data_set.classes, start=1)}
    return np.array([0, *(place.get(name, 0) for name in names)], np.uint8)[labels]


class TorchSegmenter:
    """A model in training, seen through the preprocessing of engines; callable on pictures [H, W, 3], red first."""

    def __init__(self, model: SegmentationModel, size: tuple[int, int], classes: Sequence[str]) -> None:
        self.label = f"{type(model).__name__} in torch {next(model.parameters()).device.type}"
        self._model = model
        self._names = tuple(classes)
        self._letterbox = Letterbox(EngineInput(name="pixels", size=size))
        self._pixels = np.zeros((1, 3, size[1], size[0]), np.uint8)

    def __call__(self, rgb: Rgb) -> Detections:
        import torch

        placement = self._letterbox.write(Picture((np.ascontiguousarray(rgb),), "rgb24"), self._pixels[0])
        model = self._model
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                logits = model(torch.from_numpy(self._pixels).to(device).float() / 255)
        finally:
            model.train(training)
        labels = logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        found = Detections.empty(self._names)
        found.class_map = ClassMap.of_input(labels, self._names, placement)
        return found

    def close(self) -> None:
        """Nothing is held."""


def open_segmenter(name: str, backend: str = "auto", precision: str | None = None) -> Scorable:
    """An engine by name or folder, or the weights of a training by the run's folder or their file."""
    path = Path(name).expanduser()
    if path.suffix != ".pt" and not (path.is_dir() and list(path.glob("*.pt"))):
        return EnginePredictor(name, backend, precision)
    if backend != "auto" or precision is not None:
        raise ConfigError("a training's weights run in torch", where=path, got=f"{backend} {precision or ''}".strip())
    from streamdet.models.segmentation.catalogue import load_segmenter

    trained = load_segmenter(path)
    return TorchSegmenter(trained.model, trained.size, trained.classes)
