"""A trained plate reader onto the shelf: traced, held against torch, described."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.errors import ModelRefused
from streamdet.export.network import inference_copy
from streamdet.export.papers import Papers
from streamdet.export.tracing import traced
from streamdet.export.trial import agreeing, on_trial, placed
from streamdet.graft.folding import fold
from streamdet.graft.graft import IR_VERSION
from streamdet.graft.reader_check import SAME, RuntimeRow, check_reader, crops_for
from streamdet.graft.shelving import refuse_name
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Fit, Provenance
from streamdet.models.plate_reader import Maps, PlateReader
from streamdet.models.reader_weights import TrainedReader, load_trained_reader

_INPUT = "pixels"
_BATCH_LARGEST = 16
_FILE = "model.onnx"


@dataclass(frozen=True)
class ExportedReader:
    """A new engine and how well it was proven."""

    engine: Engine
    torch_apart: float  # the largest difference of a probability between torch and ONNX Runtime
    rows: tuple[RuntimeRow, ...]


class _FromPixels(nn.Module):
    """uint8 crops in, the maps as a plain tuple out."""

    def __init__(self, model: PlateReader) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(pixels.float() / 255))


def reader_onnx(model: PlateReader, size: tuple[int, int]) -> Any:
    """The reader as an onnx.ModelProto: u8 [B, 1, H, W] → its maps by their names; the model is not touched."""
    network = _FromPixels(inference_copy(model))
    width, height = size
    example = {_INPUT: torch.zeros(2, 1, height, width, dtype=torch.uint8)}
    made = fold(traced(network, example, Maps._fields, batch_largest=_BATCH_LARGEST, what="the reader"))
    made.ir_version = min(made.ir_version, IR_VERSION)
    return made


def export_reader(
    run: Path,
    name: str,
    *,
    shelf: Path,
    licence: str = "",
    replace_existing: bool = False,
) -> ExportedReader:
    """From a training's folder to an engine; whatever is wrong is one error, and nothing is left on the shelf."""
    refuse_name(shelf, name, replace_existing)
    trained = load_trained_reader(run)
    papers = Papers.of(run)
    content = reader_onnx(trained.model, trained.size).SerializeToString()
    manifest = _manifest(trained, name, content, papers.provenance(trained.provenance, trained.scores, licence=licence))
    files = {_FILE: content, **papers.files}
    with on_trial(manifest, files) as trial:
        apart = apart_from_torch(trial, trained.model)
        rows = tuple(check_reader(trial))
    engine = placed(manifest, files, agreeing(rows), shelf=shelf, replace_existing=replace_existing, card=papers.card)
    return ExportedReader(engine, apart, rows)


def _manifest(trained: TrainedReader, name: str, content: bytes, provenance: Provenance) -> EngineManifest:
    return EngineManifest(
        name=name,
        kind="reader",
        family="plate_reader",
        input=EngineInput(
            name=_INPUT, size=trained.size, colour="gray", fit=Fit(mode="stretch"), batch=(1, _BATCH_LARGEST)
        ),
        outputs={meaning: meaning for meaning in Maps._fields},
        alphabet=trained.alphabet,
        files=(EngineFile(path=_FILE, sha256=hashlib.sha256(content).hexdigest()),),
        provenance=provenance,
    )


def apart_from_torch(engine: Engine, model: PlateReader) -> float:
    """The largest difference of a probability; ModelRefused where the engine does not say what torch says."""
    from streamdet.infer.backends import open_backend

    shown = crops_for(engine.manifest)
    backend = open_backend(engine, "onnx-cpu", "fp32", "graph")
    session = backend.session()
    session.input(1)[:] = shown[:1]
    worst = 0.0
    for crop in shown:
        session.input(1)[:] = crop
        arrays = session.run(1)
        with torch.no_grad():
            maps = model(torch.from_numpy(crop[None]).float() / 255)
        for meaning, wanted in maps._asdict().items():
            got = torch.from_numpy(np.ascontiguousarray(arrays[meaning]))
            worst = max(worst, float((_share(meaning, wanted) - _share(meaning, got)).abs().max()))
    session.close()
    backend.close()
    if worst > SAME:
        raise ModelRefused("the engine does not read what torch reads", expected=f"at most {SAME}", got=f"{worst:.2g}")
    return worst


def _share(meaning: str, logits: Tensor) -> Tensor:
    if meaning in ("core", "line"):
        return logits.sigmoid()
    return logits.softmax(dim=1 if meaning == "glyph" else 2)
