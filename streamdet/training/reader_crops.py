"""What a plate reader learns from and is judged by: crops drawn as they are needed, and real ones to judge by."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field

from streamdet.datasets.pictures import read_picture
from streamdet.errors import DataError
from streamdet.models.plate_reader import ReaderTargets
from streamdet.plates.rectify import widened
from streamdet.scenes.alphabets import CHARACTERS, usable_typefaces
from streamdet.scenes.plate_crops import Crop, CropOptions, plate_crop, straightened
from streamdet.scenes.plate_kinds import Kinds
from streamdet.scenes.poses import flat_corners, homography
from streamdet.training.batches import Batch
from streamdet.training.checkpoint import hash_of

Gray = npt.NDArray[np.uint8]  # [h, w]

_LONGEST = 16  # characters; sequences are padded to it
_JUDGED_SEED = 7_000_000_000  # apart from every seed that is learnt from


class RealPlates(BaseModel):
    """Plates of photographs whose outline and text are known, to judge by; never learnt from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: Annotated[Path, Field(description="The folder of the pictures.")]
    readings: Annotated[Path, Field(description="A CSV file: file, x1, y1, x2, y2, text, state, split …")]
    corners: Annotated[Path, Field(description="A CSV file: file, x1, y1, x2, y2, tl_x, tl_y, tr_x … bl_y.")]
    split: Annotated[str, Field(description="Which rows of the readings.")] = "validation"


