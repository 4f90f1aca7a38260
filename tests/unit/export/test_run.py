"""From a training's folder to an engine: files, figures, thresholds, and what is refused or left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from overfitting import DATA, SIZE, learnt_by_heart
from rendered_sets import CLASSES, written_as_yolo
from torch import Tensor
from typer.testing import CliRunner

from streamdet.cli.engine import engine_app
from streamdet.cli.workshop import eval_app
from streamdet.errors import ConfigError, ModelRefused
from streamdet.export.engine import export_model
from streamdet.export.network import onnx_of
from streamdet.export.run import RunData, Shelved, export_run
from streamdet.infer.shelf import Engine, open_engine
from streamdet.manifest import Precision
from streamdet.models.catalogue import YoloFamily
from streamdet.models.contract import Cut, DetectionModel, Targets
from streamdet.models.weights import Trained, save_trained

pytestmark = pytest.mark.timeout(400)  # torch learns and exports here, on a machine that may be busy

ALL: tuple[Precision, ...] = ("fp16", "int8-sym", "int8-u8")
GIVEN = RunData(DATA, DATA)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder: weights, configuration, card and pictures."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    pictures = written_as_yolo(DATA, folder / "pictures", "train")
    trained = Trained(
        learnt_by_heart("yolo"), YoloFamily(size="tiny"), CLASSES, SIZE, 0.6, {"best_score": 0.4}, {"data": "toys"}
    )
    save_trained(folder / "best.pt", trained)
    data = f"data: {{train: '{pictures}:train', valid: '{pictures}:train'}}"
    (folder / "config.yaml").write_text(f"{data}\nmodel: {{family: yolo, size: tiny}}\npictures: 8\n")
    (folder / "CARD.md").write_text("# mine\n\n![loss](plots/loss.png)\nlearnt in seconds\n")
    return folder


@pytest.fixture(scope="module")
def shelved(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelved:
    """Exported in every precision; for int8-sym only three values are left to compute with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamdet.graft.quantise.LEVELS", 1)
        shelf = tmp_path_factory.mktemp("shelf")
        return export_run(run, "mine", shelf=shelf, precisions=ALL, data=GIVEN, most_points=30)


@pytest.fixture(scope="module")
def engine(shelved: Shelved) -> Engine:
    return shelved.engine


def test_a_run_becomes_an_engine_with_recipe_card_and_measured_figures(engine: Engine, run: Path):
    assert (run / "config.yaml").read_bytes() == (engine.folder / "recipe.yaml").read_bytes()
    card = (engine.folder / "CARD.md").read_text()
    assert "learnt in seconds" in card
    assert "plots/loss.png" not in card
    told = engine.manifest.provenance
    assert f"learnt from toys, scored on {DATA.name}" == told.data
    assert 1.0 == told.scores["map50"]
    assert told.scores["torch_map50_95"] == pytest.approx(told.scores["map50_95"], abs=0.002)
    assert told.scores["best_score"] == pytest.approx(engine.manifest.score, abs=0.001)
    assert 0.6 == engine.manifest.nms.iou


def test_the_engine_loses_nothing_against_torch(shelved: Shelved):
    assert shelved.lost == pytest.approx(0, abs=0.2)


def test_every_precision_is_proven_where_it_costs_little(engine: Engine):
    files = {file.precision: file.proven_on for file in engine.manifest.files}
    assert ["fp32", "fp16", "int8-u8"] == list(files)
    assert ("onnx-cpu", "openvino") == files["fp32"]
    assert ("onnx-cpu-int8-u8", "openvino-int8-u8") == files["int8-u8"]


def test_a_precision_that_costs_too_much_is_left_out_and_told(shelved: Shelved):
    refused = shelved.files["int8-sym"]
    assert isinstance(refused, ModelRefused)
    assert "points lost, 30 allowed" in str(refused)
    assert not (shelved.engine.folder / "model.int8-sym.onnx").exists()
    assert ["mine"] == [one.name for one in shelved.engine.folder.parent.iterdir()]


def test_an_engine_of_that_name_is_not_replaced_by_accident(run: Path, engine: Engine):
    with pytest.raises(ConfigError, match="already has an engine"):
        export_run(run, "mine", shelf=engine.folder.parent)


