"""A model whose boxes are merged where they agree, instead of all but the best being suppressed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamdet.datasets.pictures import Rgb
from streamdet.errors import ConfigError
from streamdet.evaluation.predictors import TorchPredictor
from streamdet.frames import Detections
from streamdet.manifest import Nms
from streamdet.models.merging import merge

_LEAST = 0.1  # windows that are less sure have no vote
_OVERLAP = 0.4


class MergingPredictor:
    """The candidates of a model without suppression, merged. A sum s becomes the score s / (1 + s), below 1 again."""

    def __init__(self, model: TorchPredictor) -> None:
        self._model = model
        self.label = f"{model.label}, merged"

    def __call__(self, rgb: Rgb) -> Detections:
        found = self._model(rgb)
        found = found.rows(found.score >= _LEAST)
        xyxy, score, class_id = merge(found.xyxy, found.score, found.class_id, _OVERLAP)
        return replace(found, xyxy=xyxy, score=score / (1 + score), class_id=class_id, keypoints=None, masks=None)

    def close(self) -> None:
        """Close the model."""
        self._model.close()


def open_merging(name: str, backend: str = "auto", precision: str | None = None) -> MergingPredictor:
    """The best weights of a run; an engine has suppressed already."""
    from streamdet.models.weights import WEIGHTS, load_trained

    path = Path(name).expanduser()
    if path.suffix != ".pt" and not (path / WEIGHTS).is_file():
        raise ConfigError("only the weights of a training can be merged: an engine has suppressed already", got=name)
    if backend != "auto" or precision is not None:
        raise ConfigError("a training's weights run in torch", where=path, got=f"{backend} {precision or ''}".strip())
    trained = load_trained(path)
    nms = Nms(floor=_LEAST, end_to_end=True)
    return MergingPredictor(TorchPredictor(trained.model, trained.size, trained.classes, nms=nms))
