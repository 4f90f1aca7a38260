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

from streamdet.boxes import iou
from streamdet.masks import pasted
from streamdet.models.classic.dpm_kernels import spread
from streamdet.models.classic.hog import HogOptions, hog
from streamdet.models.classic.hog_kernels import responses
from streamdet.models.contract import Targets
from streamdet.models.mask_head import masks_in
from streamdet.models.matcher import match
from streamdet.models.overfeat import STEP_PX, WINDOW_PX, OverFeat, OverFeatOptions
from streamdet.models.rcnn import Rcnn, RcnnOptions
from streamdet.models.roi_pool import bins
from streamdet.models.ssd import Ssd
from streamdet.models.yolo_v1 import YoloV1, YoloV1Options, cells_of, responsible
from streamdet.proposals.selective_search import SelectiveSearch, SelectiveSearchOptions
from streamdet.scenes.figures import FigureOptions, figure_scene
from streamdet.scenes.plate_characters import CharacterOptions, Characters, plate_characters

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


_PLATE = (5, 9)  # a seed and a number that show a plate of one line, clear enough to see pixels of


def _plate() -> Characters:
    """A rendered plate with the pixels of its characters."""
    return plate_characters(*_PLATE, CharacterOptions(severity=0.2, negatives=0.0))


def mask_cells() -> Figure:
    """Mask R-CNN: a region, what its mask learns, and how near the mask comes when it is pasted back."""
    plate = _plate()
    number = 1 + len(plate.text) // 2
    mask = (plate.owners == number).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    box = np.array([left - 3, top - 2, left + width + 2, top + height + 4], np.float32)  # as a proposal lies
    learnt = masks_in(torch.from_numpy(mask)[None], torch.from_numpy(box)[None], 28)[0].numpy()
    part, (column, row) = pasted(learnt, box.tolist(), (mask.shape[1], mask.shape[0]))
    again = np.zeros_like(mask)
    again[row : row + part.shape[0], column : column + part.shape[1]] = part
    overlap = (mask & again).sum() / (mask | again).sum()
    figure, axes = pyplot.subplots(1, 3, figsize=(10.2, 3.75), dpi=100)
    titles = ("a region's 14x14 cells", "28x28: what its mask learns", f"pasted back: overlap {overlap:.2f}")
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title, fontsize=9, color=INK)
        one.set(xticks=[], yticks=[])
        one.set_frame_on(False)
    for one in (axes[0], axes[2]):
        one.imshow(plate.bgr[..., ::-1], extent=(0, mask.shape[1], mask.shape[0], 0))
        one.set(xlim=(box[0] - 8, box[2] + 8), ylim=(box[3] + 8, box[1] - 8))
        draw_box(one, box, COLOURS[0])
    for line in np.linspace(0, 1, 15):
        across, down = box[0] + line * (box[2] - box[0]), box[1] + line * (box[3] - box[1])
        axes[0].plot([across, across], [box[1], box[3]], color=COLOURS[0], lw=0.4)
        axes[0].plot([box[0], box[2]], [down, down], color=COLOURS[0], lw=0.4)
    axes[1].imshow(learnt, cmap="Greys_r", aspect=(box[3] - box[1]) / (box[2] - box[0]))
    tint = np.zeros((*mask.shape, 4))
    tint[(mask & again) > 0] = (0.23, 0.62, 0.36, 0.6)
    tint[mask > again] = (0.88, 0.56, 0.11, 0.9)
    tint[again > mask] = (0.48, 0.31, 0.64, 0.9)
    axes[2].imshow(tint, extent=(0, mask.shape[1], mask.shape[0], 0))
    figure.tight_layout(pad=0.8)
    return figure


def label_strides() -> Figure:
    """FCN: the best that an answer of each stride could be, grown as the network grows it."""
    plate = _plate()
    truth = (plate.owners > 0).astype(np.uint8)
    height, width = truth.shape
    left, top, across, down = cv2.boundingRect(truth)
    figure, axes = pyplot.subplots(2, 2, figsize=(8.0, 3.2), dpi=100)
    for one, stride in zip(axes.flat, (16, 8, 4, 2), strict=True):
        share = torch.from_numpy(truth)[None, None].float()
        coarse = torch.nn.functional.avg_pool2d(share, stride)
        grown = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        best = max((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), key=lambda least: _overlap(truth, grown[0, 0].numpy() > least))
        said = grown[0, 0].numpy() > best
        tint = np.zeros((height, width, 4))
        tint[said] = (0.18, 0.53, 0.67, 0.65)
        one.imshow(plate.bgr[..., ::-1])
        one.imshow(tint)
        one.set_title(f"stride {stride}: overlap {_overlap(truth, said):.2f} at best", fontsize=9, color=INK)
        one.set(xlim=(left - 8, left + across + 8), ylim=(top + down + 8, top - 8), xticks=[], yticks=[])
        one.set_frame_on(False)
    figure.tight_layout(pad=0.8)
    return figure


