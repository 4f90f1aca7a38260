"""YOLOv1 (Redmon et al. 2016): the picture as a grid, whose every cell says what lies there, and where, in one look.

The cell that holds an object's centre answers for it: with B boxes, each with a confidence, and one vote on the class
for all of them. Of the boxes the one that overlaps the object most is responsible, and it alone learns from it.

    pixels [B, 3, H, W] → backbone → head → per cell: K boxes of x, y, √w, √h, confidence, then C classes

Everything is learnt by squared errors, as in the paper: x, y in cells from the cell's corner, √w, √h as roots of shares
of the picture (so that a pixel counts more in a small box), classes and confidences as plain numbers.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.errors import ConfigError
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.blocks import ConvNormAct
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.geometry import aligned_iou, clip, cxcywh_to_xyxy, grid_points, xyxy_to_cxcywh
from streamdet.models.matcher import BACKGROUND, NEUTRAL, rows_of

_BOX = 5  # x, y, √w, √h, confidence


class YoloV1Options(BaseModel):
    """How the network is built and what it minimises."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName = Field("yolo-n", description="The network that sees.")
    cell_px: Literal[16, 32, 64] = Field(32, description="Side of a cell; the paper's 7x7 cells are of 64 pixels.")
    boxes: int = Field(2, ge=1, description="Boxes per cell.")
    channels: int = Field(256, ge=8, description="Channels of the head's convolutions.")
    head: Literal["convolutional", "connected"] = Field(
        "convolutional", description="connected: two fully connected layers, as in the paper, for one size of picture."
    )
    connected_size: tuple[int, int] = Field(
        (320, 320), description="With a connected head: width and height of the only pictures that it takes."
    )
    connected_width: int = Field(1024, ge=8, description="Neurons of the connected head's hidden layer.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of them that are silent at each step.")
    coordinate_weight: float = Field(5.0, gt=0, description="Weight of centres and sizes.")
    nothing_weight: float = Field(0.5, gt=0, description="Weight of confidences where nothing is.")


class Answers(NamedTuple):
    """What the head says, raw, cell by cell, row by row: G cells."""

    boxes: Tensor  # f32 [B, G, K, 5]: x, y, √w, √h, confidence
    classes: Tensor  # f32 [B, G, C]


