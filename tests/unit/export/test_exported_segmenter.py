"""A segmenter trained for seconds, exported, and run on a clip: its map is drawn and stands in the records."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from record_schema import records_of

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.rendered_characters import CharacterSetOptions, render_characters
from streamdet.errors import DataError, ModelRefused
from streamdet.evaluation.segmentation import TorchSegmenter, open_segmenter, score_segments
from streamdet.export.segmenter import ExportedSegmenter, alike_to_torch, export_segmenter
from streamdet.graft.check import check_engine
from streamdet.graft.pictures import rendered
from streamdet.infer.detector import load_detector
from streamdet.masks import mask_of
from streamdet.models.segmentation.catalogue import is_segmenter, load_segmenter
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder, read_metrics
from streamdet.training.segmenting import SegmenterTrainOptions, run_segmenter_training

pytestmark = pytest.mark.timeout(400)  # torch learns and exports here, on a machine that may be busy

TINY: dict[str, dict[str, Any]] = {
    "u_net": {"family": "u_net", "widths": [8, 8], "depth": 1},
    "fcn": {"family": "fcn", "widths": [8, 8, 8], "depth": 1, "width": 8, "finest": 1, "windows": 2},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("characters")
    render_characters(folder, CharacterSetOptions(count=10, size=(96, 64), seed=2, valid_ratio=0.2, test_ratio=0.0))
    return folder


@pytest.fixture(scope="module", params=list(TINY))
def made(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, ExportedSegmenter]]:
    threads = torch.get_num_threads()
    run = tmp_path_factory.mktemp(request.param)
    options = SegmenterTrainOptions.model_validate(
        {
            "data": {"train": f"{data}:train", "valid": f"{data}:valid"},
            "model": TINY[request.param],
            "size": [96, 64],
            "pictures": 48,
            "batch": 4,
            "multi_scale": 0.3,
            "precision": "fp32",
            "device": "cpu",
            "threads": 1,
            "workers": 0,
            "optimiser": {"kind": "adamw", "rate": 0.02},
            "evaluation": {"times": 1},
        }
    )
    with Reporter(run / "log.txt", quiet=True) as reporter:
        outcome = run_segmenter_training(options, RunFolder(run), reporter)
    assert outcome.scores is not None
    yield run, export_segmenter(run, "segments", shelf=tmp_path_factory.mktemp("shelf"))
    torch.set_num_threads(threads)


def test_a_run_leaves_weights_and_a_card(made: tuple[Path, ExportedSegmenter]):
    run, _ = made
    assert is_segmenter(run)
    assert ("character",) == load_segmenter(run).classes
    losses = [float(row["loss"]) for row in read_metrics(RunFolder(run)) if row["loss"]]
    assert losses[-1] < losses[0]
    assert "mean iou" in (run / "CARD.md").read_text()
    assert (run / "plots" / "answers.jpg").stat().st_size > 1000


def test_the_engine_says_what_torch_says_on_every_runtime(made: tuple[Path, ExportedSegmenter]):
    exported = made[1]
    assert exported.torch_alike > 0.9995
    assert {"onnx-cpu", "openvino"} <= set(exported.engine.manifest.files[0].proven_on)
    assert ("segmenter", ("character",)) == (exported.engine.manifest.kind, exported.engine.manifest.classes)
    assert check_engine(exported.engine).passed


def test_the_engine_scores_what_torch_scores(made: tuple[Path, ExportedSegmenter], data: Path):
    run, exported = made
    trained, pictures = load_segmenter(run), open_data_set(f"{data}:valid")
    expected = score_segments(TorchSegmenter(trained.model, trained.size, trained.classes), pictures)
    predictor = open_segmenter(str(exported.engine.folder), "onnx-cpu")
    found = score_segments(predictor, pictures)
    predictor.close()
    assert expected.mean_overlap == pytest.approx(found.mean_overlap, abs=0.001)
    assert expected.mean_overlap == pytest.approx(score_segments(open_segmenter(str(run)), pictures).mean_overlap)


def test_pictures_of_another_aspect_are_labelled_without_their_margins(made: tuple[Path, ExportedSegmenter]):
    detector = load_detector(made[1].engine, "onnx-cpu")
    found = detector(np.full((200, 100, 3), 90, np.uint8))
    detector.close()
    assert 0 == len(found)
    assert found.class_map is not None
    assert (64, 32) == found.class_map.labels.shape


def test_another_model_is_refused(made: tuple[Path, ExportedSegmenter]):
    run, exported = made
    model = load_segmenter(run).model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_()
    with pytest.raises(ModelRefused, match="what torch says"):
        alike_to_torch(exported.engine, model, rendered((96, 64), 1))


def test_labels_without_outlines_are_refused(data: Path, tmp_path: Path):
    text = (data / "train.json").read_text()
    (tmp_path / "train.json").write_text(text.replace('"segmentation"', '"other"'))
    options = SegmenterTrainOptions.model_validate(
        {
            "data": {"train": {"path": str(tmp_path / "train.json"), "pictures": str(data / "images")}},
            "model": TINY["u_net"],
            "size": [96, 64],
            "pictures": 4,
        }
    )
    with Reporter(tmp_path / "log.txt", quiet=True) as reporter, pytest.raises(DataError, match="no outlines"):
        run_segmenter_training(options, RunFolder(tmp_path), reporter)


def test_a_clip_is_labelled_drawn_and_recorded(made: tuple[Path, ExportedSegmenter], tmp_path: Path):
    engine = made[1].engine.folder
    source = "synthetic:plates?size=320x240&duration=0.2&fps=10"
    out = ["--out", str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "clip.mp4")]
    command = [sys.executable, "-m", "streamdet", "run", "--source", source, "--engine", str(engine)]
    done = subprocess.run([*command, "--backend", "onnx-cpu", *out], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    results = [record for record in records_of(tmp_path / "r.jsonl") if record["schema"] == "streamdet.result/1"]
    assert 2 == len(results)
    for record in results:
        assert [] == record["objects"]
        for region in record["regions"]:
            assert "character" == region["class"]
            assert (240, 320) == mask_of(region["mask"], "here").shape
    assert (tmp_path / "clip.mp4").stat().st_size > 1000