class RenderedCrops(BaseModel):
    """The crops that are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[tuple[int, int], Field(description="Width and height of a crop, for one line and two.")] = (192, 64)
    glyph_px: Annotated[
        tuple[float, float], Field(description="Height of the characters on the sensor, from and to.")
    ] = (7.0, 60.0)
    severity: Annotated[float, Field(ge=0, description="Of light, blur, noise and transmission.")] = 1.0
    negatives: Annotated[float, Field(ge=0, le=1, description="Share of crops that show no plate.")] = 0.06
    upright_share: Annotated[float, Field(ge=0, le=1, description="Share that is cut by an upright box.")] = 0.18
    corner_error: Annotated[float, Field(ge=0, description="Of the corners; 1 is about 3 % of the plate.")] = 1.0
    typefaces: Annotated[
        Path | None, Field(description="A folder of typefaces to draw with besides our own styles; None: none.")
    ] = None
    typeface_share: Annotated[float, Field(ge=0, le=1, description="Share of plates drawn with these.")] = 0.15
    mixed_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the other plates drawn in styles that are mixed by dice.")
    ] = 0.4
    odd_share: Annotated[
        float, Field(ge=0, le=1, description="Share of free texts that are parted and sealed as no format is.")
    ] = 0.5
    judged: Annotated[int, Field(ge=1, description="Crops of each kind that are drawn to judge by.")] = 400
    real: Annotated[RealPlates | None, Field(description="Real plates to judge by as well.")] = None

    def crops(self) -> CropOptions:
        """What the renderer is told."""
        typefaces = () if self.typefaces is None else _typefaces(self.typefaces)
        kinds = Kinds(
            typefaces=typefaces,
            typeface_share=self.typeface_share,
            mixed_share=self.mixed_share,
            odd_share=self.odd_share,
        )
        return CropOptions(
            size=self.size,
            kinds=kinds,
            glyph_px=self.glyph_px,
            severity=self.severity,
            negatives=self.negatives,
            upright_share=self.upright_share,
            corner_error=self.corner_error,
        )

    def identity(self) -> str:
        """A short name for what is learnt from: another one, and a training cannot be gone on with."""
        crops = self.crops()
        faces = [Path(path).name for path in crops.kinds.typefaces]
        return hash_of({**self.model_dump(mode="json", exclude={"real", "judged", "typefaces"}), "faces": faces})


def _typefaces(folder: Path) -> tuple[str, ...]:
    found = usable_typefaces(folder) if folder.is_dir() else ()
    if not found:
        raise DataError("no typeface can be used", where=folder, expected="a folder of .ttf or .otf files")
    return found


class CropSamples:
    """Crops without end: each follows from its seed."""

    def __init__(self, options: CropOptions) -> None:
        self.options = options

    def sample(self, index: int, seed: int) -> Crop:
        """The crop of that seed."""
        return plate_crop(seed, index, self.options)


def joined(crops: Sequence[Crop]) -> Batch:
    """Crops of one size → one batch."""
    text = torch.zeros(len(crops), _LONGEST, dtype=torch.int64)
    for row, crop in enumerate(crops):
        classes = [CHARACTERS.index(character) + 1 for character in crop.text]
        text[row, : len(classes)] = torch.tensor(classes, dtype=torch.int64)
    labels, core, lines = (
        torch.from_numpy(np.stack([getattr(crop, name) for crop in crops])) for name in ("labels", "core", "lines")
    )
    pixels = torch.from_numpy(np.stack([crop.pixels for crop in crops]))[:, None]  # [B, 1, H, W]
    keys = tuple(crop.format_key or "no plate" for crop in crops)
    return Batch(keys, pixels, ReaderTargets(labels, core, lines, text))


@dataclass(frozen=True)
class JudgedCrop:
    """A crop and what is written on it."""

    pixels: Gray
    text: str
    glyph_px: float


@dataclass(frozen=True)
class JudgedCrops:
    """What a reader is judged by."""

    known: tuple[JudgedCrop, ...]  # styles and layouts that it learns from, other plates
    unseen: tuple[JudgedCrop, ...]  # styles and layouts that it has never seen
    real: tuple[JudgedCrop, ...]  # photographs

    def __len__(self) -> int:
        return len(self.known) + len(self.unseen) + len(self.real)


def crops_to_judge_by(options: RenderedCrops) -> JudgedCrops:
    """The same ones every time."""
    plates = replace(options.crops(), negatives=0.0, glyph_px=(10.0, options.glyph_px[1]))
    kinds: dict[Literal["train", "test"], CropOptions] = {
        split: replace(plates, kinds=Kinds(split=split)) for split in ("train", "test")
    }
    known, unseen = (
        tuple(_drawn(plate_crop(_JUDGED_SEED + place, index, crops)) for index in range(options.judged))
        for place, crops in enumerate(kinds.values())
    )
    return JudgedCrops(known, unseen, () if options.real is None else real_crops(options.real, options.size))


def _drawn(crop: Crop) -> JudgedCrop:
    return JudgedCrop(crop.pixels, crop.text, crop.glyph_px)


def real_crops(plates: RealPlates, size: tuple[int, int]) -> tuple[JudgedCrop, ...]:
    """The readable plates of a split whose corners are known, straightened as the runtime does it."""
    outlines = {_box(row): row for row in _rows(plates.corners)}
    chosen = [
        (row, outlines[_box(row)])
        for row in _rows(plates.readings)
        if row["split"] == plates.split and row["state"] == "readable" and _box(row) in outlines
    ]
    found: list[JudgedCrop] = []
    path, picture = "", np.zeros((1, 1), np.uint8)
    for row, outline in sorted(chosen, key=lambda pair: pair[0]["file"]):
        if row["file"] != path:
            path = row["file"]
            picture = np.asarray(cv2.cvtColor(read_picture(plates.pictures / path), cv2.COLOR_RGB2GRAY), np.uint8)
        points = [float(outline[f"{corner}_{axis}"]) for corner in ("tl", "tr", "br", "bl") for axis in "xy"]
        cutting = widened(np.array(points, np.float32).reshape(4, 2))
        back = homography(cutting, flat_corners(*size))
        crop = straightened(picture, back, cutting, CropOptions(size=size))
        found.append(JudgedCrop(crop, row["text"], float(row["character_height_px"])))
    return tuple(found)


def _box(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("file", "x1", "y1", "x2", "y2"))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DataError("labels cannot be read", where=path, got=error.strerror) from error
