"""A trained model onto the shelf: traced, grafted, held against torch, described."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError
from streamdet.evaluation.laying import laid_out
from streamdet.export.network import inference_copy, onnx_of
from streamdet.export.parity import prove_against_torch
from streamdet.export.trial import on_trial, placed
from streamdet.graft.agreement import Agreement
from streamdet.graft.families.contract import Preparation
from streamdet.graft.families.generic import Generic
from streamdet.graft.graft import graft
from streamdet.graft.lint import Finding, lint
from streamdet.graft.normalisation import RANGES
from streamdet.graft.pictures import Pixels, rendered
from streamdet.graft.probe import probe
from streamdet.graft.shelving import manifest_of, refuse_name
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineInput, EngineManifest, Nms, Provenance
from streamdet.models.contract import DetectionModel

log = logging.getLogger(__name__)

_RENDERED = 4  # pictures of nothing in particular that are always compared
_PROVING = 32  # of a data set's


@dataclass(frozen=True)
class Exported:
    """A new engine and how well it was proven."""

    engine: Engine
    parity: dict[str, Agreement]  # runtime → against torch
    findings: tuple[Finding, ...]  # what TensorRT would say

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self.engine.folder

    @property
    def manifest(self) -> EngineManifest:
        """What it says of itself."""
        return self.engine.manifest


def export_model(
    model: DetectionModel,
    *,
    name: str,
    shelf: Path,
    size: tuple[int, int],
    classes: Sequence[str],
    keypoints: Sequence[str] = (),
    pictures: DataSet | None = None,
    nms: Nms | None = None,
    score: float = 0.25,
    provenance: Provenance | None = None,
    files: Mapping[str, bytes] | None = None,
    card: str | None = None,
    replace_existing: bool = False,
) -> Exported:
    """Whatever is wrong is one error, and nothing is left on the shelf.

    `pictures` show what it finds and prove the export; without them nothing but rendered shapes does. `files` go into
    the engine's folder beside the model: a recipe, say.
    """
    refuse_name(shelf, name, replace_existing)
    if len(classes) != model.classes:
        raise ConfigError(
            "the names of the classes are not as many as the model has classes",
            expected=model.classes,
            got=", ".join(classes),
        )
    log.info("%s: tracing the network …", name)
    network = inference_copy(model)
    raw = onnx_of(network, size)
    facts = probe(raw, size, tuple(classes), where=name)
    family = Generic(end_to_end=bool(getattr(model, "end_to_end", False)))
    log.info("%s: joining preprocessing and suppression to it …", name)
    built = graft(raw, family, facts, len(classes), RANGES["0..1"], nms or Nms())
    content = built.model.SerializeToString()
    manifest = manifest_of(
        built,
        name=name,
        family=type(model).__name__.lower(),
        size=size,
        classes=classes,
        preparation=Preparation(pixels="0..1"),
        model_bytes=content,
        score=score,
        keypoints=keypoints,
        provenance=provenance,
    )
    beside = {**(files or {}), manifest.files[0].path: content}
    shown = _shown(manifest.input, pictures)
    log.info("%s: comparing every runtime with torch, on %d pictures …", name, len(shown))
    with on_trial(manifest, beside) as trial:
        parity = prove_against_torch(trial, network, shown)
    engine = placed(manifest, beside, parity, shelf=shelf, replace_existing=replace_existing, card=card)
    return Exported(engine, parity, tuple(lint(built.model)))


def _shown(wanted: EngineInput, pictures: DataSet | None) -> Pixels:
    shapes = rendered(wanted.size, _RENDERED)
    return shapes if pictures is None else np.concatenate([laid_out(pictures, wanted, _PROVING), shapes])
