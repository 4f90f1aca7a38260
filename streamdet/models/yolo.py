"""YOLO: one look, no anchors. A plain ELAN backbone, a path aggregation neck, a head per level.

Every cell of every level answers with its classes and with its distances to the four edges of an object, as a softplus
in strides. It learns from the task-aligned assigner: the score wanted of a positive cell is how well its box fits.

    pixels [B, 3, H, W] → backbone → neck → head → answers [B, N, …], N = Σ H·W / stride²
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import geometry, losses
from streamdet.models.assignment import Alignment, Assignment, Points, assign
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.blocks import SIZES, Activation, ConvNormAct, ElanBackbone, PathAggregation
from streamdet.models.contract import Cut, DetectionModel, Targets

MARGIN = 0.5  # strides: an edge may lie this far behind its point, or no cell could answer for less than itself
START_CELLS = 3.0  # strides: how far every edge is before anything is learnt
START_OBJECTS = 5.0  # and how many objects lie on 640² pixels: a higher score teaches only to be quiet


class YoloOptions(BaseModel):
    """How the network is built and what it minimises."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal["tiny", "femto", "pico", "n", "s"] = Field("n", description="Width and depth; tiny is for tests.")
    backbone: BackboneName | None = Field(None, description="Another network that sees; None: the size's own.")
    activation: Activation = Field("relu", description="relu survives eight bits and is fast in bf16; silu does not.")
    fine_level: bool = Field(False, description="Look at every 4th pixel too: for objects of some ten pixels or less.")
    one_to_one: bool = Field(False, description="A second head that answers once per object: inference without NMS.")
    keypoints: int = Field(0, ge=0, description="Points per object to find, such as the corners of a plate.")
    class_weight: float = Field(0.5, gt=0, description="Weight of the classification's loss.")
    box_weight: float = Field(7.5, gt=0, description="Weight of the overlap's loss, 1 - complete IoU.")
    distance_weight: float = Field(0.5, ge=0, description="Weight of the distances' absolute error, in strides.")
    keypoint_weight: float = Field(5.0, ge=0, description="Weight of the points' error, in sizes of the object.")
    visible_weight: float = Field(0.5, ge=0, description="Weight of the points' visibility.")
    assign_best: int = Field(10, ge=1, description="Points that may learn one object.")
    assign_score_power: float = Field(0.5, ge=0, description="What a point's score counts when objects are assigned.")
    assign_overlap_power: float = Field(6.0, gt=0, description="What its box's overlap counts.")
    assign_cold_overlap: float = Field(
        0.1, ge=0, lt=1, description="Below this overlap the distance to the centre decides: for an untrained network."
    )
    assign_least_quality: float = Field(
        0.2, ge=0, lt=1, description="Score wanted of an object's best point however badly its box fits."
    )


class Answers(NamedTuple):
    """What the head says, raw: N points, level by level, finest first."""

    distances: Tensor  # [B, N, 4]
    classes: Tensor  # [B, N, C], logits
    keypoints: Tensor | None  # [B, N, P, 3]: x, y in strides from the point; logit of visible


