"""A trained segmenter onto the shelf: traced, held against torch, described."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.datasets.samples import DataSet
from streamdet.errors import ModelRefused
from streamdet.evaluation.laying import laid_out
from streamdet.export.network import inference_copy
from streamdet.export.papers import Papers
from streamdet.export.tracing import traced
from streamdet.export.trial import agreeing, on_trial, placed
from streamdet.graft.folding import fold
from streamdet.graft.graft import INPUT, IR_VERSION
from streamdet.graft.pictures import Pixels, rendered
from streamdet.graft.reader_check import RuntimeRow
from streamdet.graft.segmenter_check import check_segmenter
from streamdet.graft.shelving import refuse_name
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineFile, EngineInput, EngineManifest, Provenance
from streamdet.models.segmentation.catalogue import TrainedSegmenter, load_segmenter
from streamdet.models.segmentation.contract import SegmentationModel

SAME = 0.9995  # of the pixels, as torch and the engine label them: others are on the edge
_BATCH_LARGEST = 16
_FILE, _OUTPUT = "model.onnx", "mask"
_SHOWN = 16  # pictures of a data set that it is proven on


@dataclass(frozen=True)
class ExportedSegmenter:
    """A new engine and how well it was proven."""

    engine: Engine
    torch_alike: float  # of the pixels, how many are labelled as torch labels them
    rows: tuple[RuntimeRow, ...]


class _Labels(nn.Module):
    """uint8 pictures in, the class of each pixel out."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixels.float() / 255).argmax(dim=1).to(torch.uint8)  # type: ignore[no-any-return]


def segmenter_onnx(model: SegmentationModel, size: tuple[int, int]) -> Any:
    """The segmenter as an onnx.ModelProto: u8 [B, 3, H, W] → mask u8 [B, H, W]; the model is not touched."""
    network = _Labels(inference_copy(model))
    width, height = size
    example = {INPUT: torch.zeros(2, 3, height, width, dtype=torch.uint8)}
    made = fold(traced(network, example, [_OUTPUT], batch_largest=_BATCH_LARGEST, what="the segmenter"))
    made.ir_version = min(made.ir_version, IR_VERSION)
    return made


def export_segmenter(
    run: Path,
    name: str,
    *,
    shelf: Path,
    pictures: DataSet | None = None,
    licence: str = "",
    replace_existing: bool = False,
) -> ExportedSegmenter:
    """From a training's folder to an engine; whatever is wrong is one error, and nothing is left on the shelf."""
    refuse_name(shelf, name, replace_existing)
    trained = load_segmenter(run)
    papers = Papers.of(run)
    content = segmenter_onnx(trained.model, trained.size).SerializeToString()
    manifest = _manifest(trained, name, content, papers.provenance(trained.provenance, trained.scores, licence=licence))
    files = {_FILE: content, **papers.files}
    shown = rendered(trained.size, 4)
    if pictures is not None:
        shown = np.concatenate([laid_out(pictures, manifest.input, _SHOWN), shown])
    with on_trial(manifest, files) as trial:
        alike = alike_to_torch(trial, trained.model, shown)
        rows = tuple(check_segmenter(trial, shown))
    engine = placed(manifest, files, agreeing(rows), shelf=shelf, replace_existing=replace_existing, card=papers.card)
    return ExportedSegmenter(engine, alike, rows)


def _manifest(trained: TrainedSegmenter, name: str, content: bytes, provenance: Provenance) -> EngineManifest:
    return EngineManifest(
        name=name,
        kind="segmenter",
        family=trained.options.family,
        input=EngineInput(name=INPUT, size=trained.size, batch=(1, _BATCH_LARGEST)),
        outputs={"mask": _OUTPUT},
        classes=trained.classes,
        files=(EngineFile(path=_FILE, sha256=hashlib.sha256(content).hexdigest()),),
        provenance=provenance,
    )


def alike_to_torch(engine: Engine, model: SegmentationModel, shown: Pixels) -> float:
    """How many pixels are labelled as torch labels them; ModelRefused where that is not as good as all of them."""
    backend = open_backend(engine, "onnx-cpu", "fp32", "graph")
    session = backend.session()
    same = []
    for picture in shown:
        session.input(1)[:] = picture
        with torch.no_grad():
            wanted = model(torch.from_numpy(picture[None]).float() / 255).argmax(dim=1)
        same.append(float((session.run(1)["mask"] == wanted.numpy()).mean()))
    session.close()
    backend.close()
    alike = float(np.mean(same))
    if alike < SAME:
        raise ModelRefused("the engine does not say what torch says", expected=f"{SAME} of the pixels", got=alike)
    return alike