def test_int8_without_any_picture_is_refused_and_leaves_nothing(run: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="int8 needs pictures"):
        export_run(run, "mine", shelf=tmp_path, precisions=("int8-u8",), data=RunData())
    assert [] == list(tmp_path.iterdir())


# ---- the verbs


def test_a_training_and_its_engine_are_scored_by_one_command(run: Path, engine: Engine, tmp_path: Path):
    data = f"{run / 'pictures'}:train"
    figures = []
    for detector in (run, engine.folder):
        done = CliRunner().invoke(eval_app, ["detections", str(detector), data, "--json"], catch_exceptions=False)
        figures.append(json.loads(done.stdout))
    assert figures[0]["map50_95"] == pytest.approx(figures[1]["map50_95"], abs=0.002)
    told = ["detections", str(engine.folder), str(run / "pictures"), "--split", "train", "--out", str(tmp_path / "o")]
    shown = CliRunner().invoke(eval_app, told, catch_exceptions=False).output
    for word in ("mAP50-95", "disc", "square", "F1 is best"):
        assert word in shown
    assert {"confusion.png", "scores.json", "worst.jpg"} <= {one.name for one in (tmp_path / "o").iterdir()}


def test_an_export_says_what_it_is_at_on_the_error_stream(run: Path, tmp_path: Path):
    told = ["export", str(run), "--name", "mine", "--shelf", str(tmp_path)]
    done = CliRunner().invoke(engine_app, told, catch_exceptions=False)
    steps = [line for line in done.stderr.splitlines() if line.endswith("…")]
    for word in ("scoring torch", "tracing", "joining", "comparing every runtime", "scoring engine"):
        assert any(word in step for step in steps), word
    assert "…" not in done.stdout


def test_quantize_judges_by_labels_where_there_are_some(run: Path, engine: Engine):
    data = f"{run / 'pictures'}:train"
    command = ["quantize", str(engine.folder), "--precision", "int8", "--data", data, "--most-loss", "30"]
    done = CliRunner().invoke(engine_app, command, catch_exceptions=False)
    assert "points lost" in done.output
    again = open_engine(engine.folder)
    assert "int8-sym" in [file.precision for file in again.manifest.files]


def test_the_command_finds_the_pictures_that_the_run_names(run: Path, tmp_path: Path):
    command = ["export", str(run), "--name", "mine", "--shelf", str(tmp_path)]
    done = CliRunner().invoke(engine_app, command, catch_exceptions=False)
    assert "mAP50-95 on pictures/train" in done.output
    assert "onnx-cpu against torch" in done.output


def test_a_run_whose_pictures_are_gone_is_exported_with_a_note(run: Path, tmp_path: Path):
    (tmp_path / "best.pt").write_bytes((run / "best.pt").read_bytes())
    command = ["export", str(tmp_path), "--name", "mine", "--shelf", str(tmp_path / "shelf")]
    done = CliRunner().invoke(engine_app, command, catch_exceptions=False)
    assert "nothing is measured" in done.output
    assert 0.4 == open_engine(tmp_path / "shelf" / "mine").manifest.score


def test_a_precision_that_does_not_exist_is_refused(run: Path):
    with pytest.raises(ConfigError, match="no such precision"):
        CliRunner().invoke(
            engine_app, ["export", str(run), "--name", "mine", "--precision", "int4"], catch_exceptions=False
        )


# ---- models that cannot be exported


class Moody(DetectionModel):
    """Its answer has as many rows as it feels like."""

    stride = 32
    classes = 1

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 5, 32, 32)

    def forward(self, pixels: Tensor) -> Cut:
        rows = self.layer(pixels).flatten(2).transpose(1, 2)  # [B, N, 5]
        shown = rows[0, :, 4].nonzero()[:, 0]
        return Cut(rows[:, shown, :4], rows[:, shown, 4:])

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        return {"nothing": self.forward(pixels).xyxy.sum()}


def test_a_forward_that_depends_on_data_is_refused(tmp_path: Path):
    with pytest.raises(ModelRefused, match="Moody"):
        export_model(Moody(), name="moody", shelf=tmp_path, size=SIZE, classes=("a",))


def test_a_size_that_the_strides_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="multiples of 32"):
        onnx_of(Moody(), (100, 96))


def test_names_that_are_not_as_many_as_classes_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="as many"):
        export_model(Moody(), name="moody", shelf=tmp_path, size=SIZE, classes=("a", "b"))
