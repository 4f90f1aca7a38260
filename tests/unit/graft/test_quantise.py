"""INT8 by explicit Q/DQ: where it goes, what it is made of, and that only what still detects gets onto the shelf."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from streamdet.cli.engine import engine_app
from streamdet.errors import ConfigError, ModelRefused
from streamdet.graft.calibration import Histogram, calibrate
from streamdet.graft.lint import lint
from streamdet.graft.pictures import rendered
from streamdet.graft.quantise import inner_convolutions, symmetric
from streamdet.graft.raw import load_engine_graph
from streamdet.infer.shelf import Engine


@pytest.fixture(scope="module")
def quantised(engine: Engine) -> onnx.ModelProto:
    model = load_engine_graph(engine.folder / "model.onnx")
    return symmetric(model, engine.manifest, rendered(engine.manifest.input.size, 8))


def test_the_first_and_the_last_convolutions_stay_as_they_are(engine: Engine, quantised: onnx.ModelProto):
    convolutions = [node for node in quantised.graph.node if node.op_type == "Conv"]
    rounded = [node for node in convolutions if node.input[1].endswith(":rounded")]
    inner = inner_convolutions(load_engine_graph(engine.folder / "model.onnx"))
    assert [node.name for node in inner] == [node.name for node in rounded]
    assert 0 < len(rounded) < len(convolutions) - 1
    assert not convolutions[0].input[1].endswith(":rounded")
    assert not convolutions[-1].input[1].endswith(":rounded")


def test_every_zero_point_is_zero_weights_have_a_scale_per_channel_and_the_lint_is_green(quantised: onnx.ModelProto):
    assert [] == lint(quantised)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    zeros = [array for name, array in stored.items() if name.endswith(":zero")]
    assert all(array.dtype == np.int8 and not array.any() for array in zeros)
    weights = [node for node in quantised.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored]
    assert weights
    for node in weights:
        integers, scale = stored[node.input[0]], stored[node.input[1]]
        assert (np.int8, (len(integers),)) == (integers.dtype, scale.shape)
        assert 127 == np.abs(integers).max()


def test_a_grouped_convolution_is_left_alone(engine: Engine):
    model = load_engine_graph(engine.folder / "model.onnx")
    inner = inner_convolutions(model)
    inner[0].attribute.append(onnx.helper.make_attribute("group", 2))
    assert len(inner) - 1 == len(inner_convolutions(model))


def test_a_network_without_inner_convolutions_is_refused(engine: Engine):
    model = load_engine_graph(engine.folder / "model.onnx")
    kept = [node for node in model.graph.node if node.op_type != "Conv"]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    with pytest.raises(ModelRefused, match="nothing to quantise"):
        symmetric(model, engine.manifest, rendered(engine.manifest.input.size, 1))


def test_ranges_are_counted_over_all_pictures(engine: Engine):
    model = load_engine_graph(engine.folder / "model.onnx")
    name = inner_convolutions(model)[0].input[0]
    pictures = rendered(engine.manifest.input.size, 3)
    together = calibrate(model, [name], "pixels", pictures, Histogram)[name]
    alone = [calibrate(model, [name], "pixels", pictures[i : i + 1], Histogram)[name] for i in range(3)]
    assert together.counts.sum() == sum(one.counts.sum() for one in alone)
    assert together.top >= max(one.top for one in alone)


def test_a_histogram_loses_nothing_when_its_range_grows():
    histogram = Histogram()
    random = np.random.default_rng(0)
    for spread in (0.1, 1.0, 30.0):
        histogram.add(random.normal(0, spread, 1000))
    assert 3000 == histogram.counts.sum()
    assert histogram.top > 60


def test_one_outlier_among_many_is_clipped_and_even_values_are_not():
    even, crowd = Histogram(), Histogram()
    even.add(np.linspace(0, 8, 100_000))
    assert 8 == pytest.approx(even.best_limit(), rel=0.01)
    crowd.add(np.append(np.random.default_rng(0).normal(0, 1, 1_000_000), 20.0))
    assert 3 < crowd.best_limit() < 10
    assert 1.0 == Histogram().best_limit()


@pytest.fixture
def folder_of_pictures(tmp_path: Path) -> Path:
    for i, picture in enumerate(rendered((160, 160), 8)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture.transpose(1, 2, 0))
    return tmp_path


@pytest.mark.parametrize(("precision", "file"), [("fp16", "model.fp16.onnx"), ("int8", "model.int8-sym.onnx")])
def test_the_command_puts_the_file_beside_the_engine(precision, file, engine: Engine, folder_of_pictures: Path):
    command = ["quantize", str(engine.folder), "--precision", precision, "--data", str(folder_of_pictures)]
    run = CliRunner().invoke(engine_app, command, catch_exceptions=False)
    assert file in run.output
    assert (engine.folder / file).is_file()


def test_int8_asks_for_pictures(engine: Engine):
    with pytest.raises(ConfigError, match="int8 needs pictures"):
        CliRunner().invoke(engine_app, ["quantize", str(engine.folder)], catch_exceptions=False)


def test_what_does_not_find_the_same_any_more_leaves_nothing_behind(
    engine: Engine, folder_of_pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("streamdet.graft.quantise.LEVELS", 1)  # three values for everything
    before = sorted(path.name for path in engine.folder.iterdir())
    command = ["quantize", str(engine.folder), "--precision", "int8", "--data", str(folder_of_pictures)]
    with pytest.raises(ModelRefused, match="does not find what the engine finds"):
        CliRunner().invoke(engine_app, command, catch_exceptions=False)
    assert before == sorted(path.name for path in engine.folder.iterdir())
