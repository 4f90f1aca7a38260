"""What a detector says of a data set's pictures, beside what is known of them: all scores are made of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from streamdet.datasets.pictures import Rgb
from streamdet.datasets.samples import DataSet, Objects, Sample
from streamdet.errors import ConfigError
from streamdet.frames import Detections
from streamdet.masks import Runs, runs_pasted

# A picture [H, W, 3], red first → everything found in it, however unsure, best first, in its pixels.
Predictor = Callable[[Rgb], Detections]
# (pictures done, pictures in all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture: what is there and what was found; both count classes as the data set does."""

    key: str
    size: tuple[int, int]  # width, height
    truth: Objects
    found: Detections
    found_masks: tuple[Runs, ...] | None = None  # of what was found, pixels of the picture; of a detector with masks


def ask(predictor: Predictor, data_set: DataSet, progress: Progress | None = None) -> tuple[Answer, ...]:
    """Show every picture once, in order."""
    answers = []
    total = len(data_set.entries)
    for index in range(total):
        sample = data_set.read(index)
        found = _in_classes_of(data_set, predictor(sample.rgb))
        height, width = sample.rgb.shape[:2]
        answers.append(_answer(sample, (width, height), found))
        if progress is not None:
            progress(index + 1, total)
    if not answers:
        raise ConfigError("the data set has no pictures", where=data_set.name)
    return tuple(answers)


def _answer(sample: Sample, size: tuple[int, int], found: Detections) -> Answer:
    """Masks are kept as runs: they are small, and answers to many pictures are held together."""
    if found.masks is None:
        return Answer(sample.key, size, sample.objects, found)
    runs = tuple(runs_pasted(mask, xyxy, size) for mask, xyxy in zip(found.masks, found.xyxy.tolist(), strict=True))
    return Answer(sample.key, size, sample.objects, replace(found, masks=None), runs)


def _in_classes_of(data_set: DataSet, found: Detections) -> Detections:
    """Numbers of the detector's classes → the data set's, by name; what the data set does not label is left out."""
    classes = data_set.classes
    if found.names and found.names != classes:
        unknown = [name for name in classes if name not in found.names]
        if unknown:
            raise ConfigError(
                f"the detector does not know the data set's class {unknown[0]!r}",
                where=data_set.name,
                expected=", ".join(classes),
                got=", ".join(found.names[:20]),
            )
        place = {name: number for number, name in enumerate(classes)}
        table = np.array([place.get(name, -1) for name in found.names], np.int32)
        found = replace(found, class_id=table[found.class_id], names=classes)
    labelled = (found.class_id >= 0) & (found.class_id < len(classes))
    return found if labelled.all() else found.rows(labelled)