class YoloV1(DetectionModel):
    """See the module."""

    def __init__(self, classes: int, options: YoloV1Options | None = None) -> None:
        super().__init__()
        self.options = options = options or YoloV1Options()
        self.classes = classes
        self.stride = max(32, options.cell_px)
        self.backbone = backbone(options.backbone)
        self.level = int(math.log2(options.cell_px))
        seen = min(self.level, max(self.backbone.channels))
        width, outputs = options.channels, options.boxes * _BOX + classes
        self.convs = nn.Sequential(
            ConvNormAct(self.backbone.channels[seen], width, stride=2 ** (self.level - seen)),
            ConvNormAct(width, width),
        )
        self.head = Connected(options, outputs) if options.head == "connected" else nn.Conv2d(width, outputs, 1)
        _start(self.head, options.boxes, classes)

    @classmethod
    def tiny(cls, classes: int) -> YoloV1:
        """Small enough to learn something within seconds."""
        return cls(classes, YoloV1Options(backbone="tiny", cell_px=16, channels=32))

    def forward(self, pixels: Tensor) -> Cut:
        said = self._answers(pixels)
        height, width = pixels.shape[-2:]
        xyxy = clip(self._boxes(said.boxes, pixels).flatten(1, 2), width, height)
        # Least squares know no bounds: what lies beyond 0..1 was extrapolated.
        scores = said.boxes[..., 4:].clamp(0.0, 1.0) * said.classes[:, :, None].clamp(0.0, 1.0)  # [B, G, K, C]
        return Cut(xyxy, scores.flatten(1, 2))

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        said = self._answers(pixels)
        height, width = pixels.shape[-2:]
        owner = cells_of(targets, (height // self.options.cell_px, width // self.options.cell_px), self.options.cell_px)
        where = (owner >= 0).nonzero(as_tuple=True)  # picture, cell: P objects
        truth = rows_of(targets.xyxy, owner)[where].float()  # [P, 4]
        offered = self._boxes(said.boxes, pixels)[where]  # [P, K, 4]
        chosen, overlap = responsible(offered.detach(), truth)  # [P] twice

        learning = said.boxes[where][torch.arange(len(chosen), device=chosen.device), chosen]  # [P, 5]
        wanted = self._wanted(truth, where[1], pixels)  # [P, 4]: x, y, √w, √h
        idle = (owner != NEUTRAL)[..., None].expand(said.boxes.shape[:3]).clone()  # [B, G, K]
        idle[(*where, chosen)] = False
        class_id = rows_of(targets.class_id, owner)[where].clamp(min=0)
        wanted_classes = functional.one_hot(class_id, self.classes)

        weight, pictures = self.options.coordinate_weight, len(pixels)
        return {
            "centre": weight * ((learning[:, :2] - wanted[:, :2]) ** 2).sum() / pictures,
            "size": weight * ((learning[:, 2:4] - wanted[:, 2:]) ** 2).sum() / pictures,
            "object": ((learning[:, 4] - overlap) ** 2).sum() / pictures,
            "nothing": self.options.nothing_weight * (said.boxes[..., 4] ** 2 * idle).sum() / pictures,
            "class": ((said.classes[where] - wanted_classes) ** 2).sum() / pictures,
        }

    def _answers(self, pixels: Tensor) -> Answers:
        features = self.convs(self.backbone(pixels)[min(self.level, max(self.backbone.channels))])
        # Float32 from here on: squares of small errors vanish in eight bits.
        raw = self.head(features).float().flatten(2).transpose(1, 2)  # [B, G, 5 · K + C]
        inner = self.options.boxes * _BOX
        return Answers(raw[..., :inner].unflatten(2, (-1, _BOX)), raw[..., inner:])

    def _boxes(self, boxes: Tensor, pixels: Tensor) -> Tensor:
        """Raw boxes [B, G, K, 5] → xyxy [B, G, K, 4] in pixels, not clipped."""
        corner, side, picture = self._grid(pixels)
        centre = corner[:, None] + boxes[..., :2] * side
        return cxcywh_to_xyxy(torch.cat([centre, boxes[..., 2:4] ** 2 * picture], dim=-1))

    def _wanted(self, xyxy: Tensor, cell: Tensor, pixels: Tensor) -> Tensor:
        """Objects [P, 4] and the cells that answer for them [P] → x, y, √w, √h [P, 4]."""
        corner, side, picture = self._grid(pixels)
        box = xyxy_to_cxcywh(xyxy)
        return torch.cat([(box[:, :2] - corner[cell]) / side, (box[:, 2:].clamp(min=0.0) / picture).sqrt()], dim=-1)

    def _grid(self, pixels: Tensor) -> tuple[Tensor, float, Tensor]:
        """The cells' upper left corners [G, 2], their side and the picture's width and height [2], all in pixels."""
        side, (height, width) = self.options.cell_px, pixels.shape[-2:]
        points = grid_points((height // side, width // side), side, pixels.device)
        return points - side / 2, float(side), torch.tensor([float(width), float(height)], device=pixels.device)


class Connected(nn.Module):
    """Every answer sees the whole picture: two fully connected layers, for one size of picture."""

    def __init__(self, options: YoloV1Options, outputs: int) -> None:
        super().__init__()
        width, height = options.connected_size
        self.grid = height // options.cell_px, width // options.cell_px
        cells = self.grid[0] * self.grid[1]
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(options.channels * cells, options.connected_width, bias=False),
            nn.BatchNorm1d(options.connected_width, eps=1e-3, momentum=0.03),
            nn.ReLU(inplace=True),
            nn.Dropout(options.dropout),
        )
        self.last = nn.Linear(options.connected_width, outputs * cells)

    def forward(self, features: Tensor) -> Tensor:
        """[B, c, h, w] → [B, outputs, h, w], for the one h and w that it was built for."""
        if tuple(features.shape[-2:]) != self.grid:
            raise ConfigError(
                "a connected head takes pictures of one size only",
                expected="{1}x{0} cells, from model.connected_size".format(*self.grid),
                got="{1}x{0} cells".format(*features.shape[-2:]),
                hint="set connected_size to the training's size, or head: convolutional",
            )
        said: Tensor = self.last(self.hidden(features)).unflatten(1, (-1, *self.grid))
        return said


def cells_of(targets: Targets, grid: tuple[int, int], side_px: int) -> Tensor:
    """I64 [B, rows · columns]: the row of the object that a cell answers for, BACKGROUND or NEUTRAL.

    It is the first whose centre lies in the cell: a second one there is lost. Neutral is a cell without an object whose
    middle lies on something ignored.
    """
    rows, columns = grid
    count = targets.class_id.shape[1]
    if count == 0:
        return targets.class_id.new_full((len(targets.class_id), rows * columns), BACKGROUND)
    present = targets.class_id >= 0
    centre = (targets.xyxy[..., :2] + targets.xyxy[..., 2:]) / 2 / side_px  # [B, M, 2], in cells
    column, row = (centre[..., 0].long().clamp(0, columns - 1), centre[..., 1].long().clamp(0, rows - 1))
    cell = torch.arange(rows * columns, device=column.device)
    inside = ((row * columns + column)[..., None] == cell) & (present & ~targets.ignored)[..., None]  # [B, M, G]
    number = torch.arange(count, device=column.device)[:, None]
    first = torch.where(inside, number, count).amin(dim=1)  # [B, G]

    x, y = grid_points(grid, side_px, column.device).unbind(-1)
    left, top, right, bottom = (edge[..., None] for edge in targets.xyxy.unbind(-1))
    hidden = (x > left) & (x < right) & (y > top) & (y < bottom) & (present & targets.ignored)[..., None]
    nothing = torch.where(hidden.any(dim=1), NEUTRAL, BACKGROUND)
    return torch.where(first < count, first, nothing)


def responsible(offered: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [P, K, 4] and their object [P, 4] → which of them learns it, i64 [P], and its overlap now, [P].

    The one that overlaps most; where none does, the one whose edges are nearest.
    """
    overlap = aligned_iou(offered, truth[:, None])  # [P, K]
    away = ((offered - truth[:, None]) ** 2).sum(dim=-1)
    chosen = torch.where(overlap.amax(dim=1, keepdim=True) > 0, overlap, -away).argmax(dim=1)
    return chosen, overlap.gather(1, chosen[:, None])[:, 0]


def _start(head: nn.Module, boxes: int, classes: int) -> None:
    """Before anything is learnt: boxes in the middle of their cells, each of another size, sure of nothing.

    From zero the roots would have to grow through boxes too small to overlap anything, and boxes that are all alike
    would quarrel over who is responsible.
    """
    last = head.last if isinstance(head, Connected) else head
    assert isinstance(last, nn.Linear | nn.Conv2d)
    nn.init.normal_(last.weight, std=0.01)
    said = torch.full((boxes * _BOX + classes,), 1 / classes)
    for box in range(boxes):
        root = (box + 1) / (boxes + 1)
        said[box * _BOX : (box + 1) * _BOX] = torch.tensor([0.5, 0.5, root, root, 0.0])
    with torch.no_grad():
        assert last.bias is not None
        last.bias.copy_(said.repeat_interleave(last.bias.numel() // len(said)))
