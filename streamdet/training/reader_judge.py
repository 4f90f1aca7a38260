"""How well a network reads: its maps decoded as the runtime does it, and held against the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from streamdet.evaluation.plate_texts import edits
from streamdet.models.plate_reader import PlateReader
from streamdet.plates.decode import Decoder, Reading
from streamdet.scenes.alphabets import CHARACTERS
from streamdet.training.reader_crops import JudgedCrop, JudgedCrops

_AT_ONCE = 64
_SMALL_PX, _LARGE_PX = 10.0, 16.0  # heights of characters between which reading is hard


def read_crops(model: PlateReader, crops: Sequence[JudgedCrop]) -> list[Reading]:
    """What it reads on each; the model's mode is left as it was."""
    decoder = Decoder(model.letters)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    readings = []
    for start in range(0, len(crops), _AT_ONCE):
        part = crops[start : start + _AT_ONCE]
        pixels = torch.from_numpy(np.stack([crop.pixels for crop in part]))[:, None].to(device)
        with torch.no_grad():
            maps = model(pixels.float() / 255)
        arrays = {name: np.ascontiguousarray(value.cpu().numpy()) for name, value in maps._asdict().items()}
        readings += [decoder.read(arrays, row) for row in range(len(part))]
    model.train(training)
    return readings


def judged(model: PlateReader, crops: JudgedCrops) -> dict[str, float]:
    """Figures 0..1; `score` chooses the best weights, and takes nothing from what stays unseen."""
    known, unseen = _read(model, crops.known), _read(model, crops.unseen)
    figures = {
        "exact": _share(known),
        "characters": _characters(known),
        "exact_unseen_styles": _share(unseen),
        "exact_unseen_small": _share([pair for pair in unseen if _SMALL_PX <= pair[0].glyph_px < _LARGE_PX]),
        "exact_unseen_large": _share([pair for pair in unseen if pair[0].glyph_px >= _LARGE_PX]),
        "characters_unseen": _characters(unseen),
    }
    if crops.real:
        real = _read(model, crops.real)
        alike = [(replace(crop, text=_folded(crop.text)), _folded(text)) for crop, text in real]
        figures |= {
            "exact_real": _share(real),
            "exact_real_alike": _share(alike),
            "characters_real": _characters(real),
        }
    return {"score": (figures["exact"] + figures.get("exact_real_alike", figures["exact"])) / 2, **figures}


def _read(model: PlateReader, crops: Sequence[JudgedCrop]) -> list[tuple[JudgedCrop, str]]:
    texts = ["".join(CHARACTERS[each] for each in reading.classes) for reading in read_crops(model, crops)]
    return list(zip(crops, texts, strict=True))


def _folded(text: str) -> str:
    """Without the differences that many countries' plates do not draw, and only their grammar knows."""
    return text.replace("O", "0").replace("I", "1")


def _share(pairs: Sequence[tuple[JudgedCrop, str]]) -> float:
    """Of the texts that are wholly right."""
    return sum(crop.text == text for crop, text in pairs) / max(len(pairs), 1)


def _characters(pairs: Sequence[tuple[JudgedCrop, str]]) -> float:
    """1 − edits by characters."""
    wrong = sum(edits(crop.text, text) for crop, text in pairs)
    return max(0.0, 1 - wrong / max(sum(len(crop.text) for crop, _ in pairs), 1))
