"""Two things that can be scored: an engine, and a model in training seen through the same preprocessing and tail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from streamdet.boxes import Placement, clip
from streamdet.datasets.pictures import Rgb
from streamdet.errors import ConfigError, MissingExtra
from streamdet.frames import Detections
from streamdet.infer.preprocess import Letterbox
from streamdet.infer.shelf import Engine, Suite
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES, Arrays, Tail
from streamdet.manifest import EngineInput, Fit, Nms
from streamdet.masks import recut
from streamdet.models.classic.saved import MODEL, load_classic
from streamdet.picture import Picture
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.contract import Proposer
from streamdet.proposals.on_input import regions_on
from streamdet.proposals.shelved import Kept
from streamdet.suites.detector import open_detector

if TYPE_CHECKING:
    from streamdet.models.contract import AnyDetector


class Scorable(Protocol):
    """A predictor that says what it is, and can be closed."""

    label: str

    def __call__(self, rgb: Rgb) -> Detections: ...

    def close(self) -> None: ...


def open_predictor(name: str, backend: str = "auto", precision: str | None = None) -> Scorable:
    """An engine by name or folder, or the weights of a training by the run's folder or their file."""
    path = Path(name).expanduser()
    if (path / MODEL).exists() and not (path / "manifest.json").exists():
        return load_classic(path / MODEL)
    if path.suffix != ".pt" and not (path.is_dir() and list(path.glob("*.pt"))):
        return EnginePredictor(name, backend, precision)
    if backend != "auto" or precision is not None:
        raise ConfigError("a training's weights run in torch", where=path, got=f"{backend} {precision or ''}".strip())
    return trained_predictor(path)


def trained_predictor(path: Path) -> TorchPredictor:
    """The best weights of a run, at the size and suppression that they were chosen with."""
    from streamdet.models.weights import load_trained

    trained = load_trained(path)
    nms = Nms(iou=trained.nms_iou, end_to_end=bool(getattr(trained.model, "end_to_end", False)))
    return TorchPredictor(trained.model, trained.size, trained.classes, nms=nms)


class EnginePredictor:
    """An engine on a backend, or a suite, giving all that its graph gives: everything above its floor."""

    def __init__(
        self, engine: str | Path | Engine | Suite, backend: str = "auto", precision: str | None = None
    ) -> None:
        self.detector = open_detector(engine, backend, precision)
        self.label = f"{self.detector.name} on {self.detector.backend_name} {self.detector.precision}"

    def __call__(self, rgb: Rgb) -> Detections:
        return self.detector(rgb, score=0.0)

    def close(self) -> None:
        """Close the backend."""
        self.detector.close()

    def __enter__(self) -> EnginePredictor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class TorchPredictor:
    """A torch model, letterboxed and suppressed by the runtime's own code, so that its engine scores the same.

    The model stays the caller's: it is put into evaluation mode for each picture and left in the mode it had.
    """

    def __init__(
        self,
        model: AnyDetector,
        size: tuple[int, int],
        classes: Sequence[str] = (),
        *,
        nms: Nms | None = None,
        fit: Fit | None = None,
    ) -> None:
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingExtra("torch", "train", "running a model in training") from error
        from streamdet.models.contract import RegionModel

        self.label = f"{type(model).__name__} in torch {next(model.parameters()).device.type}"
        self._torch = torch
        self._model = model
        self._names = tuple(classes)
        width, height = size
        self._letterbox = Letterbox(EngineInput(name="pixels", size=size, fit=fit or Fit()))
        self._pixels = np.zeros((1, 3, height, width), np.uint8)
        self._tail = Tail(nms or Nms(), 1)
        self._regions: Proposer | None = None
        if isinstance(model, RegionModel):
            self._regions, self._most = Kept(open_proposer(model.proposals)), model.regions

    def __call__(self, rgb: Rgb) -> Detections:
        placement = self._letterbox.write(Picture((np.ascontiguousarray(rgb),), "rgb24"), self._pixels[0])
        arrays = self._tail.run(self._cut(placement))
        n = int(arrays["count"][0])
        xyxy = placement.to_frame(arrays["xyxy"][0, :n])
        inside = clip(xyxy, *placement.frame_size)
        return Detections(
            inside,
            arrays["score"][0, :n].copy(),
            arrays["class_id"][0, :n].copy(),
            self._names,
            placement.points_to_frame(arrays["keypoints"][0, :n]) if "keypoints" in arrays else None,
            recut(arrays["masks"][0, :n], xyxy, inside) if "masks" in arrays else None,
            int(arrays["truncated"][0]),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _cut(self, placement: Placement) -> Arrays:
        torch, model = self._torch, self._model
        device = next(model.parameters()).device
        shown = [torch.from_numpy(self._pixels).to(device).float() / 255]
        if self._regions is not None:
            # At least one, if it be of nothing: networks do not like to be asked nothing.
            found = regions_on(self._pixels[0], placement, self._regions, self._most)
            shown.append(torch.from_numpy(found if len(found) else np.zeros((1, 4), np.float32))[None].to(device))
        modes = {module: module.training for module in model.modules()}  # some may be frozen
        model.eval()
        try:
            with torch.no_grad():
                cut = model(*shown)
        finally:
            for module, mode in modes.items():
                module.training = mode
        named = {CUT_BOXES: cut.xyxy, CUT_SCORES: cut.scores}
        extras = {name: getattr(cut, meaning) for meaning, name in CUT_EXTRAS.items()}
        named |= {name: tensor for name, tensor in extras.items() if tensor is not None}
        return {name: np.ascontiguousarray(tensor.float().cpu().numpy()) for name, tensor in named.items()}
