"""From labelled pictures to an engine without a network, by the verbs that everybody uses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from streamdet.api import load
from streamdet.cli.verbs import app
from streamdet.errors import ConfigError, DataError
from streamdet.evaluation.predictors import open_predictor
from streamdet.export.classic import export_classic
from streamdet.models.classic.saved import load_classic
from tests.unit.models.classic.crosses import Crosses


def told(*words: object) -> str:
    """What the command says; it must succeed."""
    result = CliRunner().invoke(app(), [str(word) for word in words], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return result.output


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crosses")
    drawn = Crosses(20)
    for split, numbers in (("train", range(16)), ("valid", range(16, 20))):
        images, annotations = [], []
        for number in numbers:
            sample = drawn.read(number)
            cv2.imwrite(str(folder / f"{number}.png"), sample.rgb[:, :, ::-1])
            images.append({"id": number, "file_name": f"{number}.png", "width": 160, "height": 120})
            left, top, right, bottom = sample.objects.xyxy[0].tolist()
            box = {"bbox": [left, top, right - left, bottom - top], "area": (right - left) ** 2, "iscrowd": 0}
            annotations.append({"id": number, "image_id": number, "category_id": 1, **box})
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cross"}]}
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def run(pictures: Path) -> Path:
    options = {
        "data": {"train": f"{pictures}:train", "valid": f"{pictures}:valid"},
        "model": {"family": "hog_windows", "cells": [7, 7], "cell_px": 6},
        "cost": 0.1,
    }
    config = pictures / "crosses.yaml"
    config.write_text(yaml.safe_dump(options))
    told("train", config, "--out", pictures / "run", "--quiet")
    return pictures / "run"


def test_a_run_leaves_a_detector_with_its_scores(run: Path) -> None:
    assert json.loads((run / "scores.json").read_text())["map50"] > 0.7
    card = (run / "CARD.md").read_text()
    assert "16 pictures, 16 objects" in card
    assert "streamdet train" in card or "seed" in card
    assert (run / "plots" / "worst.jpg").exists()


def test_the_exported_engine_answers_as_the_run_does(run: Path, tmp_path: Path) -> None:
    said = told("engine", "export", run, "--name", "hog-crosses", "--shelf", tmp_path)
    assert "runs without torch" in said
    rgb = Crosses(18).read(17).rgb
    expected = open_predictor(str(run))(rgb)
    found = load(str(tmp_path / "hog-crosses"))(rgb)
    best = expected.rows(expected.score > load(str(tmp_path / "hog-crosses")).score)
    np.testing.assert_array_equal(best.xyxy, found.xyxy)


def test_a_stream_runs_with_it(run: Path, pictures: Path, tmp_path: Path) -> None:
    export_classic(run, "hog-crosses", shelf=tmp_path)
    records = tmp_path / "records.jsonl"
    told("run", "--source", pictures / "17.png", "--engine", tmp_path / "hog-crosses", "--out", records)
    (record,) = [json.loads(line) for line in records.read_text().splitlines() if "streamdet.result" in line]
    assert "cross" == record["objects"][0]["class"]


def test_what_is_there_is_not_overwritten_and_foreign_flags_are_refused(run: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match="already a training"):
        told("train", pictures / "crosses.yaml", "--out", run)
    with pytest.raises(ConfigError, match="no such option"):
        told("train", pictures / "crosses.yaml", "--max-pictures", 7)


def test_another_file_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no detector can be read"):
        load_classic(tmp_path / "model.npz")
