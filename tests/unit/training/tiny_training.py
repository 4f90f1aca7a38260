"""Trainings of seconds: pictures drawn on the spot, a model of a few hundred numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.datasets.samples import Objects, Sample
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.weights import write_whole
from streamdet.training.checkpoint import Progress
from streamdet.training.distributed import CPU, Ranks
from streamdet.training.hardware import Hardware
from streamdet.training.options import TrainOptions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.trainer import Task, train

PICTURES = 12


class Squares:
    """Samples of 32 × 32: one bright square each, where the seed wants it."""

    def sample(self, index: int, seed: int) -> Sample:
        random = np.random.default_rng([seed, index])
        left, top = (int(edge) for edge in random.integers(0, 20, 2))
        rgb = random.integers(0, 60, (32, 32, 3), np.uint8)
        rgb[top : top + 12, left : left + 12] = 220
        xyxy = np.array([[left, top, left + 12, top + 12]], np.float32)
        return Sample(f"{index:02}", rgb, Objects(xyxy, np.zeros(1, np.int64), np.zeros(1, np.bool_)))


class Centre(DetectionModel):
    """Says where the one square lies. Its loss is a mean over pictures; `norm` and `drop` make it harder to resume."""

    stride = 32
    classes = 1

    def __init__(self, *, norm: bool = True, drop: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=not norm),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, 1),
            nn.ReLU(),
            nn.Dropout(drop),
            nn.Flatten(),
        )
        self.answer = nn.Linear(8 * 8 * 8, 4)

    def forward(self, pixels: Tensor) -> Cut:
        xyxy = self.answer(self.features(pixels)).float() * 32
        return Cut(xyxy[:, None].clamp(0, 32), torch.ones(len(pixels), 1, 1))

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        error = (self.answer(self.features(pixels)).float() - targets.xyxy[:, 0] / 32).abs()
        return {"place": error[:, :2].mean(), "extent": error[:, 2:].mean()}


def options_with(**changes: Any) -> TrainOptions:
    """Small and quick, without a data set of files."""
    values: dict[str, Any] = {
        "data": {"train": {"path": "none"}},
        "model": {"family": "yolo", "size": "tiny"},
        "size": 32,
        "pictures": 30 * 4,
        "batch": 4,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "workers": 0,
        "optimiser": {"rate": 0.05},
        "evaluation": {"times": 3},
    }
    return TrainOptions.model_validate(values | changes)


def falling_error(model: DetectionModel) -> Mapping[str, float]:
    """A figure that is better the nearer the boxes are."""
    samples = [Squares().sample(index, 10_000) for index in range(8)]
    pixels = torch.stack([torch.from_numpy(sample.rgb).permute(2, 0, 1).float() / 255 for sample in samples])
    wanted = torch.stack([torch.from_numpy(sample.objects.xyxy[0]) for sample in samples])
    with torch.no_grad():
        error = (model(pixels).xyxy[:, 0] - wanted).abs().mean()
    return {"map50_95": 1 / (1 + float(error))}


def train_here(
    folder: Path,
    options: TrainOptions | None = None,
    *,
    make: Callable[[], DetectionModel] = Centre,
    samples: Any = None,
    judge: Callable[[DetectionModel], Mapping[str, float]] = falling_error,
    keep: Callable[[DetectionModel, Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    ranks: Ranks | None = None,
    workers: int = 0,
) -> tuple[Progress, DetectionModel]:
    """Train, or go on with what lies in the folder."""
    options = options or options_with()
    torch.manual_seed(options.seed)
    model = make()
    run = RunFolder(folder)
    folder.mkdir(exist_ok=True)

    def put_away(best: DetectionModel, progress: Progress) -> None:
        write_whole(run.best, lambda file: torch.save(best.state_dict(), file))

    task = Task(model, PICTURES, 1, lambda stretch: samples or Squares(), judge, keep or put_away, "squares")
    ranks = ranks or Ranks(device=CPU)
    hardware = Hardware(ranks.device, torch.float32, workers, 1)
    with Reporter(quiet=True) as reporter:
        return train(task, options, run, hardware, ranks, reporter, stop), model


def same(one: Any, other: Any) -> bool:
    """Bit for bit, however deep."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)
