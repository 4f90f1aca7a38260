"""A classifier that also says where: one object a picture, its class, its box, and the points of its body.

    pixels [B, 3, H, W] → backbone → its coarsest level, as a grid of few cells
                        → connected layers → one box or one per class, and with them
                        → the strongest of a finer level, wherever it is → C + 1 classes (0: nothing)
                        → per landmark a map over that level, and where it is on average

The step between a classifier and a detector: Overfeat and the first R-CNNs regressed boxes like this, DeepPose
(Toshev & Szegedy 2014) the fourteen joints of a body.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from streamdet.models import losses
from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.blocks import ConvNormAct
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.geometry import clip, cxcywh_to_xyxy, grid_points, xyxy_to_cxcywh


class LocaliserOptions(BaseModel):
    """How a localiser is built, and what its tasks weigh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName = Field("yolo-pico", description="The network that sees.")
    grid: int = Field(4, ge=1, le=16, description="Cells each way of what the connected layers look at.")
    hidden: int = Field(256, ge=8, description="Numbers between the grid and the answers.")
    per_class_boxes: bool = Field(False, description="A box for every class, instead of one for all.")
    keypoints: int = Field(0, ge=0, description="Landmarks of the object, such as the 14 joints of a body.")
    fine_level: int = Field(
        3, ge=2, le=5, description="The level whose cells say where landmarks are, and small things what: stride 2^n."
    )
    class_weight: float = Field(1.0, ge=0, description="Weight of telling what it is.")
    box_weight: float = Field(2.0, ge=0, description="Weight of the box.")
    keypoint_weight: float = Field(10.0, ge=0, description="Weight of the landmarks.")
    visible_weight: float = Field(0.1, ge=0, description="Weight of knowing whether a landmark can be seen.")


