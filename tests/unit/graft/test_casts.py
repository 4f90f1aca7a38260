"""FP16 reaches the network and nothing behind it, and comes onto the shelf through the check only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import toy_networks
from onnx import TensorProto, numpy_helper

from streamdet.errors import ModelRefused
from streamdet.graft.casts import before_the_last_product, half
from streamdet.graft.families.table import FAMILIES
from streamdet.graft.gate import add_file
from streamdet.graft.graft import graft
from streamdet.graft.importer import import_model
from streamdet.graft.lint import lint
from streamdet.graft.normalisation import RANGES
from streamdet.graft.pictures import rendered
from streamdet.graft.probe import probe
from streamdet.graft.raw import Runner
from streamdet.infer.shelf import open_engine
from streamdet.manifest import Nms, load_manifest


def engine(family: str, raw: Any) -> Any:
    return graft(raw, FAMILIES[family], probe(raw, None), 4, RANGES["0..1"], Nms()).model


@pytest.mark.parametrize(
    ("family", "make"),
    [("yolox", toy_networks.yolox), ("yolov8", toy_networks.yolov8), ("detr", toy_networks.detr_with_sizes)],
)
def test_the_network_computes_in_half_and_the_decode_in_full(family, make):
    model = engine(family, make())
    cast = half(model)
    onnx.checker.check_model(cast, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(cast)
    kinds = {
        info.name: info.type.tensor_type.elem_type for info in (*inferred.graph.value_info, *inferred.graph.output)
    }
    convolutions = [node for node in cast.graph.node if node.op_type == "Conv"]
    assert convolutions
    assert {TensorProto.FLOAT16} == {kinds[node.output[0]] for node in convolutions}
    assert {TensorProto.FLOAT} == {kinds[name] for name in ("sd_boxes", "sd_scores", "xyxy", "score")}
    assert [] == lint(cast)
    shown = {"pixels": rendered(probe(make(), None).size, 2)}
    full, less = Runner(model, "full").run(shown), Runner(cast, "half").run(shown)
    np.testing.assert_allclose(full["score"], less["score"], atol=0.02)


def test_the_engine_itself_is_left_as_it_was():
    model = engine("yolox", toy_networks.yolox())
    before = model.SerializeToString()
    half(model)
    assert before == model.SerializeToString()


def test_what_is_cast_ends_with_the_last_product_of_the_network():
    model = engine("yolov8", toy_networks.yolov8())
    chosen = before_the_last_product(model.graph)
    assert "Conv" == chosen[-1].op_type
    assert not {"TopK", "Softplus"} & {node.op_type for node in chosen}


def test_a_weight_beyond_half_precision_is_refused():
    model = engine("yolox", toy_networks.yolox())
    tensor = next(one for one in model.graph.initializer if len(one.dims) == 4 and one.dims[0] == 8)
    tensor.CopyFrom(numpy_helper.from_array(np.full(tuple(tensor.dims), 1e6, np.float32), tensor.name))
    with pytest.raises(ModelRefused, match="too large for FP16"):
        half(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(toy_networks.yolov8(), tmp_path / "raw.onnx")
    return import_model(tmp_path / "raw.onnx", "toy", shelf=tmp_path / "shelf", classes=tuple("abcd")).folder


def test_a_file_that_passes_the_check_joins_the_engine(folder):
    report = add_file(open_engine(folder), "fp16", half(onnx.load(folder / "model.onnx")))
    manifest = load_manifest(folder)
    assert ["fp32", "fp16"] == [file.precision for file in manifest.files]
    assert "onnx-cpu-fp16" in manifest.file("fp16").proven_on
    assert report.passed
    assert [folder] == list(folder.parent.iterdir())


def test_a_file_that_finds_something_else_does_not(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    broken = half(onnx.load(folder / "model.onnx"))
    for tensor in broken.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16 and len(tensor.dims) == 4:
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    with pytest.raises(ModelRefused, match="does not find what the engine finds"):
        add_file(open_engine(folder), "fp16", broken)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert [folder] == list(folder.parent.iterdir())
