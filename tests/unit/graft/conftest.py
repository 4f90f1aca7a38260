"""An engine to quantise, made of a toy network."""

from __future__ import annotations

import onnx
import pytest
import toy_networks

from streamdet.graft.importer import import_model
from streamdet.infer.shelf import Engine, open_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A detector of four classes, on a shelf of its own."""
    folder = tmp_path_factory.mktemp("toy")
    onnx.save(toy_networks.yolov8(), folder / "raw.onnx")
    found = open_engine(import_model(folder / "raw.onnx", "toy", shelf=folder, classes=tuple("abcd")).folder)
    assert isinstance(found, Engine)
    return found