def _overlap(truth: npt.NDArray[np.uint8], said: npt.NDArray[np.bool_]) -> float:
    return float(((truth > 0) & said).sum() / ((truth > 0) | said).sum())


def slopes() -> Figure:
    """HOG: a picture, and the directions that each of its cells keeps."""
    joined = plate()
    blocks = hog(joined, HogOptions(cell_px=8, block_cells=1))
    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 1.6), dpi=100)
    axes[0].imshow(joined)
    axes[0].set_title("64 x 256 pixels", fontsize=9, color=INK)
    axes[1].imshow(np.full_like(joined, 255))
    for row, column in np.ndindex(blocks.shape[:2]):
        middle = np.array([column, row]) * 8 + 3.5
        for number, strength in enumerate(blocks[row, column]):
            angle = np.radians((number + 0.5) * 20 + 90)  # an edge runs across its slope
            reach = 5.5 * float(strength) * np.array([np.cos(angle), np.sin(angle)])
            (left, top), (right, bottom) = middle - reach, middle + reach
            axes[1].plot([left, right], [top, bottom], color=INK, lw=0.8)
    axes[1].set_title("8 x 32 cells, nine directions each", fontsize=9, color=INK)
    return bare(figure, axes)


def springs() -> Figure:
    """DPM: where a part fits, and what a place for it is worth when it may stand beside it."""
    joined = plate()
    blocks = hog(joined, HogOptions(cell_px=4))
    template = np.ascontiguousarray(blocks[2:9, 28:35] - blocks.mean(axis=(0, 1)))
    fit = responses(blocks, template)
    worth, _, _ = spread(fit, 0.15, 0.0, 0.15, 0.0)
    figure, axes = pyplot.subplots(1, 3, figsize=(10.2, 1.6), dpi=100)
    axes[0].imshow(joined)
    axes[0].add_patch(Rectangle((112, 8), 32, 32, fill=False, ec=COLOURS[0], lw=1.8))
    for one, shown, title in (
        (axes[0], None, "the part"),
        (axes[1], fit, "where it fits"),
        (axes[2], worth, "what each place is worth"),
    ):
        if shown is not None:
            one.imshow(shown, cmap="magma", vmin=float(worth.min()), vmax=float(worth.max()))
        one.set_title(title, fontsize=9, color=INK)
    return bare(figure, axes)


def joints() -> Figure:
    """The localiser: what it learns from, a box and fourteen joints."""
    figure, axes = pyplot.subplots(1, 5, figsize=(10.2, 2.3), dpi=100)
    for number, one in enumerate(axes):
        drawn = figure_scene(1, number + 8, FigureOptions((160, 160)))
        one.imshow(drawn.bgr[..., ::-1], extent=(0, 160, 160, 0))
        (only,) = drawn.figures
        draw_box(one, only.xyxy, COLOURS[2])
        one.scatter(*only.joints.T, s=9, c="white", edgecolors=INK, linewidths=0.6)
        one.set_title(only.kind, fontsize=9, color=INK)
    return bare(figure, axes)


