"""The check agrees with a sound engine, and catches one that is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import toy_networks
from onnx import numpy_helper
from typer.testing import CliRunner

from streamdet.cli.engine import engine_app
from streamdet.errors import EngineMismatch, ModelRefused
from streamdet.graft.check import check_engine, mark_proven
from streamdet.graft.families.table import FAMILIES
from streamdet.graft.graft import graft
from streamdet.graft.importer import import_model
from streamdet.graft.normalisation import RANGES
from streamdet.graft.pictures import rendered
from streamdet.graft.probe import probe
from streamdet.graft.proof import prove
from streamdet.infer.shelf import open_engine
from streamdet.manifest import Nms, load_manifest, sha256_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(toy_networks.yolov8(), tmp_path / "raw.onnx")
    return import_model(tmp_path / "raw.onnx", "toy", shelf=tmp_path / "shelf", classes=tuple("abcd")).folder


def with_other_overlap(folder: Path) -> None:
    """The graph's limit is moved, the manifest's is not: the kernel and the graph no longer do the same."""
    path = folder / "model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if not tensor.dims and np.isclose(numpy_helper.to_array(tensor), 0.45):
            tensor.CopyFrom(numpy_helper.from_array(np.float32(0.9), tensor.name))
    onnx.save(model, path)
    fields = json.loads((folder / "manifest.json").read_text())
    fields["files"][0]["sha256"] = sha256_of(path)
    (folder / "manifest.json").write_text(json.dumps(fields))


def test_every_runtime_here_agrees_with_a_sound_engine(folder):
    report = check_engine(open_engine(folder))
    assert report.passed
    agreed = [(row.runtime, row.tail) for row in report.rows if row.precision == "fp32" and row.verdict == "agrees"]
    assert {("onnx-cpu", "kernel"), ("onnx-cpu", "graph")} <= set(agreed)
    assert {"model.onnx": ()} == report.findings
    assert all(row.why for row in report.rows if row.verdict == "not here")


def test_what_agreed_is_written_down_and_what_was_proven_elsewhere_stays(folder):
    fields = json.loads((folder / "manifest.json").read_text())
    fields["files"][0]["proven_on"] = ["tensorrt"]
    (folder / "manifest.json").write_text(json.dumps(fields))
    engine = open_engine(folder)
    mark_proven(engine, check_engine(engine))
    assert {"tensorrt", "onnx-cpu"} <= set(load_manifest(folder).files[0].proven_on)
    assert {"manifest.json", "model.onnx", "CARD.md"} == {path.name for path in folder.iterdir()}


def test_a_graph_that_suppresses_otherwise_than_its_manifest_says_is_caught(folder):
    with_other_overlap(folder)
    engine = open_engine(folder)
    report = check_engine(engine)
    assert not report.passed
    assert "differs" == next(row.verdict for row in report.rows if row.tail == "graph")
    assert "onnx-cpu" not in mark_proven(engine, report).files[0].proven_on


def test_the_command_ends_with_one_where_a_runtime_differs(folder):
    assert 0 == CliRunner().invoke(engine_app, ["check", str(folder)]).exit_code
    with_other_overlap(folder)
    result = CliRunner().invoke(engine_app, ["check", str(folder)])
    assert 1 == result.exit_code
    assert "differs" in result.output


def test_an_engine_with_a_fixed_batch_is_checked_in_it(tmp_path):
    onnx.save(toy_networks.with_baked_batch(classes=4), tmp_path / "raw.onnx")
    done = import_model(tmp_path / "raw.onnx", "toy", shelf=tmp_path, family="generic", pixels="0..1")
    assert check_engine(open_engine(done.folder)).passed


def test_pictures_of_the_users_and_of_the_engine_are_used_too(folder, tmp_path):
    cv2 = pytest.importorskip("cv2")
    (folder / "golden").mkdir()
    for number, picture in enumerate(rendered((90, 70), 3)):
        cv2.imwrite(str(folder / "golden" / f"{number}.png"), picture.transpose(1, 2, 0))
    (tmp_path / "own").mkdir()
    cv2.imwrite(str(tmp_path / "own" / "one.jpg"), rendered((30, 90), 1)[0].transpose(1, 2, 0))
    report = check_engine(open_engine(folder), tmp_path / "own")
    assert report.passed
    assert 16 + 3 + 1 == report.pictures


def test_a_detector_without_suppression_cannot_be_checked(folder):
    fields = json.loads((folder / "manifest.json").read_text())
    fields |= {"nms": None}
    (folder / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(EngineMismatch, match="cannot be checked"):
        check_engine(open_engine(folder))


@pytest.mark.parametrize("value", ["stride", "threshold"])
def test_the_imports_own_proof_catches_a_graft_gone_wrong(value):
    raw = toy_networks.yolox()
    network = probe(raw, None)
    engine = graft(raw, FAMILIES["yolox"], network, 4, RANGES["0..255"], Nms())
    for tensor in engine.model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if value == "stride" and array.shape == (1, 84, 1):
            tensor.CopyFrom(numpy_helper.from_array(array * np.float32(1.01), tensor.name))
        if value == "threshold" and not array.shape and np.isclose(array, 0.45):
            tensor.CopyFrom(numpy_helper.from_array(np.float32(0.7), tensor.name))
    shown = rendered((64, 64), 8)
    with pytest.raises(ModelRefused, match="decode inside the graph" if value == "stride" else "does not find"):
        prove(raw, network, FAMILIES["yolox"], engine, RANGES["0..255"], shown, None, "toy")
