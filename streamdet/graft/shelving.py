"""Putting an engine on the shelf: written aside, then renamed, so that nobody ever sees half of one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamdet.errors import ConfigError
from streamdet.graft.families.contract import Preparation
from streamdet.graft.graft import INPUT, Engine
from streamdet.infer.shelf import open_engine
from streamdet.manifest import (
    EngineFile,
    EngineInput,
    EngineManifest,
    Precision,
    Procedure,
    Provenance,
    SuiteManifest,
    dump_manifest,
)

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
BATCH_LARGEST = 32  # what the manifest promises of an engine whose batch is free


def manifest_of(
    engine: Engine,
    *,
    name: str,
    family: str,
    size: tuple[int, int],
    classes: Sequence[str],
    preparation: Preparation,
    model_bytes: bytes,
    fixed_batch: int | None = None,
    precision: Precision = "fp32",
    score: float = 0.25,
    keypoints: Sequence[str] = (),
    provenance: Provenance | None = None,
    proven_on: Sequence[str] = (),
) -> EngineManifest:
    """The manifest of a grafted detector whose one file is `model_bytes`."""
    return EngineManifest(
        name=name,
        kind="detector",
        family=family,
        input=EngineInput(
            name=INPUT,
            size=size,
            colour=preparation.colour,
            fit=preparation.fit,
            batch=(fixed_batch, fixed_batch) if fixed_batch else (1, BATCH_LARGEST),
        ),
        outputs=engine.outputs,
        classes=tuple(classes),
        keypoints=tuple(keypoints),
        nms=engine.nms,
        score=score,
        files=(
            EngineFile(
                path="model.onnx" if precision == "fp32" else f"model.{precision}.onnx",
                precision=precision,
                sha256=hashlib.sha256(model_bytes).hexdigest(),
                proven_on=tuple(proven_on),
            ),
        ),
        provenance=provenance or Provenance(),
    )


def put_on_shelf(
    shelf: Path,
    manifest: EngineManifest | SuiteManifest,
    files: Mapping[str, bytes],
    *,
    replace: bool = False,
    card: str | None = None,
) -> Path:
    """Write manifest, card and files as one folder; an existing engine only goes if `replace` says so."""
    folder = shelf / manifest.name
    refuse_name(shelf, manifest.name, replace)
    shelf.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{manifest.name}.", suffix=".partial", dir=shelf))
    try:
        for name, content in files.items():
            (aside / name).write_bytes(content)
        (aside / "CARD.md").write_text(card or card_of(manifest), encoding="utf-8")
        (aside / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
        aside.chmod(0o755)  # mkdtemp lets only its owner in
        swap_in(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def put_suite_on_shelf(shelf: Path, name: str, *, detect: str, read: str | None = None, replace: bool = False) -> Path:
    """A suite: what one engine finds, the other reads. Both must stand on the same shelf."""
    kinds = {"detector": detect} | ({} if read is None else {"reader": read})
    for kind, part in kinds.items():
        manifest = open_engine(shelf / part).manifest
        detects = isinstance(manifest, SuiteManifest) and manifest.read is None  # by a procedure, as an engine would
        if (found := "detector" if detects else manifest.kind) != kind:
            raise ConfigError("an engine of a suite is of another kind", where=shelf / part, expected=kind, got=found)
    return put_on_shelf(shelf, SuiteManifest(name=name, kind="suite", detect=detect, read=read), {}, replace=replace)


def put_procedure_on_shelf(
    shelf: Path,
    name: str,
    *,
    family: str,
    classes: Sequence[str],
    files: Mapping[str, bytes],
    score: float = 0.25,
    longest_px: int | None = None,
    options: Mapping[str, Any] | None = None,
    provenance: Provenance | None = None,
    replace: bool = False,
    card: str | None = None,
) -> Path:
    """A suite that detects by a program of this package; `files` are what it learnt."""
    procedure = Procedure(
        family=family,
        classes=tuple(classes),
        score=score,
        longest_px=longest_px,
        options=dict(options or {}),
        files=tuple(
            EngineFile(path=path, sha256=hashlib.sha256(content).hexdigest()) for path, content in files.items()
        ),
    )
    manifest = SuiteManifest(name=name, kind="suite", detect=procedure, provenance=provenance or Provenance())
    return put_on_shelf(shelf, manifest, files, replace=replace, card=card)


def refuse_name(shelf: Path, name: str, replace: bool) -> None:
    """Raise where the name is none, or the shelf already holds something under it."""
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            "not a name for an engine",
            expected="letters, digits, dots, dashes and underscores, at most 64, a letter or digit first",
            got=name,
        )
    if (shelf / name).exists() and not replace:
        raise ConfigError(
            f"the shelf already has an engine called {name}",
            where=shelf / name,
            hint="choose another --name, or replace it with --force",
        )


def swap_in(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; an engine that stands there is moved out of the way first."""
    if not folder.exists():
        os.rename(aside, folder)
        return
    old = aside.with_suffix(".old")
    os.rename(folder, old)
    try:
        os.rename(aside, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old)


def card_of(manifest: EngineManifest | SuiteManifest) -> str:
    """CARD.md: what a person wants to know of an engine, from its manifest alone."""
    rows = _suite_rows(manifest) if isinstance(manifest, SuiteManifest) else _engine_rows(manifest)
    told = manifest.provenance.model_dump(exclude={"scores"})
    if manifest.provenance.recipe.endswith(".yaml"):
        told["recipe"] += f": streamdet train {manifest.provenance.recipe} --out RUN"
    rows += [(key, str(value)) for key, value in told.items() if value]
    rows += [(key, f"{value:.4g}") for key, value in manifest.provenance.scores.items()]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return f"# {manifest.name}\n\n| | |\n|---|---|\n{table}\n"


def _suite_rows(manifest: SuiteManifest) -> list[tuple[str, str]]:
    rows = [("steps", " then ".join(manifest.steps))]
    if isinstance(manifest.detect, Procedure):
        rows.append(("classes", _listed(manifest.detect.classes)))
        rows.append(("score threshold", f"{manifest.detect.score}"))
        rows += [(file.path, f"sha256 {file.sha256[:16]}…") for file in manifest.detect.files]
    return rows


def _listed(classes: Sequence[str]) -> str:
    return f"{len(classes)}: {', '.join(classes[:8])}{' …' * (len(classes) > 8)}"


def _engine_rows(manifest: EngineManifest) -> list[tuple[str, str]]:
    seen, nms = manifest.input, manifest.nms
    width, height = seen.size
    smallest, largest = seen.batch
    rows = [
        ("kind", f"{manifest.kind}, family {manifest.family}"),
        ("input", f"{width}x{height}, {seen.colour}, {seen.fit.mode}, pad {seen.fit.pad}"),
        ("batch", f"{smallest}" if smallest == largest else f"{smallest} to {largest}"),
    ]
    if manifest.alphabet:
        rows.append(("alphabet", manifest.alphabet))
    else:
        rows.append(("classes", _listed(manifest.classes)))
    if manifest.keypoints:
        rows.append(("keypoints", ", ".join(manifest.keypoints)))
    if manifest.kind == "detector":
        rows.append(("score threshold", f"{manifest.score}"))
    if nms is not None and nms.end_to_end:
        rows.append(("suppression", "none: the network gives no duplicates"))
    elif nms is not None:
        rows.append(("suppression", f"IoU {nms.iou}, {nms.candidates} candidates, {nms.max_detections} detections"))
    rows += [(file.path, f"{file.precision}, sha256 {file.sha256[:16]}…") for file in manifest.files]
    return rows
