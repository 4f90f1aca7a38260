"""Learning a few pictures by heart, and how well that went."""

from __future__ import annotations

import torch
from torch import nn

from streamdet.datasets.samples import Objects
from streamdet.evaluation.answers import Answer
from streamdet.evaluation.coco import CocoScores, coco_scores
from streamdet.frames import Detections
from streamdet.infer.tail import CUT_BOXES, CUT_SCORES, Tail
from streamdet.manifest import Nms
from streamdet.models.contract import DetectionModel, Targets


def learn(model: DetectionModel, pixels: torch.Tensor, targets: Targets, steps: int, rate: float = 5e-3) -> None:
    """All pictures at every step, through the model's phases."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.1  # the running statistics have only a few steps
    for phase in model.phases():
        model.enter(phase)
        model.train()
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
        count = round(steps * phase.share)
        for step in range(count):
            for group in optimiser.param_groups:
                group["lr"] = rate * (1 - step / count)
            optimiser.zero_grad()
            torch.stack(list(model.losses(pixels, targets).values())).sum().backward()
            optimiser.step()


def scores(model: DetectionModel, pixels: torch.Tensor, targets: Targets, classes: tuple[str, ...]) -> CocoScores:
    """COCO's, after the runtime's own suppression."""
    with torch.no_grad():
        cut = model.eval()(pixels)
    tail = Tail(Nms(candidates=300, max_detections=50, iou=0.5, floor=0.01), len(pixels))
    found = tail.run({CUT_BOXES: cut.xyxy.contiguous().numpy(), CUT_SCORES: cut.scores.contiguous().numpy()})
    height, width = pixels.shape[-2:]
    answers = []
    for picture in range(len(pixels)):
        real, rows = targets.class_id[picture] >= 0, slice(found["count"][picture])
        truth = Objects(*(each[picture][real].numpy() for each in (targets.xyxy, targets.class_id, targets.ignored)))
        said = Detections(*(found[meaning][picture, rows].copy() for meaning in ("xyxy", "score", "class_id")), classes)
        answers.append(Answer(str(picture), (width, height), truth, said))
    return coco_scores(answers, classes)
