"""Trains plate-spotter, a tiny detector of number plates, on scenes that streamdet renders itself.

    python -m venv .venv-train && .venv-train/bin/pip install torch onnx onnxscript onnxruntime pyyaml pydantic \
        numpy opencv-python-headless
    PYTHONPATH=. .venv-train/bin/python engines/plate-spotter/train.py --out runs/plate-spotter

One thread, no GPU, about twenty minutes; a checkpoint every two minutes, from which it goes on when started again.
Then `measure.py` beside it. Design: plain conv-BN-ReLU down to stride 32 and up again to 16 and 8; anchor-free, one
score and four numbers per cell. Plates far away are thinner than a cell, so that no cell's centre lies inside them:
the four numbers are the shift of the centre and, by softplus, width and height, all in strides.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from pictures import Pictures
from torch import Tensor, nn

STRIDES = (8, 16)
SMALL_PX = 56.0  # boxes up to this width are asked of stride 8, the others of stride 16


# network ---------------------------------------------------------------------------------------------------------


class Conv(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
        )


class Residual(nn.Module):
    """x + conv(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Spotter(nn.Module):
    """Pixels 0..255 [B, 3, H, W] → one map [B, 5, H/s, W/s] per stride: score, shift x, y, width, height."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 8, 2), Conv(8, 16, 2), Residual(16))
        self.down8 = nn.Sequential(Conv(16, 32, 2), Residual(32), Residual(32))
        self.down16 = nn.Sequential(Conv(32, 48, 2), Residual(48), Residual(48))
        self.down32 = nn.Sequential(Conv(48, 56, 2), Residual(56))
        self.lateral32, self.lateral16 = nn.Conv2d(56, 48, 1), nn.Conv2d(48, 32, 1)
        self.merge16, self.merge8 = Conv(48, 48), Conv(32, 32)
        self.heads = nn.ModuleList(nn.Sequential(Conv(c, 24), nn.Conv2d(24, 5, 1)) for c in (32, 48))
        for head in self.heads:
            nn.init.constant_(head[-1].bias[:1], -4.6)  # a cell holds a plate once in a hundred, to begin with

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x8 = self.down8(self.stem(pixels * (1 / 255)))
        x16 = self.down16(x8)
        x32 = self.down32(x16)
        x16 = self.merge16(x16 + F.interpolate(self.lateral32(x32), scale_factor=2.0, mode="nearest"))
        x8 = self.merge8(x8 + F.interpolate(self.lateral16(x16), scale_factor=2.0, mode="nearest"))
        return [head(x) for head, x in zip(self.heads, (x8, x16), strict=True)]


def cells(width: int, height: int) -> tuple[Tensor, Tensor]:
    """Centres [N, 2] of all cells of both maps in pixels, and their strides [N]."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        centres.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def flatten(maps: list[Tensor]) -> Tensor:
    """The maps as [B, N, 5]."""
    return torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)


