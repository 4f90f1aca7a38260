"""A reader onto the shelf: it says what torch says, in batches of any size, on every runtime that works here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.errors import ConfigError, ModelRefused
from streamdet.export.reader import apart_from_torch, export_reader, reader_onnx
from streamdet.graft.check import check_engine
from streamdet.graft.lint import lint
from streamdet.graft.raw import Runner
from streamdet.graft.shelving import put_suite_on_shelf
from streamdet.infer.shelf import Suite, open_engine
from streamdet.models.plate_reader import PlateReader, PlateReaderOptions
from streamdet.models.reader_weights import TrainedReader, save_reader
from streamdet.plates.reader import load_reader
from streamdet.scenes.alphabets import CHARACTERS

SIZE = (96, 32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder whose reader has learnt nothing, but for the figures of its norms."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    network = PlateReader.tiny().train()
    for _ in range(3):
        network(torch.rand(4, 1, SIZE[1], SIZE[0]))
    trained = TrainedReader(network.eval(), PlateReaderOptions(encoder="tiny"), CHARACTERS, SIZE, {"exact": 0.5})
    save_reader(folder / "best.pt", trained)
    (folder / "config.yaml").write_text("model: {family: plate_reader}\n")
    (folder / "CARD.md").write_text("# run\n\ntold\n\n![losses](plots/losses.png)\n")
    return folder


def test_it_reads_as_torch_does_and_stands_on_the_shelf_with_its_recipe(run: Path, tmp_path: Path) -> None:
    done = export_reader(run, "small-reader", shelf=tmp_path, licence="Apache-2.0")
    assert done.torch_apart < 1e-4
    assert {"onnx-cpu", "openvino", "openvino-bf16"} >= set(done.engine.manifest.files[0].proven_on) >= {"onnx-cpu"}
    folder = tmp_path / "small-reader"
    assert {"manifest.json", "model.onnx", "recipe.yaml", "CARD.md"} == {each.name for each in folder.iterdir()}
    assert b"site-packages" not in (folder / "model.onnx").read_bytes(), "nothing of the machine that made it"
    assert "told" in (folder / "CARD.md").read_text()
    assert "plots/" not in (folder / "CARD.md").read_text()
    assert check_engine(done.engine).passed
    assert load_reader(done.engine).worker().read_crops(np.zeros((1, 1, SIZE[1], SIZE[0]), np.uint8))
    with pytest.raises(ConfigError, match="already has an engine"):
        export_reader(run, "small-reader", shelf=tmp_path)


def test_the_graph_takes_any_batch_and_breaks_no_rule(run: Path) -> None:
    network = PlateReader.tiny().eval()
    made = reader_onnx(network, SIZE)
    assert [] == lint(made)
    runner = Runner(made, "here")
    for n in (1, 3):
        said = runner.run({"pixels": np.zeros((n, 1, SIZE[1], SIZE[0]), np.uint8)})
        assert (n, 37, 16, 48) == said["glyph"].shape
        assert (n, 48, 37) == said["sequence"].shape


def test_an_engine_of_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    done = export_reader(run, "small-reader", shelf=tmp_path)
    torch.manual_seed(9)
    with pytest.raises(ModelRefused, match="does not read what torch reads"):
        apart_from_torch(done.engine, PlateReader.tiny().eval())


def test_a_suite_wants_engines_of_the_right_kinds(run: Path, tmp_path: Path) -> None:
    export_reader(run, "small-reader", shelf=tmp_path)
    with pytest.raises(ConfigError, match="of another kind"):
        put_suite_on_shelf(tmp_path, "plates", detect="small-reader")
    detector = tmp_path / "finder"
    detector.mkdir()
    manifest = open_engine(tmp_path / "small-reader").manifest
    told = manifest.model_dump(mode="json", by_alias=True)
    told |= {"name": "finder", "kind": "detector", "classes": ["plate"], "alphabet": ""}
    told["outputs"] = {name: name for name in ("count", "xyxy", "score", "class_id")}
    (detector / "manifest.json").write_text(json.dumps(told))
    put_suite_on_shelf(tmp_path, "plates", detect="finder", read="small-reader")
    found = open_engine(tmp_path / "plates")
    assert isinstance(found, Suite)
    assert ("finder", "small-reader") == (found.manifest.detect, found.manifest.read)
