"""What R-CNN's network says of every crop of every picture: worked out once, and kept on disk as far as is allowed.

The last steps of an R-CNN go through all pictures again and again, and the network is what takes the time. The first
R-CNN filled 200 GB; here the bound is stated, and a picture that finds no room is seen anew each time it is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from streamdet.boxes import Boxes, iou
from streamdet.datasets.samples import DataSet
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.models.rcnn import Rcnn
from streamdet.models.weights import write_whole
from streamdet.picture import Picture
from streamdet.proposals.contract import Proposer
from streamdet.proposals.on_input import regions_on

_AT_ONCE = 250  # crops


@dataclass(frozen=True)
class CropFeatures:
    """One picture's crops: its proposals, then its objects."""

    xyxy: Boxes  # f32 [N, 4], pixels of the input
    dense: npt.NDArray[np.float16]  # [N, D]
    near: npt.NDArray[np.int64]  # [n]: rows that lie so near an object that its place is learnt from them
    pooled: npt.NDArray[np.float16]  # [n, P], of these
    objects: Boxes  # f32 [M, 4], where the picture's objects lie in the input; the last M rows are theirs


class CropReader:
    """Shows the network a data set's pictures as they will be met, crop by crop."""

    def __init__(self, model: Rcnn, data_set: DataSet, size: tuple[int, int], proposer: Proposer, near: float) -> None:
        self._model, self._data_set, self._proposer, self._near = model.eval(), data_set, proposer, near
        width, height = size
        self._letterbox = Letterbox(EngineInput(name="pixels", size=size))
        self._pixels = np.zeros((3, height, width), np.uint8)

    def __call__(self, index: int) -> CropFeatures:
        """Of one picture."""
        sample = self._data_set.read(index)
        placement = self._letterbox.write(Picture((np.ascontiguousarray(sample.rgb),), "rgb24"), self._pixels)
        objects = placement.to_input(sample.objects.xyxy)
        found = regions_on(self._pixels, placement, self._proposer, self._model.regions)
        xyxy = np.concatenate([found, objects])
        near = np.flatnonzero(iou(xyxy, objects[~sample.objects.ignored]).max(axis=1, initial=0) >= self._near)
        dense, pooled = self._seen(xyxy, near)
        return CropFeatures(xyxy, dense, near, pooled, objects)

    @torch.no_grad()
    def _seen(
        self, xyxy: Boxes, near: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]:
        device = next(self._model.parameters()).device
        pixels = torch.from_numpy(self._pixels)[None].to(device).float() / 255
        is_near = np.zeros(len(xyxy), np.bool_)
        is_near[near] = True
        dense, pooled = [], []
        for start in range(0, len(xyxy), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            regions = torch.from_numpy(xyxy[part]).to(device)[None]
            seen = self._model.see(self._model.crops(pixels, regions).flatten(0, 1))
            dense.append(seen.dense.half().cpu().numpy())
            pooled.append(seen.pooled.half().cpu().numpy()[is_near[part]])
        if not dense:
            widths = self._model.svm.in_features, self._model.ridge.in_features
            return np.zeros((0, widths[0]), np.float16), np.zeros((0, widths[1]), np.float16)
        return np.concatenate(dense), np.concatenate(pooled)


class FeatureShelf:
    """Features by picture, on disk up to a bound; what is there already is taken as it is."""

    def __init__(self, folder: Path, most_mb: int, read: Callable[[int], CropFeatures]) -> None:
        """`folder` must be one of these weights and these pictures alone."""
        self._folder = folder
        self._read = read
        folder.mkdir(parents=True, exist_ok=True)
        self._room = (most_mb << 20) - sum(file.stat().st_size for file in folder.glob("*.npz"))

    def __call__(self, index: int) -> CropFeatures:
        """Of one picture, from the disk or from the network."""
        path = self._folder / f"{index}.npz"
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return CropFeatures(**{each.name: arrays[each.name] for each in fields(CropFeatures)})
        except FileNotFoundError:
            found = self._read(index)
        taken = sum(array.nbytes for array in vars(found).values())
        if taken <= self._room:
            self._room -= taken
            write_whole(path, lambda file: np.savez(file, **vars(found)))
        return found

    def clear(self) -> None:
        """Everything was learnt from it."""
        shutil.rmtree(self._folder, ignore_errors=True)
