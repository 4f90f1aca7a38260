"""The check of an engine that reads: every runtime must say of rendered plates what plain ONNX Runtime says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import EngineMismatch, StreamdetError
from streamdet.graft.raw import Runner, load_engine_graph
from streamdet.infer.backends import CATALOGUE, available, open_backend
from streamdet.infer.contract import Session
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineManifest
from streamdet.plates.decode import Decoder
from streamdet.scenes.plate_crops import CropOptions, plate_crop

CROPS = 48
SAME = 0.01  # how far two fp32 runtimes may be apart in any probability
SHARE = 0.05  # of the texts that are read surely, how many a lower precision may read otherwise
_SURE = 0.5
_SEED = 5

Arrays = Mapping[str, npt.NDArray[Any]]
Verdict = Literal["agrees", "differs", "fails", "not here"]


@dataclass(frozen=True)
class RuntimeRow:
    """One precision on one runtime."""

    runtime: str
    precision: str
    verdict: Verdict
    why: str


def check_reader(engine: Engine, crops: npt.NDArray[np.uint8] | None = None) -> list[RuntimeRow]:
    """Run every file on every runtime on crops [n, C, H, W]; rendered ones where none are given."""
    shown = crops_for(engine.manifest) if crops is None else crops
    _, path = engine.model("fp32" if any(file.precision == "fp32" for file in engine.manifest.files) else None)
    outputs = engine.manifest.outputs
    runner = Runner(load_engine_graph(path), path, list(outputs.values()))
    pieces = [runner.run({engine.manifest.input.name: shown[i : i + 1]}) for i in range(len(shown))]
    expected = [{meaning: piece[name][0] for meaning, name in outputs.items()} for piece in pieces]
    return list(rows_of(engine, lambda runtime, precision: _row(engine, runtime, precision, expected, shown)))


def crops_for(manifest: EngineManifest) -> npt.NDArray[np.uint8]:
    """Rendered plates as the engine's input takes them."""
    if manifest.input.colour == "bgr":
        raise EngineMismatch("a reader's crops are gray or rgb", where=manifest.name, got=manifest.input.colour)
    options = CropOptions(size=manifest.input.size, colour=manifest.input.colour, glyph_px=(10.0, 40.0))
    drawn = np.stack([plate_crop(_SEED, index, options).pixels for index in range(CROPS)])
    return drawn[:, None] if drawn.ndim == 3 else np.ascontiguousarray(drawn.transpose(0, 3, 1, 2))


def rows_of(engine: Engine, row: Callable[[str, str], RuntimeRow]) -> Iterator[RuntimeRow]:
    """What `row` says of every runtime and precision that the engine has a file for."""
    written = {file.precision for file in engine.manifest.files}
    for place in available():
        for precision in CATALOGUE[place.name].precisions:
            if ("fp32" if precision == "bf16" else precision) not in written:
                continue
            yield (
                row(place.name, precision)
                if place.usable
                else RuntimeRow(place.name, precision, "not here", place.why_not or "")
            )


def _row(
    engine: Engine, runtime: str, precision: str, expected: Sequence[Arrays], shown: npt.NDArray[np.uint8]
) -> RuntimeRow:
    try:
        backend = open_backend(engine, runtime, precision, "graph")
        try:
            found = answers(backend.session(), engine.manifest, shown)
        finally:
            backend.close()
    except StreamdetError as error:
        return RuntimeRow(runtime, precision, "fails", error.line)
    worst = max(_apart(*pair) for pair in zip(expected, found, strict=True))
    compared, other = _texts(expected, found, len(engine.manifest.alphabet))
    why = f"{len(shown)} crops, {compared} read surely, {other} of them otherwise, off by at most {worst:.2g}"
    agrees = worst <= SAME if precision == "fp32" else other <= SHARE * compared
    return RuntimeRow(runtime, precision, "agrees" if agrees else "differs", why)


def answers(session: Session, manifest: EngineManifest, shown: npt.NDArray[np.uint8]) -> list[Arrays]:
    """What a session says of each crop; they go in one by one and in pairs: it must make no difference."""
    found: list[Arrays] = []
    while len(found) < len(shown):
        n = min(1 + len(found) % 2, manifest.input.batch[1], len(shown) - len(found))
        session.input(n)[:] = shown[len(found) : len(found) + n]
        arrays = session.run(n)
        found += [{name: array[i].copy() for name, array in arrays.items()} for i in range(n)]
    session.close()
    return found


def _apart(expected: Arrays, found: Arrays) -> float:
    """The largest difference of any probability."""
    return max(
        float(np.abs(_probability(meaning, array) - _probability(meaning, found[meaning])).max())
        for meaning, array in expected.items()
    )


def _probability(meaning: str, logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    values = logits.astype(np.float64)
    if meaning in ("core", "line"):
        return np.asarray(1 / (1 + np.exp(-values)), np.float64)
    axis = 0 if meaning == "glyph" else 1
    share = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(share / share.sum(axis=axis, keepdims=True), np.float64)


def _texts(expected: Sequence[Arrays], found: Sequence[Arrays], letters: int) -> tuple[int, int]:
    """How many crops are read surely, and how many of these are read otherwise here."""
    decoder = Decoder(letters)
    compared = other = 0
    for pair in zip(expected, found, strict=True):
        one, two = (decoder.read({name: array[None] for name, array in each.items()}, 0) for each in pair)
        sure = len(one) > 0 and one.score >= _SURE
        compared += sure
        other += sure and one.classes != two.classes
    return compared, other
