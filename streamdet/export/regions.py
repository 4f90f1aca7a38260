"""A network that looks at regions from outside, onto the shelf: traced, grafted, and beside it what proposes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError, ModelRefused
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.laying import laid_out
from streamdet.evaluation.predictors import trained_predictor
from streamdet.export.network import inference_copy, onnx_of
from streamdet.export.papers import Papers
from streamdet.export.parity import TOLERANCE
from streamdet.graft.agreement import Agreement, agreement
from streamdet.graft.families.generic import Generic
from streamdet.graft.graft import graft
from streamdet.graft.normalisation import RANGES
from streamdet.graft.pictures import Pixels, rendered
from streamdet.graft.probe import probe, spread
from streamdet.graft.proof import COMPARED_ABOVE, found_in
from streamdet.graft.reference import Candidates
from streamdet.graft.shelving import put_procedure_on_shelf, refuse_name
from streamdet.infer.shelf import Suite, open_engine, verified
from streamdet.manifest import EngineInput, Nms, Procedure, Provenance
from streamdet.models.contract import RegionModel
from streamdet.models.weights import load_trained
from streamdet.suites.program import Setup
from streamdet.suites.regions import FAMILY, MODEL, RegionNetwork, RegionOptions

_RENDERED, _REAL = 2, 6  # pictures that the graph is held against torch on: each has thousands of regions


@dataclass(frozen=True)
class ExportedRegions:
    """A new suite and how well it was proven."""

    suite: Suite
    parity: Agreement
    scores: DetectionScores | None = None  # of the torch model, which its graph agrees with


def is_region_run(run: Path) -> bool:
    """Whether a training's network looks at regions from outside."""
    return isinstance(load_trained(run).model, RegionModel)


def export_region_run(
    run: Path,
    name: str,
    *,
    shelf: Path,
    score_on: DataSet | None = None,
    score: float | None = None,
    licence: str = "",
    replace_existing: bool = False,
) -> ExportedRegions:
    """From a training's folder to a suite; whatever is wrong is one error, and nothing is left on the shelf."""
    refuse_name(shelf, name, replace_existing)
    trained = load_trained(run)
    assert isinstance(trained.model, RegionModel), "asked of a run without regions from outside"
    scores = None if score_on is None else score_detections(trained_predictor(run), score_on)
    best = trained.scores.get("best_score", 0.25) if scores is None else scores.best.score
    measured = trained.scores if scores is None else scores.figures()
    exported = export_region_model(
        trained.model,
        name=name,
        shelf=shelf,
        size=trained.size,
        classes=trained.classes,
        pictures=score_on,
        nms=Nms(iou=trained.nms_iou),
        score=round(min(max(best, 0.05), 0.95), 3) if score is None else score,
        provenance=Papers().provenance(trained.provenance, measured, licence=licence),
        replace_existing=replace_existing,
        card=Papers.of(run).card,
    )
    return replace(exported, scores=scores)


def export_region_model(
    model: RegionModel,
    *,
    name: str,
    shelf: Path,
    size: tuple[int, int],
    classes: Sequence[str],
    pictures: DataSet | None = None,
    nms: Nms | None = None,
    score: float = 0.25,
    provenance: Provenance | None = None,
    replace_existing: bool = False,
    card: str | None = None,
) -> ExportedRegions:
    """The network with its suppression as one graph of two inputs, and how its regions are proposed."""
    refuse_name(shelf, name, replace_existing)
    if len(classes) != model.classes:
        raise ConfigError(
            "the names of the classes are not as many as the model has classes",
            expected=model.classes,
            got=", ".join(classes),
        )
    network = inference_copy(model)
    raw = onnx_of(network, size)
    built = graft(raw, Generic(), probe(raw, size, tuple(classes), name), len(classes), RANGES["0..1"], nms or Nms())
    options = RegionOptions(proposals=model.proposals, regions=model.regions, size=size)
    shown = rendered(size, _RENDERED)
    if pictures is not None:
        shown = np.concatenate([laid_out(pictures, EngineInput(name="pixels", size=size), _REAL), shown])

    def put(where: Path, *, over: bool) -> Suite:
        folder = put_procedure_on_shelf(
            where,
            name,
            family=FAMILY,
            classes=classes,
            files={MODEL: built.model.SerializeToString()},
            score=score,
            options=options.model_dump(mode="json"),
            provenance=provenance,
            replace=over,
            card=card,
        )
        suite = open_engine(folder)
        assert isinstance(suite, Suite)
        return suite

    with tempfile.TemporaryDirectory(prefix="streamdet-export-") as aside:
        parity = held_against_torch(put(Path(aside), over=False), network, shown, built.nms)
    return ExportedRegions(put(shelf, over=replace_existing), parity)


def held_against_torch(suite: Suite, network: RegionModel, shown: Pixels, nms: Nms) -> Agreement:
    """How the suite's graph agrees with torch on the same pictures and regions; ModelRefused where it does not."""
    procedure = suite.manifest.detect
    assert isinstance(procedure, Procedure)
    files = {file.path: verified(suite.folder, file) for file in procedure.files}
    graph = RegionNetwork(Setup(procedure, files), network.regions)
    height, width = shown.shape[2:]
    regions = spread(len(shown), network.regions, (width, height))
    total = Agreement()
    for picture, proposed in zip(shown, regions, strict=True):
        with torch.no_grad():
            cut = network(torch.from_numpy(picture[None]).float() / 255, torch.from_numpy(proposed[None]))
        found = found_in(graph.run(picture[None], proposed), 0).above(COMPARED_ABOVE)
        expected = Candidates(cut.xyxy[0].numpy(), cut.scores[0].numpy())
        total += agreement(expected, found, nms, TOLERANCE, above=COMPARED_ABOVE)
    graph.close()
    if not total.holds():
        raise ModelRefused(
            "the suite's network does not find what the torch model finds",
            where=suite.manifest.name,
            expected="every detection of torch, and no other",
            got=total,
        )
    return total
