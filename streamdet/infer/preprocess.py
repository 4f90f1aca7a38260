"""From a picture's planes to an engine's uint8 input, in one pass: letterboxed, or warped from four corners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streamdet.boxes import Placement
from streamdet.infer.compiled import kernels_or_twins
from streamdet.infer.layouts import LAYOUTS, ColourOrder, Layout, component_matrix, flat_planes
from streamdet.manifest import EngineInput
from streamdet.picture import Picture, PixelFormat, Rotation

Pixels = npt.NDArray[np.uint8]

_PLANS_KEPT = 64  # sizes of pictures in use at a time; beyond it the oldest plan is made again when needed
_MOST_SAMPLES = 4  # per pixel and direction, where a warp shrinks
_FARTHEST_PX = 1e6  # corners beyond are nonsense, and would overflow
_LEAST_TURN = 1e-3  # px², twice the area of a corner's triangle


@dataclass(frozen=True, slots=True)
class Plan:
    """What depends on a picture's size and format alone: made once, used for every frame of a stream."""

    placement: Placement  # of the picture as shown
    left: int  # of the picture as stored, inside `canvas`
    top: int
    canvas: Pixels | None  # where a rotated picture is resampled before it is turned
    plane_shape: npt.NDArray[np.int64]  # [planes, 6]
    rows: npt.NDArray[np.uint64]  # [planes, h, 2]: first byte of the row above and below
    row_weight: npt.NDArray[np.uint16]  # [planes, h]: of the row below, in 256ths
    columns: npt.NDArray[np.uint64]  # [components, w]: byte of the sample on the left within its row
    column_weight: npt.NDArray[np.int32]  # [components, w]: of the sample on the right, in 2048ths
    components: npt.NDArray[np.uint64]  # [components, 2]: plane, step


class Letterbox:
    """Writes pictures into an engine's input. One per thread: it keeps tables and a scratch buffer."""

    def __init__(self, engine_input: EngineInput) -> None:
        self._input = engine_input
        self._letterbox: Callable[..., None] = kernels_or_twins().letterbox
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._matrices: dict[tuple[object, ...], npt.NDArray[np.int32]] = {}

    def write(self, picture: Picture, out: Pixels) -> Placement:
        """Fill `out` [C, H, W] with the picture and padding; returns where the picture lies."""
        flat = flat_planes(picture)
        plan = self.plan(picture, tuple(stride for _, stride in flat))
        planes = tuple(plane for plane, _ in flat)
        self._letterbox(
            (*planes, *planes, *planes)[:3],  # the kernel's tuple always holds three
            plan.plane_shape,
            plan.rows,
            plan.row_weight,
            plan.columns,
            plan.column_weight,
            plan.components,
            self.matrix(picture),
            out if plan.canvas is None else plan.canvas,
            plan.left,
            plan.top,
        )
        placement = plan.placement
        (width, height), x, y = placement.scaled_size, placement.left_px, placement.top_px
        if plan.canvas is not None:
            out[:, y : y + height, x : x + width] = np.rot90(plan.canvas, k=-picture.rotation // 90, axes=(1, 2))
        pad = self._input.fit.pad
        out[:, :y] = pad
        out[:, y + height :] = pad
        out[:, y : y + height, :x] = pad
        out[:, y : y + height, x + width :] = pad
        return placement

    def matrix(self, picture: Picture) -> npt.NDArray[np.int32]:
        """[C, 4]: from the picture's components to the engine's colours, in 13 bits; samples have 6 of their own."""
        key = (LAYOUTS[picture.format].is_yuv, picture.format == "gray", picture.matrix, picture.full_range)
        if key not in self._matrices:
            exact = component_matrix(picture, self._input.colour).astype(np.float64)
            fixed = np.round(exact * 8192)  # 13 bits, on samples with 6 of their own
            fixed[:, 3] = np.round(exact[:, 3] * 8192 * 64) + (1 << 18)
            self._matrices[key] = fixed.astype(np.int32)
        return self._matrices[key]

    def plan(self, picture: Picture, strides: tuple[int, ...]) -> Plan:
        """The tables for pictures of this size and format, whose planes' rows lie so many bytes apart."""
        size = picture.stored_size
        key = (size, picture.format, picture.rotation, strides)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) == _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[key] = _plan(self._input, size, picture.format, picture.rotation, strides)
        return plan


def _plan(
    engine_input: EngineInput,
    stored: tuple[int, int],
    pixel_format: PixelFormat,
    rotation: Rotation,
    strides: tuple[int, ...],
) -> Plan:
    sideways = rotation in (90, 270)
    placement = engine_input.placement((stored[1], stored[0]) if sideways else stored)
    width, height = placement.scaled_size[::-1] if sideways else placement.scaled_size
    canvas = np.empty((engine_input.channels, height, width), np.uint8) if rotation else None
    layout = LAYOUTS[pixel_format]
    shape = _plane_shape(layout, stored, strides)
    vertical = [_taps(height, stored[1], int(rows), int(down)) for _, _, _, rows, _, down in shape]
    horizontal = [
        _taps(width, stored[0], int(shape[part.plane, 2]), int(shape[part.plane, 4])) for part in layout.components
    ]
    return Plan(
        placement,
        0 if rotation else placement.left_px,
        0 if rotation else placement.top_px,
        canvas,
        shape,
        np.stack(
            [
                np.stack([first, np.minimum(first + 1, rows - 1)], axis=1) * stride
                for (first, _), (stride, _, _, rows, _, _) in zip(vertical, shape, strict=True)
            ]
        ).astype(np.uint64),
        np.stack([np.round(weight * 256) for _, weight in vertical]).astype(np.uint16),
        np.stack(
            [first * part.step + part.offset for (first, _), part in zip(horizontal, layout.components, strict=True)]
        ).astype(np.uint64),
        np.stack([np.round(weight * 2048) for _, weight in horizontal]).astype(np.int32),
        np.array([(part.plane, part.step) for part in layout.components], np.uint64),
    )


