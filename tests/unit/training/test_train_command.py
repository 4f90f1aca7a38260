"""`streamdet train` as its users meet it: real pictures in a folder, real processes, real signals."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_training import same
from typer.testing import CliRunner

from streamdet.cli.train import _read as read_options
from streamdet.cli.verbs import app
from streamdet.config.strict_yaml import load
from streamdet.config.validation import validated
from streamdet.errors import ConfigError, DataError
from streamdet.evaluation.detections import DetectionScores
from streamdet.models.weights import load_trained
from streamdet.training.course import Outcome
from streamdet.training.options import TrainOptions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.running import run_training

ROOT = Path(__file__).resolve().parents[3]


def draw_pictures(folder: Path, split: str, count: int, seed: int) -> None:
    """A COCO file and its pictures: a disc or a square on noise."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for number in range(1, count + 1):
        rgb = random.integers(0, 60, (80, 96, 3), np.uint8)
        left, top, side = int(random.integers(0, 60)), int(random.integers(0, 44)), int(random.integers(20, 36))
        kind = int(random.integers(2))
        if kind:
            cv2.rectangle(rgb, (left, top), (left + side - 1, top + side - 1), (230, 200, 40), -1)
        else:
            cv2.circle(rgb, (left + side // 2, top + side // 2), side // 2, (40, 90, 230), -1)
        name = f"{split}_{number}.png"
        cv2.imwrite(str(folder / name), rgb)
        images.append({"id": number, "file_name": name, "width": 96, "height": 80})
        box = {"bbox": [left, top, side, side], "area": side * side, "iscrowd": 0}
        annotations.append({"id": number, "image_id": number, "category_id": kind + 1, **box})
    classes = [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}]
    content = {"images": images, "annotations": annotations, "categories": classes}
    (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder, "train", 24, 0)
    draw_pictures(folder, "valid", 6, 1)
    return folder


def values(source: Path, **changes: Any) -> dict[str, Any]:
    return {
        "data": {"train": f"{source}:train", "valid": f"{source}:valid"},
        "model": {"family": "yolo", "size": "tiny"},
        "size": 64,
        "pictures": 120,
        "batch": 4,
        "device": "cpu",
        "threads": 1,
        "workers": 0,
        "precision": "fp32",
        "checkpoint_s": 0,
        "evaluation": {"times": 2},
    } | changes


def run_here(folder: RunFolder, options: TrainOptions) -> Outcome[DetectionScores]:
    with Reporter(quiet=True) as reporter:
        resumes = f"--resume {folder.path}" if folder.checkpoint.exists() else f"--out {folder.path}"
        return run_training(options, folder, reporter, command=f"streamdet train {resumes}")


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamdet", "train", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def endless(pictures: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A training of many steps that has saved its first one."""
    process = started(str(_config(tmp_path, pictures, pictures=100_000)), "--out", str(tmp_path / "run"))
    _wait_for_steps(process, tmp_path / "run", 1)
    yield process
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def _config(folder: Path, source: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(json.dumps(values(source, **changes)))  # JSON is YAML
    return path


def _wait_for_steps(process: subprocess.Popen[str], run: Path, checkpoints: int) -> None:
    seen: set[int] = set()
    deadline = time.monotonic() + 90
    while len(seen) < checkpoints:
        assert time.monotonic() < deadline, "the training does not come to its steps"
        assert process.poll() is None, process.communicate()[1]
        if (run / "last.pt").exists():
            seen.add((run / "last.pt").stat().st_mtime_ns)
        time.sleep(0.01)


def test_killed_at_a_random_step_and_resumed_is_uninterrupted_bit_for_bit(pictures: Path, tmp_path: Path) -> None:
    process = started(str(_config(tmp_path, pictures)), "--out", str(tmp_path / "killed"), "--quiet")
    _wait_for_steps(process, tmp_path / "killed", random.randint(1, 10))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = RunFolder(tmp_path / "killed")
    step = torch.load(killed.checkpoint, weights_only=True)["progress"]["step"]
    assert 0 < step < 30
    document = load(killed.config)
    options = validated(TrainOptions, document.values, document)
    resumed = run_here(killed, options)
    begun = f"    streamdet train {tmp_path / 'config.yaml'} --out {killed.path} --quiet\n"
    assert begun in killed.card.read_text()
    assert "| resumed | once |" in killed.card.read_text()
    whole = RunFolder(tmp_path / "whole")
    whole.path.mkdir()
    uninterrupted = run_here(whole, options)
    for name in ("weights", "average", "optimiser"):
        first, second = (torch.load(each.checkpoint, weights_only=True)[name] for each in (killed, whole))
        assert same(first, second), f"{name} differ, killed at step {step}"
    assert uninterrupted.progress.best == resumed.progress.best
    _everything_is_there(whole, uninterrupted)


def _everything_is_there(folder: RunFolder, outcome: Outcome[DetectionScores]) -> None:
    names = {path.name for path in folder.path.iterdir()}
    assert {"best.pt", "last.pt", "metrics.csv", "CARD.md", "scores.json", "plots", "tensorboard"} <= names
    card = folder.card.read_text()
    assert "    streamdet train " in card
    assert "24 pictures, 24 objects" in card
    assert outcome.scores is not None
    assert f"| mAP50 | {outcome.scores.map50:.3f} |" in card
    for name in ("losses.png", "confusion.png", "precision_recall.png", "worst.jpg", "best.jpg"):
        assert cv2.imread(str(folder.plots / name)) is not None
    trained = load_trained(folder.path)
    assert ("disc", "square") == trained.classes
    assert (64, 64) == trained.size
    assert json.loads(folder.scores.read_text())["provenance"]["seed"] == "0"


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_saves_and_says_how_to_go_on(
    endless: subprocess.Popen[str], tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    endless.send_signal(number)
    _, said = endless.communicate(timeout=60)
    assert exit_code == endless.returncode, said
    assert f"streamdet train --resume {tmp_path / 'run'}" in said
    assert "Traceback" not in said
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert f"saved at step {state['progress']['step']}" in said


def test_without_a_configuration_flags_are_enough(pictures: Path, tmp_path: Path) -> None:
    flags = ["train", "--data", str(pictures), "--model", "yolo-pico", "--size", "64", "--max-pictures", "16"]
    flags += ["--device", "cpu", "--out", str(tmp_path / "run")]
    told = CliRunner().invoke(app(), flags)
    assert 0 == told.exit_code, told.output
    assert "24 pictures to learn from, 6 to choose by" in told.output
    assert f"streamdet engine export {tmp_path / 'run'}" in told.output
    again = CliRunner().invoke(app(), flags)
    assert isinstance(again.exception, ConfigError)
    assert "there is already a training in this folder" in str(again.exception)


def test_refused_pictures_leave_no_run_behind(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "mine")
    (tmp_path / "mine" / "train_3.png").write_bytes(b"")
    run = tmp_path / "run"
    flags = ["train", "--data", str(tmp_path / "mine"), "--model", "yolo-pico", "--max-pictures", "16"]
    told = CliRunner().invoke(app(), [*flags, "--out", str(run)])
    assert "unreadable pictures: 1" in str(told.exception)
    assert not run.exists()
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    CliRunner().invoke(app(), [*flags, "--out", str(run)])
    assert ["notes.txt"] == [path.name for path in run.iterdir()]


def test_a_folder_where_a_configuration_is_expected_is_shown_its_flag(pictures: Path) -> None:
    told = CliRunner().invoke(app(), ["train", str(pictures)])
    assert f"streamdet train --data {pictures}" in str(told.exception)


def test_a_resumed_training_takes_no_other_options(tmp_path: Path) -> None:
    told = CliRunner().invoke(app(), ["train", "--resume", str(tmp_path), "--seed", "3"])
    assert "a resumed training keeps its own options" in str(told.exception)
    told = CliRunner().invoke(app(), ["train", "--resume", str(tmp_path)])
    assert "there is no training to resume" in str(told.exception)


def test_bad_pictures_are_refused_or_left_out_and_listed(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "train_3.png").write_bytes(b"no picture")
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    options = TrainOptions.model_validate(values(tmp_path, pictures=8))
    with pytest.raises(DataError, match="skip-bad"):
        run_here(run, options)
    sound = options.model_copy(update={"data": options.data.model_copy(update={"skip_bad": True})})
    outcome = run_here(run, sound)
    assert "the budget is used up" == outcome.progress.ended
    assert "train_3.png" in run.skipped.read_text()
    assert "23 pictures" in run.card.read_text()


def test_a_folder_without_splits_is_divided_the_same_way_every_time(pictures: Path) -> None:
    from streamdet.training.flags import parts_of
    from streamdet.training.labelled import open_all
    from streamdet.training.options import DataOptions

    only = DataOptions.model_validate(parts_of(f"{pictures}:train"))
    first, second = open_all(only), open_all(only)
    keys = [[entry.key for entry in each.entries] for each in (first.train, first.valid, second.valid)]
    assert (19, 5) == (len(keys[0]), len(keys[1]))
    assert keys[1] == keys[2]
    assert set() == set(keys[0]) & set(keys[1])


def test_mistakes_in_a_file_come_at_once_each_with_its_path(pictures: Path, tmp_path: Path) -> None:
    path = _config(tmp_path, pictures, batches=4, optimiser={"rate": -1, "momentun": 0.9}, epochs=3)
    document = load(path)
    with pytest.raises(ConfigError) as caught:
        validated(TrainOptions, document.values, document)
    message = str(caught.value)
    for said in ("batches", "did you mean batch?", "optimiser.rate", "optimiser.momentun", "did you mean momentum?"):
        assert said in message


def test_the_options_as_run_can_be_read_again(pictures: Path, tmp_path: Path) -> None:
    options = TrainOptions.model_validate(values(pictures, model={"family": "yolo", "size": "n"}))
    folder = RunFolder(tmp_path / "run")
    folder.begin(options.model_dump(mode="json", exclude_none=True))
    document = load(folder.config)
    assert options == validated(TrainOptions, document.values, document)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "training").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_training_can_be_read(path: Path) -> None:
    assert read_options(path, {})
