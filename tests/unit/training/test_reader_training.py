"""Training a plate reader: crops without end that follow from their seeds, and a whole run of seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import same

from streamdet.cli.train import _options_of
from streamdet.errors import ConfigError, DataError
from streamdet.models.reader_weights import is_reader, load_trained_reader
from streamdet.scenes.alphabets import CHARACTERS
from streamdet.training.batches import Order, Share, prepared
from streamdet.training.course import Outcome
from streamdet.training.reader_crops import CropSamples, RealPlates, RenderedCrops, joined, real_crops
from streamdet.training.reading import ReaderTrainOptions, clear, run_reader_training
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder, read_metrics

SMALL = RenderedCrops(size=(96, 32), judged=4)


def options_with(**changes: Any) -> ReaderTrainOptions:
    values: dict[str, Any] = {
        "model": {"family": "plate_reader", "encoder": "tiny"},
        "data": SMALL.model_dump(),
        "pictures": 12 * 4,
        "batch": 4,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "workers": 0,
        "optimiser": {"kind": "muon", "rate": 0.004},
        "evaluation": {"times": 2},
        "small_share": 0.25,
    }
    return ReaderTrainOptions.model_validate(values | changes)


def run(folder: Path, stop_after: int | None = None, **changes: Any) -> Outcome[dict[str, float]]:
    folder.mkdir(exist_ok=True)
    left = [stop_after or 10**9]

    def stop() -> bool:
        left[0] -= 1
        return left[0] <= 0

    with Reporter(folder / "log.txt", quiet=True) as reporter:
        command = "streamdet train plates.yaml" if not (folder / "last.pt").exists() else "streamdet train --resume run"
        return run_reader_training(options_with(**changes), RunFolder(folder), reporter, command=command, stop=stop)


def test_a_run_leaves_weights_that_can_be_loaded_and_a_card(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run")
    assert "the budget is used up" == outcome.progress.ended
    assert outcome.scores is not None
    assert {"score", "exact", "exact_unseen_styles"} <= outcome.scores.keys()
    assert is_reader(tmp_path / "run")
    best = load_trained_reader(tmp_path / "run")
    assert (CHARACTERS, (96, 32), "tiny") == (best.alphabet, best.size, best.options.encoder)
    losses = [float(row["loss"]) for row in read_metrics(RunFolder(tmp_path / "run")) if row["loss"]]
    assert losses[-1] < losses[0]
    assert "exact unseen styles" in (tmp_path / "run" / "CARD.md").read_text()
    assert outcome.scores == json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]
    assert (tmp_path / "run" / "plots" / "losses.png").stat().st_size > 1000


def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    assert run(tmp_path / "parts", stop_after=5).stopped
    assert 12 == run(tmp_path / "parts").progress.step
    card = (tmp_path / "parts" / "CARD.md").read_text()
    assert "    streamdet train plates.yaml\n" in card
    assert "| resumed | once |" in card
    assert "resumed" not in (tmp_path / "whole" / "CARD.md").read_text()
    states = [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts")]
    for name in ("weights", "average", "optimiser"):
        assert same(states[0][name], states[1][name]), name


def test_a_run_of_a_version_that_had_more_options_goes_on_and_one_that_used_them_does_not(tmp_path: Path) -> None:
    folder, options = RunFolder(tmp_path), options_with()
    folder.begin(options.model_dump(mode="json", exclude_none=True))
    text = folder.config.read_text()
    assert "nms_iou" not in text
    older = text.replace("evaluation:\n", "plain_share: 0.0\nmulti_scale: 0.0\nevaluation:\n  nms_iou: 0.65\n")
    folder.config.write_text(f"at_least_steps: 0\n{older}")
    assert options == _options_of(folder)
    folder.config.write_text(f"plain_share: 0.15\n{text}")
    with pytest.raises(ConfigError, match="plain_share"):
        _options_of(folder)


def test_other_crops_are_another_training(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_after=2)
    with pytest.raises(DataError, match="options are not what they were"):
        run(tmp_path / "run", data=SMALL.model_copy(update={"severity": 0.5}).model_dump())


def test_batches_do_not_depend_on_who_prepares_them() -> None:
    samples, order, share = CropSamples(SMALL.crops()), Order(1, 5), Share(3)
    alone, shared = (
        [step[0] for step in prepared(samples, order, share, range(4, 7), joined=joined, workers=workers)]
        for workers in (0, 2)
    )
    for one, other in zip(alone, shared, strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.pixels, other.pixels)
        assert same(vars(one.targets), vars(other.targets))


def test_no_two_samples_are_the_same() -> None:
    samples, order = CropSamples(SMALL.crops()), Order(1, 5)
    seen = {samples.sample(*order.at(place)).pixels.tobytes() for place in range(30)}
    assert 30 == len(seen)


def test_a_batch_tells_texts_as_classes_and_ends_them_with_zeros() -> None:
    crops = [CropSamples(SMALL.crops()).sample(0, seed) for seed in range(12)]
    batch = joined(crops)
    assert (12, 1, 32, 96) == tuple(batch.pixels.shape)
    assert (12, 16, 48) == tuple(batch.targets.labels.shape)
    for crop, row in zip(crops, batch.targets.text.tolist(), strict=True):
        assert crop.text == "".join(CHARACTERS[each - 1] for each in row if each)
        assert not any(row[len(crop.text) :])


def test_the_beginning_shows_large_and_clear_characters() -> None:
    crops = SMALL.crops()
    assert (18.0, 60.0) == clear(crops).glyph_px
    assert clear(crops).severity < crops.severity
    assert 12.0 == clear(replace(crops, glyph_px=(8.0, 12.0))).glyph_px[0]


def test_real_plates_are_readable_ones_of_the_split_and_straight(shared_data: Path) -> None:
    labels = Path(__file__).parents[2] / "data" / "plates_ro"
    plates = RealPlates(
        pictures=shared_data / "plates_ro" / "images",
        readings=labels / "readings.csv",
        corners=labels / "corners.csv",
    )
    crops = real_crops(plates, (192, 64))
    assert len(crops) > 300
    assert all(crop.text and crop.pixels.shape == (64, 192) for crop in crops)
    large = [crop for crop in crops if crop.glyph_px >= 24]
    contrast = np.mean([crop.pixels[16:48, 24:168].std() for crop in large])
    edge = np.mean([crop.pixels[28:36, 60:150].std(axis=1).mean() for crop in large])
    assert contrast > 15
    assert edge > 15
