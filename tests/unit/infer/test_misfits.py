"""Engines whose model is not what the manifest says: one message that names both sides, on every runtime."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tiny_engines import parrot

from streamdet.errors import ConfigError, EngineMismatch, ManifestInvalid
from streamdet.infer.backends import available, open_backend
from streamdet.manifest import sha256_of

CPU = [found.name for found in available() if found.usable and found.name in ("onnx-cpu", "openvino")]
ROADS = [(name, tail) for name in CPU for tail in ("kernel", "graph")]

pytestmark = pytest.mark.parametrize(("name", "tail"), ROADS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return parrot(tmp_path / "parrot")


def with_model(folder: Path, content: bytes) -> Path:
    (folder / "model.onnx").write_bytes(content)
    return with_manifest(folder)


def with_manifest(folder: Path, **fields: object) -> Path:
    path = folder / "manifest.json"
    found = json.loads(path.read_text()) | fields
    found["files"][0]["sha256"] = sha256_of(folder / "model.onnx")
    path.write_text(json.dumps(found))
    return folder


def test_a_truncated_model_is_refused(folder: Path, name: str, tail: str):
    content = (folder / "model.onnx").read_bytes()
    with pytest.raises(EngineMismatch):
        open_backend(with_model(folder, content[: len(content) // 2]), name, tail=tail)


def test_a_file_that_is_no_model_is_refused(folder: Path, name: str, tail: str):
    with pytest.raises(EngineMismatch):
        open_backend(with_model(folder, b"\x89PNG not a model at all" * 50), name, tail=tail)


def test_an_empty_model_is_refused(folder: Path, name: str, tail: str):
    with pytest.raises(EngineMismatch):
        open_backend(with_model(folder, b""), name, tail=tail)


def test_another_input_size_names_both_sides(folder: Path, name: str, tail: str):
    picture = json.loads((folder / "manifest.json").read_text())["input"] | {"size": [640, 480]}
    with pytest.raises(EngineMismatch, match=r"(?s)480, 640.*3, 64, 7"):
        open_backend(with_manifest(folder, input=picture), name, tail=tail)


def test_another_input_name_is_refused(folder: Path, name: str, tail: str):
    picture = json.loads((folder / "manifest.json").read_text())["input"] | {"name": "images"}
    with pytest.raises(EngineMismatch, match="images"):
        open_backend(with_manifest(folder, input=picture), name, tail=tail)


def test_a_wrong_number_of_classes_is_refused_where_the_cut_shows_it(folder: Path, name: str, tail: str):
    with_manifest(folder, classes=["only one"])
    if tail == "graph":  # behind the suppression nothing tells how many classes there are
        open_backend(folder, name, tail=tail).close()
        return
    with pytest.raises(EngineMismatch, match=r"(?s)1 classes.*3"):
        open_backend(folder, name, tail=tail)


def test_an_output_that_the_graph_lacks_is_refused(folder: Path, name: str, tail: str):
    outputs = json.loads((folder / "manifest.json").read_text())["outputs"] | {"masks": "masks"}
    if tail == "graph":
        with pytest.raises(EngineMismatch, match="masks"):
            open_backend(with_manifest(folder, outputs=outputs), name, tail=tail)


def test_a_graph_with_a_fixed_batch_must_be_declared(folder: Path, name: str, tail: str, tmp_path: Path):
    fixed = parrot(tmp_path / "fixed", batch=(2, 2))
    picture = json.loads((fixed / "manifest.json").read_text())["input"] | {"batch": [1, 4]}
    with pytest.raises(EngineMismatch, match=r"(?s)1 to 4.*exactly 2"):
        open_backend(with_manifest(fixed, input=picture), name, tail=tail)


def test_an_operator_that_nobody_knows_is_refused(folder: Path, name: str, tail: str):
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        if node.op_type == "Conv":
            node.op_type, node.domain = "Teleport", "com.example"
    model.opset_import.extend([helper.make_opsetid("com.example", 1)])
    with pytest.raises(EngineMismatch):
        open_backend(with_model(folder, model.SerializeToString()), name, tail=tail)


def test_a_graph_without_the_cut_runs_as_a_graph_or_says_why_not(folder: Path, name: str, tail: str):
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [each.replace("sd_", "my_") for each in names]
    with_model(folder, model.SerializeToString())
    if tail == "kernel":
        with pytest.raises(EngineMismatch, match="sd_boxes"):
            open_backend(folder, name, tail=tail)
    assert "graph" == open_backend(folder, name, tail="auto").tail


def test_float_pictures_are_refused(folder: Path, name: str, tail: str):
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    with pytest.raises(EngineMismatch):
        open_backend(with_model(folder, model.SerializeToString()), name, tail=tail)


def test_a_precision_without_a_file_or_unknown_here_is_refused(folder: Path, name: str, tail: str):
    with pytest.raises(ManifestInvalid, match="no fp16 file"):
        open_backend(folder, name, "fp16", tail=tail)
    with pytest.raises(ConfigError, match="int4"):
        open_backend(folder, name, "int4", tail=tail)
