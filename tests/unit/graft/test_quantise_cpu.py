"""INT8 for CPUs: which region is rounded, that runtimes fuse all of it, and what ranges are made of."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from streamdet.errors import ModelRefused
from streamdet.graft.calibration import Spread
from streamdet.graft.check import check_engine
from streamdet.graft.pictures import rendered
from streamdet.graft.quantise_cpu import inner_region, unsigned
from streamdet.graft.raw import load_engine_graph
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineFile


@pytest.fixture(scope="module")
def plain(engine: Engine) -> onnx.ModelProto:
    return load_engine_graph(engine.folder / "model.onnx")


@pytest.fixture(scope="module")
def quantised(engine: Engine, plain: onnx.ModelProto) -> onnx.ModelProto:
    return unsigned(plain, engine.manifest, rendered(engine.manifest.input.size, 8))


def test_the_region_begins_behind_the_first_convolution_and_ends_before_the_last_ones(plain: onnx.ModelProto):
    region = {node.name for node in inner_region(plain)}
    convolutions = [node.name for node in plain.graph.node if node.op_type == "Conv"]
    assert region & set(convolutions)
    assert convolutions[0] not in region
    assert convolutions[-1] not in region


def test_nothing_that_decodes_is_in_the_region(plain: onnx.ModelProto):
    assert not {"TopK", "GatherElements", "Softmax", "MatMul", "Exp"} & {node.op_type for node in inner_region(plain)}


def test_activations_are_unsigned_and_weights_signed_with_a_scale_per_channel(quantised: onnx.ModelProto):
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    rounding = [node for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    assert rounding
    assert {np.dtype(np.uint8)} == {stored[node.input[2]].dtype for node in rounding}
    weights = [
        node
        for node in quantised.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored and stored[node.input[0]].dtype == np.int8
    ]
    assert weights
    for node in weights:
        assert len(stored[node.input[0]]) == stored[node.input[1]].size
        assert not stored[node.input[2]].any()


def test_onnx_runtime_computes_every_convolution_of_the_region_in_integers(
    plain: onnx.ModelProto, quantised: onnx.ModelProto, tmp_path: Path
):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fused = Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)
    assert sum(node.op_type == "Conv" for node in inner_region(plain)) == fused["QLinearConv"]


def test_what_int8_makes_of_noise_is_not_held_against_it(engine: Engine, quantised: onnx.ModelProto, tmp_path: Path):
    shutil.copytree(engine.folder, tmp_path / "toy")
    content = quantised.SerializeToString()
    (tmp_path / "toy" / "model.int8-u8.onnx").write_bytes(content)
    file = EngineFile(path="model.int8-u8.onnx", precision="int8-u8", sha256=hashlib.sha256(content).hexdigest())
    manifest = engine.manifest.model_copy(update={"files": (*engine.manifest.files, file)})
    report = check_engine(Engine(tmp_path / "toy", manifest))
    verdicts = {row.verdict for row in report.rows if row.precision == "int8-u8" and row.runtime == "onnx-cpu"}
    assert {"unproven"} == verdicts
    assert report.passed


def test_a_network_with_nothing_between_its_ends_is_refused(engine: Engine, plain: onnx.ModelProto):
    bare = onnx.ModelProto()
    bare.CopyFrom(plain)
    kept = [node for node in bare.graph.node if node.op_type != "Conv"]
    del bare.graph.node[:]
    bare.graph.node.extend(kept)
    with pytest.raises(ModelRefused, match="nothing to quantise"):
        unsigned(bare, engine.manifest, rendered(engine.manifest.input.size, 1))


def test_a_range_holds_zero_and_both_sides():
    spread = Spread()
    spread.add(np.linspace(-2, 8, 10_000, dtype=np.float32))
    low, high = spread.limits()
    assert -2 == pytest.approx(float(low[0]), rel=0.02)
    assert 8 == pytest.approx(float(high[0]), rel=0.02)


def test_what_is_never_negative_spends_no_level_on_it():
    spread = Spread()
    spread.add(np.linspace(0, 5, 1000, dtype=np.float32))
    assert 0 == spread.limits()[0]
    assert 0 < Spread().limits()[1]
