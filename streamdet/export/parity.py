"""The proof of an export: the engine must find what the torch model finds, on every CPU runtime that works here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from streamdet.errors import ModelRefused
from streamdet.graft.agreement import Agreement, Tolerance, agreement
from streamdet.graft.pictures import Pixels
from streamdet.graft.proof import COMPARED_ABOVE, found_in
from streamdet.graft.reference import Candidates
from streamdet.infer.backends import available, open_backend
from streamdet.infer.cut import TailPlace
from streamdet.infer.shelf import Engine
from streamdet.manifest import Nms
from streamdet.models.contract import DetectionModel

TOLERANCE = Tolerance(box_px=0.1, score=1e-3, margin=2e-3)
_EXTRAS = {"keypoints": TOLERANCE.box_px, "masks": 0.02}  # how far off they may be
_RUNTIMES = ("onnx-cpu", "openvino")
_TAILS: tuple[TailPlace, ...] = ("kernel", "graph")


def prove_against_torch(
    engine: Engine, model: DetectionModel, pictures: Pixels, score: float = COMPARED_ABOVE
) -> dict[str, Agreement]:
    """Runtime → how it agrees, its tail as a kernel and in the graph; ModelRefused where one does not.

    `model` is in evaluation mode on the CPU, `pictures` are uint8 as the engine's input takes them. Boxes may be off by
    0.1 px and scores by 0.001; decisions nearer than that to a threshold are left out. Detections below `score` are not
    compared: they are many, as good as tied, and of no use to anybody.
    """
    expected = [_candidates(model, picture) for picture in pictures]
    usable = {place.name for place in available() if place.usable}
    agreed: dict[str, Agreement] = {}
    for runtime in (name for name in _RUNTIMES if name in usable):
        for tail in _TAILS:
            found = _run(engine, runtime, tail, pictures)
            total = sum(
                (_compare(*both, engine.manifest.nms or Nms(), score) for both in zip(expected, found, strict=True)),
                Agreement(),
            )
            if not total.holds():
                raise ModelRefused(
                    "the engine does not find what the torch model finds",
                    where=f"{engine.manifest.name} on {runtime}, suppression in the {tail}",
                    expected="every detection of torch, and no other",
                    got=total,
                )
            agreed[runtime] = total
    return agreed


def _candidates(model: DetectionModel, picture: Any) -> Candidates:
    """What torch proposes for one picture, u8 [3, H, W]."""
    with torch.no_grad():
        cut = model(torch.from_numpy(picture[None]).float() / 255)
    points, masks = (None if extra is None else extra[0].numpy() for extra in (cut.keypoints, cut.masks))
    return Candidates(cut.xyxy[0].numpy(), cut.scores[0].numpy(), points, masks)


def _run(engine: Engine, runtime: str, tail: TailPlace, pictures: Pixels) -> list[dict[str, Any]]:
    """The arrays of each picture; pictures go in one, two and three at a time: it must make no difference."""
    backend = open_backend(engine, runtime, "fp32", tail)
    rows: list[dict[str, Any]] = []
    try:
        session = backend.session(1)
        while len(rows) < len(pictures):
            n = min(1 + len(rows) % 3, engine.manifest.input.batch[1], len(pictures) - len(rows))
            session.input(n)[:] = pictures[len(rows) : len(rows) + n]
            arrays = session.run(n)
            rows += [{name: array[i : i + 1].copy() for name, array in arrays.items()} for i in range(n)]
        session.close()
    finally:
        backend.close()
    return rows


def _compare(expected: Candidates, arrays: Mapping[str, Any], nms: Nms, score: float) -> Agreement:
    found = found_in(arrays, 0)
    outcome = agreement(expected, found.above(score), nms, TOLERANCE, above=score)
    shown = found.xyxy[found.score > score]
    for meaning, limit in _EXTRAS.items():
        wanted = getattr(expected, meaning)
        if wanted is not None:
            _same_extra(meaning, limit, expected.xyxy, wanted, shown, arrays[meaning][0])
    return outcome


def _same_extra(meaning: str, limit: float, every_xyxy: Any, every: Any, xyxy: Any, extras: Any) -> None:
    """Points and masks follow their boxes: those of each detection are the ones of the candidate in its place."""
    for box, extra in zip(xyxy, extras, strict=False):
        apart = np.abs(every_xyxy - box).max(axis=1)
        near = np.flatnonzero(apart <= TOLERANCE.box_px)
        off = np.abs(every[near] - extra).max(axis=(1, 2), initial=0.0)
        if not (off <= limit).any():
            raise ModelRefused(
                f"the engine's {meaning} are not those of the torch model",
                expected=f"off by at most {limit}",
                got=f"{off.min(initial=np.inf):.3g}",
            )


def summary(agreed: Mapping[str, Agreement]) -> Sequence[str]:
    """A line per runtime."""
    return [f"{runtime}: {outcome}" for runtime, outcome in agreed.items()]
