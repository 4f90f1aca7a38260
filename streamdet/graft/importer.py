"""Somebody else's ONNX file onto the shelf, in one call that proves itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamdet.errors import ConfigError, ModelRefused
from streamdet.graft.agreement import Agreement
from streamdet.graft.batching import free_batch
from streamdet.graft.classes import read_names, settle_names
from streamdet.graft.families.contract import Colour, Preparation
from streamdet.graft.families.table import choose_family, family_named
from streamdet.graft.graft import INPUT, graft
from streamdet.graft.normalisation import RANGES, PixelRange, pixel_range
from streamdet.graft.pictures import Pixels, from_files, picture_files, rendered
from streamdet.graft.probe import probe
from streamdet.graft.proof import prove
from streamdet.graft.raw import load_model
from streamdet.graft.shelving import manifest_of, put_on_shelf, refuse_name
from streamdet.manifest import EngineInput, EngineManifest, Nms, Provenance, sha256_of

PROOF_PICTURES = 16  # rendered ones
_OF_AN_ENGINE = {"count", "xyxy", "score", "class_id"}
USER_PICTURES = 48  # of the user's own, at most


@dataclass(frozen=True)
class Imported:
    """A new engine and how well it was proven."""

    folder: Path
    manifest: EngineManifest
    proof: Agreement
    remarks: tuple[str, ...] = ()


def import_model(
    path: Path,
    name: str,
    *,
    shelf: Path,
    family: str | None = None,
    classes: Path | Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    pixels: str | None = None,
    colour: Colour | None = None,
    confidence: float = 0.25,
    iou: float = 0.45,
    max_detections: int = 300,
    candidates: int = 512,
    pictures: Path | None = None,
    licence: str = "",
    replace_existing: bool = False,
) -> Imported:
    """Graft, prove and shelve; whatever is wrong is one error, and nothing is left on the shelf.

    What the file does not tell is never guessed: the family where its outputs would fit several, the size where the
    network takes any, the range of the pixels where the family leaves it open.
    """
    refuse_name(shelf, name, replace_existing)
    if family is not None:
        family_named(family)  # a misspelling is said before the model is loaded
    told = read_names(classes) if isinstance(classes, Path) else tuple(classes or ())
    raw = load_model(path)
    _refuse_engine(path, {output.name for output in raw.graph.output})
    network = probe(raw, size, told, where=path)
    chosen = choose_family(network, family, where=path)
    names, remark = settle_names(network, chosen, told, path)
    preparation = _preparation(chosen.preparation(network), pixels, colour, chosen.name)
    normalisation = RANGES[pixel_range(preparation.pixels or "")]
    free = free_batch(raw, network.size)
    fixed_batch = None if free is not None else network.batch
    nms = Nms(candidates=candidates, max_detections=max_detections, iou=iou)
    engine = graft(raw if free is None else free, chosen, network, len(names), normalisation, nms, fixed_batch)
    wanted = EngineInput(name=INPUT, size=network.size, colour=preparation.colour, fit=preparation.fit)
    shown = _proof_pictures(wanted, pictures, network.batch)
    proof = prove(raw, network, chosen, engine, normalisation, shown, fixed_batch, path)
    model_bytes = engine.model.SerializeToString()
    manifest = manifest_of(
        engine,
        name=name,
        family=chosen.name,
        size=network.size,
        classes=names,
        preparation=preparation,
        model_bytes=model_bytes,
        fixed_batch=fixed_batch,
        score=confidence,
        proven_on=("onnx-cpu",),
        provenance=Provenance(
            source=f"{path.name}, sha256 {sha256_of(path)}",
            licence=licence or network.metadata.get("license", ""),
        ),
    )
    folder = put_on_shelf(shelf, manifest, {manifest.files[0].path: model_bytes}, replace=replace_existing)
    remarks = [remark] if remark else []
    if fixed_batch:
        remarks.append(f"the network's batch is fixed: the engine takes {fixed_batch} at a time")
    if not proof.compared:
        remarks.append(
            "nothing was found on the proof pictures: only the decoded tensors were compared; try --pictures"
        )
    return Imported(folder, manifest, proof, tuple(remarks))


def _refuse_engine(path: Path, outputs: set[str]) -> None:
    """An engine of ours looks like a network with its suppression inside, which it is: say what it is instead."""
    if not outputs >= _OF_AN_ENGINE:
        return
    folder = path.resolve().parent
    if (folder / "manifest.json").is_file():
        hint = f"use it as it is: streamdet run --engine {folder}, or copy that folder to the shelf, ./engines"
    else:
        hint = "an engine is a whole folder: ask for its manifest.json too, or import the network that it was made of"
    raise ModelRefused(
        "that is an engine of streamdet already",
        where=path,
        expected="a network as it was exported, before it became an engine",
        got=f"the outputs {', '.join(sorted(_OF_AN_ENGINE))}",
        hint=hint,
    )


def _preparation(usual: Preparation, pixels: str | None, colour: Colour | None, family: str) -> Preparation:
    """The family's own way of seeing, with what the user says otherwise."""
    told: PixelRange | None = pixel_range(pixels) if pixels else usual.pixels
    if told is None:
        raise ConfigError(
            f"a {family} network does not say what pixels it was trained on",
            expected=", ".join(RANGES),
            hint="look at its training code: --pixels 0..1",
        )
    return replace(usual, pixels=told, colour=colour or usual.colour)


def _proof_pictures(wanted: EngineInput, folder: Path | None, batch: int) -> Pixels:
    """Rendered ones and the user's, in a number that fixed batches and the proof's own divide."""
    step = int(np.lcm(batch, 4))
    count = max(PROOF_PICTURES // step, 1) * step
    shown = rendered(wanted.size, count)
    if folder is None:
        return shown
    own = from_files(picture_files(folder, USER_PICTURES), wanted)
    both = np.concatenate([shown, own])
    return both[len(both) % step :]
