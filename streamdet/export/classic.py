"""A detector from before networks onto the shelf: a suite whose one step is the detector itself."""

from __future__ import annotations

import json
from pathlib import Path

from streamdet.export.papers import Papers
from streamdet.graft.shelving import put_procedure_on_shelf, refuse_name
from streamdet.infer.shelf import Suite
from streamdet.manifest import SuiteManifest, load_manifest
from streamdet.models.classic.saved import MODEL, load_classic

_BEST = "best_score"  # of scores.json: the threshold where F1 was best


def export_classic(
    run: Path,
    name: str,
    *,
    shelf: Path,
    score: float | None = None,
    licence: str = "",
    replace_existing: bool = False,
) -> Suite:
    """From a run's folder; there is nothing to prove: the engine is the same file, read by the same program."""
    refuse_name(shelf, name, replace_existing)
    detector = load_classic(run / MODEL)
    told = run / "scores.json"
    scores = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    threshold = score if score is not None else scores.get(_BEST)
    folder = put_procedure_on_shelf(
        shelf,
        name,
        family=detector.family,
        classes=(detector.name,),
        files={MODEL: (run / MODEL).read_bytes()},
        score=0.5 if threshold is None else round(float(threshold), 3),
        provenance=Papers().provenance(
            scores.get("provenance", {}),
            {key: scores[key] for key in ("map50", "map50_95") if scores.get(key) is not None},
            licence=licence,
        ),
        replace=replace_existing,
    )
    manifest = load_manifest(folder)
    assert isinstance(manifest, SuiteManifest)
    return Suite(folder, manifest)