def decode(numbers: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Four numbers per cell [..., N, 4] → boxes [..., N, 4], left, top, right, bottom in pixels."""
    middle = centres + numbers[..., :2] * strides[:, None]
    half = F.softplus(numbers[..., 2:]) * strides[:, None] / 2
    return torch.cat([middle - half, middle + half], -1)


# assignment and loss ---------------------------------------------------------------------------------------------


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Row by row: intersection over union, and the same less the centres' distance in diagonals (DIoU)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = (high - low).clamp(min=0.0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inter
    ratio = inter / union.clamp(min=1e-6)
    around = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1)
    return ratio, ratio - apart / around.square().sum(1).clamp(min=1e-6)


def assign(boxes: Tensor, asked: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Which box [M, 4] each cell answers for [N] (-1: none), and which cells are not judged at all [N].

    A cell answers for a box of its stride when it lies in the box's middle, at least within three quarters of a cell;
    of several boxes it takes the smallest. Around boxes that are not asked for, nothing is judged.
    """
    owner = torch.full((len(centres),), -1, dtype=torch.long)
    unjudged = torch.zeros(len(centres), dtype=torch.bool)
    size = boxes[:, 2:] - boxes[:, :2]
    for row in torch.argsort(-size.prod(1)).tolist():
        away = (centres - (boxes[row, :2] + boxes[row, 2:]) / 2).abs()
        near = (away <= torch.maximum(size[row] / 4, 0.75 * strides[:, None])).all(1)
        if asked[row]:
            small = bool(size[row, 0] <= SMALL_PX)
            owner[near & ((strides == STRIDES[0]) == small)] = row
            unjudged |= near & ((strides == STRIDES[0]) != small)
        else:
            unjudged |= (away <= size[row] / 2 + strides[:, None]).all(1)
    return owner, unjudged & (owner < 0)


def loss_of(maps: list[Tensor], truth: list[tuple[Tensor, Tensor]], centres: Tensor, strides: Tensor) -> Tensor:
    """Scores learn the overlap that their box reaches (BCE, hard ones weigh more); boxes learn DIoU and some L1."""
    flat = flatten(maps)
    predicted = decode(flat[..., 1:], centres, strides)
    target, weight = torch.zeros(flat.shape[:2]), torch.ones(flat.shape[:2])
    box_loss, positives = torch.zeros(()), 0
    for picture, (boxes, asked) in enumerate(truth):
        if len(boxes) == 0:
            continue
        owner, unjudged = assign(boxes, asked, centres, strides)
        weight[picture, unjudged] = 0
        mine = torch.nonzero(owner >= 0)[:, 0]
        if len(mine) == 0:
            continue
        wanted, found = boxes[owner[mine]], predicted[picture, mine]
        ratio, distance = overlap(found, wanted)
        target[picture, mine] = ratio.detach().clamp(min=0.1)
        edges = (found - wanted).abs().mean(1) / strides[mine]
        box_loss = box_loss + (1 - distance + 0.5 * edges).sum()
        positives += len(mine)
    score = flat[..., 0]
    hardness = (score.sigmoid().detach() - target).abs().square() + 0.02 * (target > 0)
    score_loss = (F.binary_cross_entropy_with_logits(score, target, reduction="none") * weight * hardness).sum()
    return (4 * score_loss + 2 * box_loss) / max(positives, 1)


# loop ------------------------------------------------------------------------------------------------------------


def follow(average: Spotter, net: Spotter, share: float) -> None:
    """Move the averaged weights towards the trained ones."""
    with torch.no_grad():
        for kept, now in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            kept.copy_(kept * share + now * (1 - share) if kept.is_floating_point() else now)


def train(recipe: dict[str, Any], out: Path) -> Spotter:
    """Train to the recipe's steps or minutes; answers the averaged network."""
    torch.manual_seed(recipe["seed"])
    # channels last is half as long on one core
    net, average = (Spotter().to(memory_format=torch.channels_last) for _ in range(2))
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), recipe["learning_rate"], weight_decay=recipe["weight_decay"])
    done_s, step, checkpoint = 0.0, 0, out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        done_s, step = saved["done_s"], saved["step"]
    source = Pictures(recipe, recipe["seed"] + step)
    centres, strides = cells(*recipe["crop"])
    started, noted, mean = time.monotonic() - done_s, time.monotonic(), 0.0
    limit_s = 60 * recipe["minutes"]
    net.train()
    while step < recipe["steps"] and time.monotonic() - started < limit_s:
        # the learning rate follows steps or time, whichever is further, so that it always comes down in the end
        way = max(step / recipe["steps"], (time.monotonic() - started) / limit_s)
        rate = recipe["learning_rate"] * min(step / 150 + 0.01, 1.0) * max(1 - way, 0.01) ** 0.9
        for group in optimiser.param_groups:
            group["lr"] = rate
        pictures, truth = source.batch(recipe["batch"])
        pixels = torch.from_numpy(pictures).float().contiguous(memory_format=torch.channels_last)
        boxes = [(torch.from_numpy(b), torch.from_numpy(a)) for b, a in truth]
        loss = loss_of(net(pixels), boxes, centres, strides)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        step += 1
        follow(average, net, min(recipe["average"], step / (step + 10)))
        mean += (loss.item() - mean) * (0.02 if step > 50 else 0.2)
        if step % 50 == 0:
            print(f"step {step}  {time.monotonic() - started:.0f} s  loss {mean:.3f}  rate {rate:.5f}", flush=True)
        if time.monotonic() - noted > 120 or step == recipe["steps"]:
            noted = time.monotonic()
            torch.save(
                {
                    "net": net.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "done_s": noted - started,
                    "step": step,
                },
                checkpoint,
            )
    return average


# export ----------------------------------------------------------------------------------------------------------


class Raw(nn.Module):
    """What is exported: uint8 pixels in, boxes [B, N, 4] and scores [B, N, 1] out."""

    def __init__(self, net: Spotter, width: int, height: int) -> None:
        super().__init__()
        self.net = net
        centres, strides = cells(width, height)
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        flat = flatten(self.net(pixels.float()))
        return decode(flat[..., 1:], self.centres, self.strides), flat[..., :1].sigmoid()


def export(net: Spotter, size: tuple[int, int], path: Path) -> None:
    """The raw network as ONNX with a free batch; `measure.py` grafts the suppression onto it."""
    width, height = size
    raw = Raw(net.eval(), width, height).eval()
    example = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    program = torch.onnx.export(
        raw,
        (example,),
        input_names=["pixels"],
        output_names=["boxes", "scores"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},),
        opset_version=18,
        dynamo=True,
    )
    program.optimize()
    program.save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/plate-spotter"))
    parser.add_argument("--minutes", type=float, help="instead of the recipe's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = yaml.safe_load((Path(__file__).parent / "recipe.yaml").read_text())
    settings["minutes"] = arguments.minutes or settings["minutes"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    export(train(settings, arguments.out), tuple(settings["size"]), arguments.out / "raw.onnx")
