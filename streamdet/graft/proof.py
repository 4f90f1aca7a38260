"""The proof of a graft: the engine must find what the raw model finds with a plain numpy decode and suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ModelRefused
from streamdet.graft.agreement import Agreement, Tolerance, agreement
from streamdet.graft.families.contract import Family, Network
from streamdet.graft.graft import INPUT, Engine
from streamdet.graft.normalisation import Normalisation
from streamdet.graft.pictures import Pixels
from streamdet.graft.probe import feeds
from streamdet.graft.raw import Runner
from streamdet.graft.reference import Candidates, Found, decode
from streamdet.infer.tail import CUT_BOXES, CUT_SCORES

# Detections of lower score are many, as good as tied, and of no use to anybody; the tensors before them are compared.
COMPARED_ABOVE = 0.01


def prove(
    raw: Any,
    network: Network,
    family: Family,
    engine: Engine,
    normalisation: Normalisation,
    pictures: Pixels,
    fixed_batch: int | None,
    where: object,
) -> Agreement:
    """Run both on the same pixels; ModelRefused where they differ, or where the decode makes no sense."""
    expected = raw_candidates(raw, network, family, engine.classes, normalisation, pictures, where)
    _make_sense(expected, family, where)
    runner = Runner(with_cut(engine.model), where)
    total = Agreement()
    step = fixed_batch or 4
    for start in range(0, len(pictures) - len(pictures) % step, step):
        arrays = runner.run({INPUT: pictures[start : start + step]})
        if not arrays["converged"].all():
            raise ModelRefused("the suppression inside the graph did not settle", where=where)
        for i in range(step):
            _cut_agrees(expected[start + i], arrays[CUT_BOXES][i], arrays[CUT_SCORES][i], engine.nms.floor, where)
            total += agreement(expected[start + i], found_in(arrays, i), engine.nms, above=COMPARED_ABOVE)
    if not total.holds():
        raise ModelRefused(
            "the engine does not find what the raw model finds",
            where=where,
            expected="every detection of the plain numpy decode, and no other",
            got=total,
            hint="is the family right? --family",
        )
    return total


def raw_candidates(
    raw: Any,
    network: Network,
    family: Family,
    classes: int,
    normalisation: Normalisation,
    pictures: Pixels,
    where: object,
) -> list[Candidates]:
    """What the raw model proposes for each picture, decoded in numpy."""
    runner = Runner(raw, where)
    prepared = prepare(pictures, normalisation)
    step = network.batch
    found: list[Candidates] = []
    for start in range(0, len(pictures) - len(pictures) % step, step):
        found += decode(family.name, runner.run(feeds(raw, prepared[start : start + step])), network, classes)
    return found


def prepare(pictures: Pixels, normalisation: Normalisation) -> npt.NDArray[np.float32]:
    """Pixels as the raw network wants them: the definition, in double precision."""
    mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (normalisation.mean, normalisation.std))
    prepared: npt.NDArray[np.float32] = ((pictures * normalisation.scale - mean) / std).astype(np.float32)
    return prepared


def found_in(arrays: Any, i: int) -> Found:
    """The i-th picture's detections in an engine's arrays."""
    n = int(arrays["count"][i])
    return Found(arrays["xyxy"][i, :n].copy(), arrays["score"][i, :n].copy(), arrays["class_id"][i, :n].copy())


def with_cut(model: Any) -> Any:
    """A copy that also gives the tensors of the cut."""
    copy = type(model)()
    copy.CopyFrom(model)
    copy.graph.output.extend(info for info in model.graph.value_info if info.name in (CUT_BOXES, CUT_SCORES))
    return copy


def _make_sense(candidates: list[Candidates], family: Family, where: object) -> None:
    """Catch a wrong family or a broken network: its numbers would run, and mean nothing."""
    scores = np.concatenate([entry.scores.ravel() for entry in candidates])
    edges = np.concatenate([entry.xyxy.ravel() for entry in candidates])
    if not (np.isfinite(scores).all() and np.isfinite(edges).all()):
        raise ModelRefused("the network gives numbers that are not finite", where=where)
    if scores.min() < -1e-3 or scores.max() > 1 + 1e-3:
        raise ModelRefused(
            f"as {family.name}, the scores are no probabilities",
            where=where,
            expected="scores in 0..1",
            got=f"{scores.min():.3g}..{scores.max():.3g}",
            hint="they may be logits (--family detr), or of another family",
        )
    if np.abs(edges).max() <= 2:
        raise ModelRefused(
            f"as {family.name}, every box is smaller than two pixels",
            where=where,
            expected="boxes in pixels of the input",
            got=f"edges in {edges.min():.3g}..{edges.max():.3g}",
            hint="they may be parts of the input (--family detr or ssd)",
        )


def _cut_agrees(
    expected: Candidates,
    xyxy: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    floor: float,
    where: object,
) -> None:
    """Where the suppression has nothing to choose from, the tensors in front of it are still held to the decode."""
    tolerance = Tolerance()
    shown = expected.best()[0] > floor + tolerance.margin
    rows = min(len(expected.xyxy), len(xyxy))  # a variable number of detections is padded, or was
    shown = shown[:rows]
    off_score = np.abs(expected.scores[:rows] - scores[:rows]).max(initial=0.0)
    extent = np.maximum(1.0, np.abs(expected.xyxy[:rows]).max(axis=1, initial=0.0) / 1000)
    off_px = (np.abs(expected.xyxy[:rows] - xyxy[:rows]).max(axis=1, initial=0.0) / extent)[shown].max(initial=0.0)
    if off_score > tolerance.score or off_px > tolerance.box_px:
        raise ModelRefused(
            "the decode inside the graph differs from the plain numpy one",
            where=where,
            expected=f"boxes within {tolerance.box_px} px, scores within {tolerance.score}",
            got=f"{off_px:.3g} px, {off_score:.3g}",
        )
