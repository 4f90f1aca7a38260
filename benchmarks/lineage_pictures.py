"""The pictures of docs/lineage.md, drawn by the code that they show.

python benchmarks/lineage_pictures.py [NAME …]      # all of them without a name, into docs/pictures/
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from streamdet.models.contract import Targets
from streamdet.models.matcher import match
from streamdet.models.ssd import Ssd
from streamdet.models.yolo_v1 import YoloV1, YoloV1Options, cells_of, responsible

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
COLOURS = ("#d1495b", "#2e86ab", "#3a9d5d", "#e08e1b", "#7b4fa3", "#14868c")  # one per object
INK = "#333333"
_SIDE_PX, _FINER = 320, 4


@dataclass(frozen=True)
class Scene:
    """A drawn picture and what is in it."""

    rgb: npt.NDArray[np.uint8]  # [H, W, 3]
    xyxy: npt.NDArray[np.float32]  # [N, 4]
    class_id: npt.NDArray[np.int64]  # [N]; 0: round, 1: angular

    @property
    def targets(self) -> Targets:
        """As a batch of one."""
        ignored = torch.zeros(1, len(self.xyxy), dtype=torch.bool)
        return Targets(torch.from_numpy(self.xyxy)[None], torch.from_numpy(self.class_id)[None], ignored)

    @property
    def pixels(self) -> torch.Tensor:
        """Float [1, 3, H, W] in 0..1."""
        return torch.from_numpy(self.rgb).permute(2, 0, 1)[None].float() / 255


def scene() -> Scene:
    """Six things on a table: large and small, wide and tall, one with its middle where another has it too."""
    rows = [  # left, top, right, bottom, class, colour
        (24, 30, 150, 156, 1, (176, 196, 222)),
        (67, 72, 95, 100, 0, (235, 196, 160)),
        (188, 36, 254, 102, 0, (222, 180, 190)),
        (40, 206, 200, 262, 1, (190, 214, 184)),
        (244, 150, 284, 290, 1, (226, 214, 170)),
        (206, 140, 226, 160, 0, (196, 184, 222)),
    ]
    side = _SIDE_PX * _FINER
    shade = np.linspace(250, 236, side)[:, None, None]
    canvas = np.broadcast_to(shade, (side, side, 3)).astype(np.uint8).copy()
    for left, top, right, bottom, class_id, colour in rows:
        corner, end = (left * _FINER, top * _FINER), (right * _FINER - 1, bottom * _FINER - 1)
        line = tuple(int(0.8 * part) for part in colour)
        if class_id == 0:
            middle, reach = ((corner[0] + end[0]) // 2, (corner[1] + end[1]) // 2), (end[0] - corner[0]) // 2
            cv2.circle(canvas, middle, reach, colour, -1)
            cv2.circle(canvas, middle, reach - 3, line, 5)
        else:
            cv2.rectangle(canvas, corner, end, colour, -1)
            cv2.rectangle(canvas, (corner[0] + 3, corner[1] + 3), (end[0] - 3, end[1] - 3), line, 5)
    rgb = cv2.resize(canvas, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return Scene(
        rgb.astype(np.uint8), np.array([row[:4] for row in rows], np.float32), np.array([row[4] for row in rows])
    )


def panels(count: int, titles: tuple[str, ...], shown: Scene) -> tuple[Figure, list[Axes]]:
    """The scene so many times side by side."""
    figure, axes = pyplot.subplots(1, count, figsize=(3.4 * count, 3.75), dpi=100, squeeze=False)
    for one, title in zip(axes[0], titles, strict=True):
        one.imshow(shown.rgb, extent=(0, _SIDE_PX, _SIDE_PX, 0))
        one.set_title(title, fontsize=9, color=INK)
        one.set(xlim=(-8, _SIDE_PX + 8), ylim=(_SIDE_PX + 8, -8), xticks=[], yticks=[])
        one.set_frame_on(False)
    figure.tight_layout(pad=0.8)
    return figure, list(axes[0])


def draw_box(axes: Axes, xyxy: npt.ArrayLike, colour: str, width: float = 1.5, style: str = "-") -> None:
    """One outline."""
    left, top, right, bottom = np.asarray(xyxy, float)
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour, lw=width, ls=style))


def draw_grid(axes: Axes, rows: int, columns: int) -> None:
    """The cells of a map that covers the picture."""
    for line in range(rows + 1):
        axes.plot([0, _SIDE_PX], [line * _SIDE_PX / rows] * 2, color="#9a9a9a", lw=0.4)
    for line in range(columns + 1):
        axes.plot([line * _SIDE_PX / columns] * 2, [0, _SIDE_PX], color="#9a9a9a", lw=0.4)


def save(figure: Figure, path: Path) -> None:
    """As a small PNG: 256 colours are enough for flat areas and lines."""
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    Image.fromarray(drawn).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    pyplot.close(figure)


def default_boxes() -> Figure:
    """SSD: which default boxes of three maps learn which object, and all shapes of one cell."""
    shown, model = scene(), Ssd(2)
    maps = [(40, 40), (20, 20), (10, 10), (5, 5), (3, 3)]
    boxes = model.default_boxes(maps, (_SIDE_PX, _SIDE_PX))
    owner = match(torch.cat(boxes)[None], shown.targets, 0.5, 0.5, one_each=True)[0].split([len(one) for one in boxes])
    titles = tuple(
        f"{rows}x{rows} cells, {len(boxes[level])} boxes: {int((owner[level] >= 0).sum())} learn an object"
        for level, (rows, _) in enumerate(maps[:3])
    )
    figure, axes = panels(3, titles, shown)
    for level, one in enumerate(axes):
        rows, columns = maps[level]
        draw_grid(one, rows, columns)
        shapes = len(boxes[level]) // (rows * columns)
        cell = (rows * 3 // 4) * columns + columns * 2 // 3
        for box in boxes[level][cell * shapes : (cell + 1) * shapes]:
            draw_box(one, box.numpy(), INK, 0.9, ":")
        for box, row in zip(boxes[level], owner[level].tolist(), strict=True):
            if row >= 0:
                draw_box(one, box.numpy(), COLOURS[row], 1.1)
    return figure


def responsible_cells() -> Figure:
    """YOLOv1: the cells that answer, the object that is lost, and which of a cell's boxes learns."""
    shown = scene()
    torch.manual_seed(0)
    model = YoloV1(2, YoloV1Options(backbone="tiny")).eval()
    cell_px = model.options.cell_px
    count = _SIDE_PX // cell_px
    owner = cells_of(shown.targets, (count, count), cell_px)[0]
    with torch.no_grad():
        boxes = model(shown.pixels).xyxy.unflatten(1, (-1, model.options.boxes))[0]  # [G, K, 4]
    lost = sorted(set(range(len(shown.xyxy))) - set(owner.tolist()))
    titles = (f"{count}x{count} cells: the one with an object's centre", "each cell's boxes: the better one learns")
    figure, (left, right) = panels(2, titles, shown)
    for one in (left, right):
        draw_grid(one, count, count)
    for row, xyxy in enumerate(shown.xyxy):
        x, y = (xyxy[:2] + xyxy[2:]) / 2
        draw_box(left, xyxy, COLOURS[row], 1.5, ":" if row in lost else "-")
        left.plot(x, y, "x" if row in lost else "o", color=COLOURS[row], ms=6, mew=2)
    for cell in (owner >= 0).nonzero()[:, 0].tolist():
        row = int(owner[cell])
        corner = (cell % count * cell_px, cell // count * cell_px)
        for one in (left, right):
            one.add_patch(Rectangle(corner, cell_px, cell_px, color=COLOURS[row], alpha=0.35, lw=0))
        truth = torch.from_numpy(shown.xyxy[row])[None]
        chosen, overlap = responsible(boxes[cell][None], truth)
        for number, box in enumerate(boxes[cell]):
            learns = number == int(chosen)
            draw_box(right, box.numpy(), COLOURS[row], 1.6 if learns else 0.8, "-" if learns else ":")
        right.text(
            corner[0] + cell_px / 2,
            corner[1] + cell_px / 2,
            f"{float(overlap):.2f}",
            fontsize=7,
            ha="center",
            va="center",
            color=INK,
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
        )
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "default-boxes": default_boxes,
    "responsible-cells": responsible_cells,
}


def main(names: list[str]) -> None:
    """Draw them, and tell how large they are."""
    for name in names or PICTURES:
        path = FOLDER / f"lineage-{name}.png"
        save(PICTURES[name](), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