class Localiser(DetectionModel):
    """One answer per picture, or one per class; where nothing is, its scores are low."""

    stride = 32

    def __init__(self, classes: int, options: LocaliserOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or LocaliserOptions()
        self.classes = classes
        self.boxes = classes if options.per_class_boxes else 1
        self.backbone = backbone(options.backbone)
        top = max(self.backbone.channels)
        self.squeeze = ConvNormAct(self.backbone.channels[top], options.hidden // 4, 1)
        self.connected = nn.Sequential(
            nn.Flatten(), nn.Linear(options.hidden // 4 * options.grid**2, options.hidden), nn.ReLU()
        )
        # What parts two classes may be small: a head, a badge. In a grid of few cells it is lost.
        self.telling = ConvNormAct(self.backbone.channels[options.fine_level], options.hidden // 4, 3)
        self.what = nn.Linear(options.hidden + options.hidden // 4, classes + 1)
        self.where = nn.Linear(options.hidden, 4 * self.boxes)
        nn.init.normal_(self.where.weight, std=1e-3)
        nn.init.zeros_(self.where.bias)
        self.landmarks = (
            Landmarks(self.backbone.channels, options.fine_level, options.keypoints) if options.keypoints else None
        )

    def forward(self, pixels: Tensor) -> Cut:
        height, width = pixels.shape[-2:]
        logits, boxes, points = self._seen(pixels)
        score = logits.float().softmax(dim=-1)[:, 1:]  # [B, C]
        xyxy = clip(boxes, width, height)
        if self.boxes > 1:  # box c answers for class c alone
            score = torch.diag_embed(score)
        else:
            score = score[:, None]
        if points is None:
            return Cut(xyxy, score)
        xy, seen = points[..., :2], points[..., 2:].sigmoid()
        return Cut(xyxy, score, torch.cat([xy, seen], dim=-1)[:, None].expand(-1, self.boxes, -1, -1))

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Of each picture the largest object; one that is ignored teaches nothing."""
        options, (height, width) = self.options, pixels.shape[-2:]
        logits, boxes, points = self._seen(pixels)
        picture, row, counts = _largest(targets)
        class_id = targets.class_id[picture, row] if targets.class_id.shape[1] else logits.new_zeros(0).long()
        wanted = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
        wanted[picture] = class_id + 1
        error = functional.cross_entropy(logits.float(), wanted, reduction="none") * counts
        terms = {"class": options.class_weight * error.sum() / counts.sum().clamp(min=1.0)}
        total = losses.mean_over_ranks(logits.new_tensor(float(len(picture)))).clamp(min=1.0)
        got = boxes[picture, class_id if self.boxes > 1 else torch.zeros_like(class_id)].float()
        xyxy = targets.xyxy[picture, row].float() if len(picture) else got
        side = got.new_tensor([width, height] * 2)
        near = losses.smooth_l1(got / side, xyxy / side, beta=0.02).sum(-1) * 5
        terms["box"] = options.box_weight * (near + losses.box_loss(got, xyxy)).sum() / total
        if points is not None and targets.keypoints is not None:
            away, seen = _landmark_errors(points[picture], targets.keypoints[picture, row].float(), xyxy)
            terms["keypoint"] = options.keypoint_weight * away.sum() / total
            terms["visible"] = options.visible_weight * seen.sum() / total
        return terms

    def _seen(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Class logits [B, 1 + C], boxes xyxy [B, N, 4] in pixels, landmarks [B, P, 3] (x, y, logit of visible)."""
        pyramid = self.backbone(pixels)
        cells = functional.adaptive_avg_pool2d(self.squeeze(pyramid[max(pyramid)]), self.options.grid)
        hidden = self.connected(cells)
        fine = pyramid[self.options.fine_level]
        telling = self.telling(fine).amax(dim=(2, 3))  # [B, hidden / 4]
        logits, raw = (
            self.what(torch.cat([hidden, telling], dim=1)),
            self.where(hidden).float().unflatten(1, (self.boxes, 4)),
        )
        # from the middle of the picture; sizes by their logarithm, half of the picture to begin with
        size = 0.5 * torch.exp(raw[..., 2:].clamp(min=-6.0, max=2.0))
        side = raw.new_tensor([pixels.shape[-1], pixels.shape[-2]] * 2)
        boxes = cxcywh_to_xyxy(torch.cat([0.5 + raw[..., :2], size], dim=-1) * side)
        points = None if self.landmarks is None else self.landmarks(fine, pyramid)
        return logits, boxes, points


class Landmarks(nn.Module):
    """A map per landmark, read as a chance over its cells: the landmark is where that is on average.

    An average can be learnt by its distance to the truth, and falls between cells; the largest cell could not
    (Sun et al. 2018, integral regression).
    """

    def __init__(self, channels: Mapping[int, int], level: int, count: int, width: int = 64) -> None:
        super().__init__()
        top = max(channels)
        self.level, self.top = level, top
        self.coarse = ConvNormAct(channels[top], width, 1)
        self.fine = ConvNormAct(channels[level], width, 1)
        self.mix = nn.Sequential(ConvNormAct(width, width, 3), ConvNormAct(width, width, 3))
        self.maps = nn.Conv2d(width, count, 1)
        self.visible = nn.Linear(width, count)
        nn.init.normal_(self.maps.weight, std=1e-3)

    def forward(self, fine: Tensor, pyramid: dict[int, Tensor]) -> Tensor:
        """[B, P, 3]: x and y in pixels, the logit of being visible."""
        above = functional.interpolate(self.coarse(pyramid[self.top]), size=fine.shape[-2:], mode="nearest")
        mixed = self.mix(self.fine(fine) + above)
        chance = self.maps(mixed).float().flatten(2).softmax(dim=-1)  # [B, P, cells]
        points = grid_points((fine.shape[-2], fine.shape[-1]), 2**self.level, fine.device)  # [cells, 2]
        x, y = (chance * points[:, 0]).sum(dim=-1), (chance * points[:, 1]).sum(dim=-1)
        return torch.stack([x, y, self.visible(mixed.mean(dim=(2, 3))).float()], dim=-1)


def _largest(targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures with an object and its row, [P] each; which pictures teach what they show, float [B].

    A picture with nothing but something ignored says neither that there is an object nor that there is none.
    """
    present = targets.class_id >= 0
    if not present.shape[1]:
        none = torch.zeros(0, dtype=torch.int64, device=present.device)
        return none, none, torch.ones(len(present), device=present.device)
    size = xyxy_to_cxcywh(targets.xyxy.float())[..., 2:].prod(-1)
    real = present & ~targets.ignored
    row = size.masked_fill(~real, -1.0).argmax(dim=1)
    picture = real.any(dim=1).nonzero(as_tuple=True)[0]
    counts = real.any(dim=1) | ~present.any(dim=1)
    return picture, row[picture], counts.float()


def _landmark_errors(got: Tensor, wanted: Tensor, xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """[P, K, 3] against [P, K, 3] → [P] mean distance of the visible ones in sizes of the object; [P] visibility."""
    size = xyxy_to_cxcywh(xyxy)[..., 2:].amax(-1).clamp(min=1.0)[:, None, None]
    visible, known = (wanted[..., 2] > 0).float(), (wanted[..., 2] >= 0).float()
    away = losses.smooth_l1(got[..., :2] / size, wanted[..., :2] / size, beta=0.02).sum(-1)
    seen = losses.soft_cross_entropy(got[..., 2], visible) * known
    return (away * visible).sum(-1) / visible.sum(-1).clamp(min=1.0), seen.mean(-1)