def _plane_shape(layout: Layout, stored: tuple[int, int], strides: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """[planes, 6]: stride and length of a row in bytes, samples across and down, pixels per sample across and down."""
    rows = []
    for p, ((across, down), stride) in enumerate(zip(layout.coarser, strides, strict=True)):
        samples = -(-stored[0] // across)
        step = next(part.step for part in layout.components if part.plane == p)
        rows.append((stride, samples * step, samples, -(-stored[1] // down), across, down))
    return np.array(rows, np.int64)


def _taps(wanted: int, pixels: int, samples: int, coarser: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """For each of `wanted` pixels: the sample before it, and the weight of the next one; half-pixel centres."""
    centre = (np.arange(wanted) + 0.5) * (pixels / wanted) / coarser - 0.5
    centre = centre.clip(0, samples - 1)
    first = centre.astype(np.int64)
    return first, centre - first


class View(NamedTuple):
    """What a warp kernel is told, in the order of its arguments."""

    plane_shape: npt.NDArray[np.int64]  # [planes, 6]
    components: npt.NDArray[np.int64]  # [components, 3]: plane, offset, step
    homography: npt.NDArray[np.float64]  # [3, 3]: pixels of the crop → pixels of the planes
    matrix: npt.NDArray[np.float64]  # [C, 4]
    across: int  # samples per pixel
    down: int


class Warp:
    """Cuts a quadrilateral out of a picture and straightens it: what a reader sees. One per thread."""

    def __init__(self, size: tuple[int, int], colour: ColourOrder) -> None:
        self.size = size
        self._colour: ColourOrder = colour
        self._warp: Callable[..., None] = kernels_or_twins().warp

    def write(self, picture: Picture, corners: npt.NDArray[np.float32], out: Pixels) -> bool:
        """Fill `out` [C, h, w] from corners [4, 2] in pixels as shown: top left, top right, bottom right, bottom left.

        What lies beyond the picture repeats its edge. Where the crop shrinks, up to 4 × 4 samples are averaged. False,
        and nothing written, where the corners do not span a convex quadrilateral: there is no such view.
        """
        flat = flat_planes(picture)
        view = self.view(picture, corners, tuple(stride for _, stride in flat))
        if view is None:
            return False
        planes = tuple(plane for plane, _ in flat)
        self._warp((*planes, *planes, *planes)[:3], *view, out)
        return True

    def view(self, picture: Picture, corners: npt.NDArray[np.float32], strides: tuple[int, ...]) -> View | None:
        """What the kernel is told of a picture whose planes' rows lie so many bytes apart, and of four corners.

        None where there is no such view.
        """
        if not _convex(corners):
            return None
        layout = LAYOUTS[picture.format]
        size = picture.stored_size
        stored = _as_stored(np.asarray(corners, np.float64), size, picture.rotation)
        edges = np.linalg.norm(stored - np.roll(stored, -1, axis=0), axis=1)  # top, right, bottom, left
        width, height = self.size
        matrix = component_matrix(picture, self._colour).astype(np.float64)
        # Grey out of YUV is luma alone: chroma is not looked at.
        parts = layout.components if matrix[:, 1:3].any() else layout.components[:1]
        return View(
            _plane_shape(layout, size, strides),
            np.array([(part.plane, part.offset, part.step) for part in parts], np.int64),
            _homography(self.size, stored),
            matrix,
            int(np.clip(round(max(edges[0], edges[2]) / width), 1, _MOST_SAMPLES)),
            int(np.clip(round(max(edges[1], edges[3]) / height), 1, _MOST_SAMPLES)),
        )


def _convex(corners: npt.NDArray[np.float32]) -> bool:
    """Whether the corners turn one way all around and enclose something."""
    if not (np.abs(corners) < _FARTHEST_PX).all():  # also where one is not a number
        return False
    edge = np.roll(corners, -1, axis=0).astype(np.float64) - corners
    after = np.roll(edge, -1, axis=0)
    turn = edge[:, 0] * after[:, 1] - edge[:, 1] * after[:, 0]
    return bool((turn > _LEAST_TURN).all() or (turn < -_LEAST_TURN).all())


def _as_stored(
    corners: npt.NDArray[np.float64], stored: tuple[int, int], rotation: Rotation
) -> npt.NDArray[np.float64]:
    """Points in pixels as shown → in pixels of the planes, before their clockwise rotation."""
    x, y = corners.T
    width, height = stored
    turned = {0: (x, y), 90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}
    return np.stack(turned[rotation], axis=1)


def _homography(size: tuple[int, int], corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[3, 3] that takes the corners of (0, 0, width, height) to the four corners, clockwise from the top left."""
    width, height = size
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    equations = np.zeros((8, 8))
    for i, ((x, y), (u, v)) in enumerate(zip(flat, corners, strict=True)):
        equations[2 * i] = x, y, 1, 0, 0, 0, -u * x, -u * y
        equations[2 * i + 1] = 0, 0, 0, x, y, 1, -v * x, -v * y
    return np.append(np.linalg.solve(equations, corners.reshape(8)), 1.0).reshape(3, 3)