def windows() -> Figure:
    """OverFeat: the windows of two scales, in pixels of the picture."""
    shown = scene()
    figure, axes = panels(2, ("scale 1: windows of 95 pixels", "scale 0.5: of 190"), shown)
    for one, scale in zip(axes, (1.0, 0.5), strict=True):
        options = OverFeatOptions(width=4, hidden=8, scales=(scale,))
        middles = OverFeat(2, options).windows((_SIDE_PX, _SIDE_PX)).numpy()
        one.scatter(*((middles[:, :2] + middles[:, 2:]) / 2).T, s=1.5, c="#9a9a9a")
        step = round(_SIDE_PX * scale) // STEP_PX
        for number, place in enumerate((step * (step // 3) + step // 4, step * (step // 2) + step // 4)):
            centre = (middles[place, :2] + middles[place, 2:]) / 2
            reach = WINDOW_PX / 2 / scale
            draw_box(one, [*(centre - reach), *(centre + reach)], COLOURS[number])
            draw_box(one, middles[place], COLOURS[number], 1.0, ":")
    return figure


def crops() -> Figure:
    """R-CNN: what is proposed for each object, and what its network is shown of it."""
    shown = scene()
    found = SelectiveSearch(SelectiveSearchOptions(smallest_px=25))(shown.rgb)
    overlap = iou(found.xyxy, shown.xyxy)
    best = found.xyxy[overlap.argmax(axis=0)]
    figure, (left, right) = panels(
        2,
        (f"{len(found)} regions; thick: the best of each object", "their crops, surroundings included"),
        shown,
    )
    for box in found.xyxy:
        draw_box(left, box, "#8a8a8a", 0.25)
    for row, box in enumerate(best):
        draw_box(left, box, COLOURS[row], 1.8)
        left.text(box[0] + 3, box[1] + 11, f"{overlap[:, row].max():.2f}", fontsize=7, color=INK)
    model = Rcnn(2, RcnnOptions(backbone="tiny"))
    cut = model.crops(shown.pixels, torch.from_numpy(best)[None])[0].permute(0, 2, 3, 1).numpy()
    right.images[0].remove()
    side = model.options.crop_px
    sheet = np.ones((2 * side + 6, 3 * side + 12, 3), np.float32)
    for row, crop in enumerate(cut):
        top, start = row // 3 * (side + 6), row % 3 * (side + 6)
        sheet[top : top + side, start : start + side] = crop
    right.imshow(sheet)
    right.set(xlim=(-1, sheet.shape[1]), ylim=(sheet.shape[0], -1))
    for row in range(len(best)):
        corner = (row % 3 * (side + 6) - 0.5, row // 3 * (side + 6) - 0.5)
        right.add_patch(Rectangle(corner, side, side, fill=False, ec=COLOURS[row], lw=1.8))
    return figure


def region_cells() -> Figure:
    """Fast R-CNN: the cells of a region as RoIPool reads them, and as RoIAlign does."""
    shown, stride, size = scene(), 16, 3
    figure, (left, right) = panels(2, ("RoIPool: whole cells of the map, shared", "RoIAlign: four samples each"), shown)
    cells = _SIDE_PX // stride
    region = torch.tensor([21.0, 24.0, 153.0, 162.0])
    edge = torch.floor(region / stride + 0.5)
    limit = torch.tensor(float(cells))
    begins, ends, _ = zip(bins(edge[0], edge[2], limit, size), bins(edge[1], edge[3], limit, size), strict=True)
    for one in (left, right):
        draw_grid(one, cells, cells)
        draw_box(one, region.numpy(), INK, 1.4, "--")
    for row in range(size):
        for column in range(size):
            corner = np.array([begins[0][column], begins[1][row]]) * stride
            reach = np.array([ends[0][column], ends[1][row]]) * stride - corner
            colour = COLOURS[(row + column) % 2]
            left.add_patch(Rectangle(tuple(corner), *reach, color=colour, alpha=0.28, lw=0))
            left.add_patch(Rectangle(tuple(corner), *reach, fill=False, ec=colour, lw=1.0))
    low, extent = region[:2].numpy(), (region[2:] - region[:2]).numpy()
    for line in range(size + 1):
        x, y = low + extent * line / size
        right.plot([x, x], [low[1], low[1] + extent[1]], color=COLOURS[1], lw=1.0)
        right.plot([low[0], low[0] + extent[0]], [y, y], color=COLOURS[1], lw=1.0)
    steps = (np.arange(2 * size) + 0.5) / (2 * size)
    across, down = np.meshgrid(low[0] + extent[0] * steps, low[1] + extent[1] * steps)
    right.plot(across.ravel(), down.ravel(), ".", color=COLOURS[0], ms=4)
    for one in (left, right):
        one.set(xlim=(0, 192), ylim=(192, 0))
    return figure


def plate() -> npt.NDArray[np.uint8]:
    """A rendered plate [64, 256, 3], seen straight."""
    drawn = plate_characters(3, 1, CharacterOptions(size=(256, 64), severity=0.2))
    return np.ascontiguousarray(drawn.bgr[..., ::-1])


def bare(figure: Figure, axes: npt.NDArray[np.object_]) -> Figure:
    """Without ticks and frames."""
    for one in axes:
        one.set(xticks=[], yticks=[])
        one.set_frame_on(False)
    figure.tight_layout(pad=0.8)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "crops": crops,
    "region-cells": region_cells,
    "slopes": slopes,
    "springs": springs,
    "joints": joints,
    "windows": windows,
    "default-boxes": default_boxes,
    "responsible-cells": responsible_cells,
    "mask-cells": mask_cells,
    "label-strides": label_strides,
}


def main(names: list[str]) -> None:
    """Draw them, and tell how large they are."""
    for name in names or PICTURES:
        path = FOLDER / f"lineage-{name}.png"
        save(PICTURES[name](), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
