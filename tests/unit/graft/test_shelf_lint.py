"""TensorRT's lint is green for every engine that the repository ships, in every precision."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from streamdet.graft.lint import lint
from streamdet.infer.shelf import Engine, open_engine

SHELF = Path(__file__).resolve().parents[3] / "engines"
FILES = [
    (engine, file)
    for folder in sorted(SHELF.glob("*/manifest.json"))
    if isinstance(engine := open_engine(folder.parent), Engine)
    for file in engine.manifest.files
]


def test_the_shelf_is_not_empty():
    assert FILES


@pytest.mark.parametrize(
    ("engine", "file"), FILES, ids=[f"{engine.manifest.name}-{file.precision}" for engine, file in FILES]
)
def test_tensorrt_would_take_it(engine: Engine, file):
    if file.precision == "int8-u8":
        pytest.skip("a file for CPUs: its zero-points are not zero")
    assert [] == [str(finding) for finding in lint(onnx.load(engine.folder / file.path))]
