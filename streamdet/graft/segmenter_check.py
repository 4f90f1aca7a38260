"""The check of an engine that labels pixels: every runtime must say of them what plain ONNX Runtime says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamdet.errors import StreamdetError
from streamdet.graft.pictures import Pixels, rendered
from streamdet.graft.raw import Runner, load_engine_graph
from streamdet.graft.reader_check import RuntimeRow, answers, rows_of
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine

PICTURES = 16
SHARE = {"fp32": 0.0005, "fp16": 0.01}  # of the pixels, how many may be labelled otherwise: those on the edge
SHARE_ELSE = 0.05

Labels = npt.NDArray[np.uint8]


def check_segmenter(engine: Engine, pictures: Pixels | None = None) -> list[RuntimeRow]:
    """Run every file on every runtime on pictures [n, C, H, W]; rendered ones where none are given."""
    shown = rendered(engine.manifest.input.size, PICTURES, seed=1) if pictures is None else pictures
    _, path = engine.model("fp32" if any(file.precision == "fp32" for file in engine.manifest.files) else None)
    name = engine.manifest.outputs["mask"]
    runner = Runner(load_engine_graph(path), path, [name])
    expected = [runner.run({engine.manifest.input.name: shown[i : i + 1]})[name][0] for i in range(len(shown))]
    return list(rows_of(engine, lambda runtime, precision: _row(engine, runtime, precision, expected, shown)))


def _row(engine: Engine, runtime: str, precision: str, expected: Sequence[Labels], shown: Pixels) -> RuntimeRow:
    try:
        backend = open_backend(engine, runtime, precision, "graph")
        try:
            found = answers(backend.session(), engine.manifest, shown)
        finally:
            backend.close()
    except StreamdetError as error:
        return RuntimeRow(runtime, precision, "fails", error.line)
    other = float(np.mean([wanted != got["mask"] for wanted, got in zip(expected, found, strict=True)]))
    why = f"{len(shown)} pictures, {100 * other:.3f} % of their pixels otherwise"
    return RuntimeRow(runtime, precision, "agrees" if other <= SHARE.get(precision, SHARE_ELSE) else "differs", why)