class Tower(nn.Module):
    """Two convolutions and a linear answer per cell."""

    def __init__(self, hidden: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.first = ConvNormAct(hidden, hidden, activation=activation)
        self.second = ConvNormAct(hidden, hidden, activation=activation)
        self.answer = nn.Conv2d(hidden, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, hidden, h, w] → [B, h·w, outputs]."""
        return self.answer(self.second(self.first(x))).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]

    def start_at(self, logit: float) -> None:
        """Before it has learnt it answers this, whatever it sees."""
        nn.init.zeros_(self.answer.weight)
        if self.answer.bias is not None:
            nn.init.constant_(self.answer.bias, logit)


class Level(nn.Module):
    """The head of one level: a tower for what, one for where, one for keypoints if there are any."""

    def __init__(
        self, width: int, stride: int, hidden: int, classes: int, keypoints: int, activation: Activation
    ) -> None:
        super().__init__()
        self.stem = ConvNormAct(width, hidden, 1, activation=activation)
        self.classes = Tower(hidden, classes, activation)
        self.distances = Tower(hidden, 4, activation)
        self.keypoints = Tower(hidden, 3 * keypoints, activation) if keypoints else None
        self.classes.start_at(math.log(START_OBJECTS / classes / (640 / stride) ** 2))
        self.distances.start_at(math.log(math.expm1(START_CELLS + MARGIN)))

    def forward(self, feature: Tensor) -> Answers:
        """[B, width, h, w] → answers [B, h·w, …]."""
        x = self.stem(feature)
        points = None
        if self.keypoints is not None:
            points = self.keypoints(x)
            points = points.reshape(points.shape[0], points.shape[1], -1, 3)
        return Answers(self.distances(x), self.classes(x), points)


class Head(nn.Module):
    """All levels side by side; they share nothing."""

    def __init__(
        self, widths: Mapping[int, int], hidden: int, classes: int, keypoints: int, activation: Activation
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Level(width, 2**level, hidden, classes, keypoints, activation) for level, width in widths.items()
        )

    def forward(self, features: Sequence[Tensor]) -> Answers:
        """Features [B, c, h, w], finest first → answers [B, Σ h·w, …] in float32."""
        levels = [level(feature) for level, feature in zip(self.levels, features, strict=True)]
        distances, classes, points = zip(*levels, strict=True)
        return Answers(
            torch.cat(distances, dim=1).float(),
            torch.cat(classes, dim=1).float(),
            None if points[0] is None else torch.cat(points, dim=1).float(),
        )


class Yolo(DetectionModel):
    """See the module. `end_to_end`: its answers need no suppression."""

    stride = 32

    def __init__(self, classes: int, options: YoloOptions | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.options = options = options or YoloOptions()
        self.end_to_end = options.one_to_one
        size = SIZES[options.size]
        own = ElanBackbone(size.widths, size.depths, options.activation)
        self.backbone = own if options.backbone is None else backbone(options.backbone)
        self.levels = tuple(level for level in own.channels if level > 2 or options.fine_level)
        widths = {level: own.channels[level] for level in self.levels}
        self.adapt = nn.ModuleList(
            nn.Identity()
            if options.backbone is None
            else ConvNormAct(self.backbone.channels[level], width, 1, activation=options.activation)
            for level, width in widths.items()
        )
        self.neck = PathAggregation(list(widths.values()), activation=options.activation)

        def head() -> Head:
            return Head(widths, size.head, classes, options.keypoints, options.activation)

        self.head = head()
        self.single = head() if options.one_to_one else None

    @classmethod
    def tiny(cls, classes: int = 2, **options: bool | int | float | str) -> Yolo:
        """Small enough to learn a few pictures within seconds."""
        return cls(classes, YoloOptions.model_validate({"size": "tiny", **options}))

    def forward(self, pixels: Tensor) -> Cut:
        features = self._features(pixels)
        answers = self.head(features) if self.single is None else self.single(features)
        points = self._points(pixels)
        xyxy = self._boxes(points, answers)
        xyxy = torch.cat([xyxy[..., :2], torch.maximum(xyxy[..., :2], xyxy[..., 2:])], dim=-1)
        return Cut(
            geometry.clip(xyxy, width=pixels.shape[3], height=pixels.shape[2]),  # [B, N, 4]
            answers.classes.sigmoid(),  # [B, N, C]
            None if answers.keypoints is None else self._keypoints(points, answers.keypoints),  # [B, N, P, 3]
        )

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        features = self._features(pixels)
        points = self._points(pixels)
        how = self.options
        many = Alignment(
            how.assign_best,
            how.assign_score_power,
            how.assign_overlap_power,
            how.assign_cold_overlap,
            how.assign_least_quality,
        )
        terms = self._learn(self.head(features), points, targets, many)
        if self.single is not None:
            # It only listens to the features, which one teacher per object would make poorer.
            answers = self.single([feature.detach() for feature in features])
            once = self._learn(answers, points, targets, many._replace(best=1))
            terms |= {f"single_{name}": term for name, term in once.items()}
        return terms

    def _features(self, pixels: Tensor) -> list[Tensor]:
        pyramid = self.backbone(pixels)
        seen = [adapt(pyramid[level]) for adapt, level in zip(self.adapt, self.levels, strict=True)]
        features: list[Tensor] = self.neck(seen)
        return features

    def _points(self, pixels: Tensor) -> Points:
        """Constants of the picture's size: [N, 2] and [N]."""
        height, width = pixels.shape[2:]
        strides = [2**level for level in self.levels]
        grids = [geometry.grid_points((height // s, width // s), s, pixels.device) for s in strides]
        each = [
            torch.full((len(grid),), float(s), device=pixels.device) for grid, s in zip(grids, strides, strict=True)
        ]
        return Points(torch.cat(grids), torch.cat(each))

    def _boxes(self, points: Points, answers: Answers) -> Tensor:
        """[B, N, 4] in pixels; as the network meant them, beyond the picture and inverted too."""
        distances = (functional.softplus(answers.distances) - MARGIN) * points.stride[:, None]
        return geometry.distances_to_xyxy(points.xy, distances)

    def _keypoints(self, points: Points, raw: Tensor) -> Tensor:
        """[B, N, P, 3] → x, y in pixels, probability of visible."""
        xy = points.xy[:, None] + raw[..., :2] * points.stride[:, None, None]
        return torch.cat([xy, raw[..., 2:].sigmoid()], dim=-1)

    def _learn(self, answers: Answers, points: Points, targets: Targets, how: Alignment) -> dict[str, Tensor]:
        """One head's terms, each over the summed quality of its positives: every object counts as it is found."""
        xyxy = self._boxes(points, answers)
        given = assign(points, answers.classes.sigmoid(), xyxy, targets, how)
        share = 1 / losses.mean_over_ranks(given.quality.sum()).clamp(min=1.0)
        terms = {"class": self.options.class_weight * share * self._class_error(answers, targets, given)}

        where = given.positive.nonzero(as_tuple=True)  # picture, point: P positives
        row = (where[0], given.row[where])
        weight = given.quality[where] * share  # [P]
        wanted = targets.xyxy[row].float()  # [P, 4]
        overlap = losses.box_loss(xyxy[where], wanted)
        stride = points.stride[where[1]][:, None]
        away = ((xyxy[where] - wanted).abs() / stride).mean(-1)
        terms["box"] = self.options.box_weight * (overlap * weight).sum()
        terms["distance"] = self.options.distance_weight * (away * weight).sum()
        if answers.keypoints is not None and targets.keypoints is not None:
            got = self._keypoints(points, answers.keypoints)[where]
            error, seen = self._keypoint_errors(got, answers.keypoints[where], targets.keypoints[row].float(), wanted)
            terms["keypoint"] = self.options.keypoint_weight * (error * weight).sum()
            terms["visible"] = self.options.visible_weight * (seen * weight).sum()
        return terms

    def _class_error(self, answers: Answers, targets: Targets, given: Assignment) -> Tensor:
        """Every point of every picture against the score it should give, [] ."""
        wanted = torch.zeros_like(answers.classes)  # [B, N, C]
        if targets.class_id.shape[1]:
            of = targets.class_id.clamp(min=0).gather(1, given.row)
            wanted.scatter_(2, of[..., None], given.quality[..., None])
        return (losses.soft_cross_entropy(answers.classes, wanted) * given.counted[..., None]).sum()

    def _keypoint_errors(self, got: Tensor, raw: Tensor, wanted: Tensor, xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """[P, K, 3] against [P, K, 3] → [P] distance in sizes of the object, of what is visible; [P] visibility.

        A point whose visibility is negative is one of which nothing is known, and teaches nothing.
        """
        size = geometry.area(xyxy).clamp(min=1.0).sqrt()[:, None, None]
        visible = (wanted[..., 2] > 0).float()  # [P, K]
        away = losses.smooth_l1(got[..., :2] / size, wanted[..., :2] / size, beta=0.05).sum(-1)
        error = (away * visible).sum(-1) / visible.sum(-1).clamp(min=1.0)
        known = (wanted[..., 2] >= 0).float()
        return error, (losses.soft_cross_entropy(raw[..., 2], visible) * known).mean(-1)
