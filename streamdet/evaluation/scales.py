"""Testing at several scales: the same model looks at a picture in several sizes, and suppression chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamdet.datasets.pictures import Rgb
from streamdet.errors import ConfigError
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.frames import Detections
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES, Tail
from streamdet.manifest import Nms

if TYPE_CHECKING:
    from streamdet.models.contract import AnyDetector

_SMALLEST, _LARGEST = 0.25, 4.0


def scales_of(text: str) -> tuple[float, ...]:
    """`0.75,1,1.5` → the numbers."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(_SMALLEST <= scale <= _LARGEST for scale in scales):
        raise ConfigError(
            "these are no scales", expected=f"numbers from {_SMALLEST} to {_LARGEST}, such as 0.75,1,1.5", got=text
        )
    return scales


def open_at_scales(
    name: str, scales: Sequence[float], backend: str = "auto", precision: str | None = None
) -> MultiScalePredictor:
    """The best weights of a run, at multiples of the size that they were trained at."""
    from streamdet.models.weights import WEIGHTS, load_trained

    path = Path(name).expanduser()
    if path.suffix != ".pt" and not (path / WEIGHTS).is_file():
        raise ConfigError(
            "only the weights of a training can be tested at several scales: an engine takes pictures of one size",
            got=name,
        )
    if backend != "auto" or precision is not None:
        raise ConfigError("a training's weights run in torch", where=path, got=f"{backend} {precision or ''}".strip())
    trained = load_trained(path)
    nms = Nms(iou=trained.nms_iou, end_to_end=bool(getattr(trained.model, "end_to_end", False)))
    return MultiScalePredictor(trained.model, trained.size, scales, trained.classes, nms=nms)


class MultiScalePredictor:
    """A torch model that is asked once per scale; what it says twice is said once, by the surer of the two."""

    def __init__(
        self,
        model: AnyDetector,
        size: tuple[int, int],
        scales: Sequence[float],
        classes: Sequence[str] = (),
        *,
        nms: Nms | None = None,
    ) -> None:
        nms = nms or Nms()
        stride = model.stride
        # One after the other, without those that are rounded to the same.
        sizes = dict.fromkeys(
            (
                max(stride, round(size[0] * scale / stride) * stride),
                max(stride, round(size[1] * scale / stride) * stride),
            )
            for scale in scales
        )
        self._looks = [TorchPredictor(model, each, classes, nms=nms) for each in sizes]
        self.label = f"{self._looks[0].label} at " + ", ".join(f"{width}x{height}" for width, height in sizes)
        self._classes = model.classes
        room = nms.max_detections * len(sizes)
        self._tail = Tail(nms.model_copy(update={"candidates": room, "end_to_end": False}), 1)

    def __call__(self, rgb: Rgb) -> Detections:
        return merged([look(rgb) for look in self._looks], self._classes, self._tail)

    def close(self) -> None:
        """Nothing is held."""


def merged(found: Sequence[Detections], classes: int, tail: Tail) -> Detections:
    """What several looks at one picture found, suppressed as if one had found it all."""
    rows = sum(len(one) for one in found)
    if len(found) == 1 or rows == 0:
        return found[0]
    scores = np.zeros((1, rows, classes), np.float32)
    class_id = np.concatenate([one.class_id for one in found])
    scores[0, np.arange(rows), class_id] = np.concatenate([one.score for one in found])
    cut = {CUT_BOXES: np.concatenate([one.xyxy for one in found])[None], CUT_SCORES: scores}
    for meaning, name in CUT_EXTRAS.items():
        extras = [getattr(one, meaning) for one in found if len(one)]
        if all(extra is not None for extra in extras):
            cut[name] = np.concatenate(extras)[None]
    arrays = tail.run(cut)
    kept = {meaning: array[0, : arrays["count"][0]].copy() for meaning, array in arrays.items() if array.ndim > 1}
    return Detections(
        kept["xyxy"],
        kept["score"],
        kept["class_id"],
        found[0].names,
        kept.get("keypoints"),
        kept.get("masks"),
        truncated=sum(one.truncated for one in found),
    )
