"""Scores of plates: figures that can be counted by hand, on labelled pictures, crops, masks and passes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from tiny_engines import parrot_reader, plate_for_parrots
from typer.testing import CliRunner

from streamdet.cli.workshop import eval_app
from streamdet.datasets.plate_labels import read_crop_labels, read_plate_labels
from streamdet.errors import DataError
from streamdet.evaluation.passed import plates_passed
from streamdet.evaluation.plate_texts import TextRead, by_height, edits, score_texts
from streamdet.evaluation.plates import score_passes, score_pictures, score_rendered
from streamdet.frames import Detections
from streamdet.plates.reader import EngineReader, EngineReaderWorker
from streamdet.scenes.plate_crops import Crop, CropOptions, plate_crop
from streamdet.scenes.plate_passes import PassOptions, plate_pass
from streamdet.testing import FakeReaderBackend, look_at
from streamdet.testing.reading import ALPHABET

LABELS = Path(__file__).resolve().parents[2] / "data" / "plates_ro"


def test_texts_are_counted_by_hand() -> None:
    reads = [
        TextRead("B123ABC", "B123ABC", 20, "p1"),
        TextRead("B123ABC", "B123ABD", 9, "p1"),
        TextRead("CJ01XYZ", None, 9, "p2"),
    ]
    scores = score_texts(reads)
    assert (3, 1, 2) == (scores.plates, scores.unread, scores.distinct)
    assert [pytest.approx(1 / 3), pytest.approx(1 - 8 / 21), 0.5] == [
        scores.exact,
        scores.characters,
        scores.distinct_exact,
    ]
    assert {"8-10 px": 0.0, "16-24 px": 1.0} == {name: each.exact for name, each in by_height(reads).items()}
    assert math.isnan(score_texts([]).exact)


def test_edits_are_additions_omissions_and_swaps() -> None:
    assert [0, 1, 1, 1, 3] == [edits("ABC", other) for other in ("ABC", "AC", "ABBC", "AXC", "")]


def written_labels(folder: Path, rows: list[tuple[Any, ...]], ignored: list[tuple[Any, ...]] = ()) -> Path:  # type: ignore[assignment]
    folder.mkdir()
    box = ["file", "x1", "y1", "x2", "y2"]
    tables = {
        "readings.csv": ([*box, "text", "state", "split", "plate", "character_height_px"], rows),
        "ignore.csv": ([*box, "reason"], ignored),
    }
    for name, (header, lines) in tables.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
    return folder


def test_found_false_ignored_and_missed_plates_are_told_apart(tmp_path: Path) -> None:
    labels = written_labels(
        tmp_path / "labels",
        [
            ("a.png", 10, 10, 60, 30, "B123ABC", "readable", "test", "p1", 14),
            ("a.png", 100, 10, 150, 22, "", "unreadable", "test", "p2", 8),
            ("b.png", 10, 10, 60, 30, "CJ01XYZ", "readable", "test", "p3", 14),
            ("c.png", 10, 10, 60, 30, "CJ01XYZ", "readable", "validation", "p3", 14),
        ],
        [("b.png", 100, 100, 140, 120, "far")],
    )
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((200, 200, 3), np.uint8))
    pictures = read_plate_labels(labels, "test")
    answers = iter(
        [
            [(0.9, 11, 10, 61, 30), (0.5, 150, 150, 190, 170)],
            [(0.8, 100, 100, 140, 120), (0.7, 10, 10, 60, 30), (0.2, 0, 150, 40, 170)],
        ]
    )

    def find(rgb: npt.NDArray[np.uint8]) -> Detections:
        rows = np.array(next(answers), np.float32)
        corners = rows[:, [1, 2, 3, 2, 3, 4, 1, 4]].reshape(-1, 4, 2)
        points = np.concatenate([corners, np.ones((*corners.shape[:2], 1), np.float32)], axis=2)
        return Detections(rows[:, 1:], rows[:, 0], np.zeros(len(rows), np.int32), ("plate",), points)

    class Reads:
        def read(self, frame: Any, views: Any) -> list[Any]:
            return [look_at("B123ABC") for _ in views]

        def read_crops(self, crops: Any) -> list[Any]:
            raise AssertionError("nobody asked")

    scores = score_pictures(pictures, tmp_path, find, Reads(), threshold=0.25)
    found = scores.found
    assert found is not None
    assert (2, 3) == (found.pictures, found.plates)
    assert [pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5] == [found.recall, found.precision, found.false_per_picture]
    assert pytest.approx(2 / 3) == found.recall_at_false
    assert {"10-15 px": 0.0, "20-30 px": 1.0} == found.recall_by_height
    assert scores.texts is not None
    assert (2, 0.5) == (scores.texts.plates, scores.texts.exact)
    assert json.dumps(scores.as_json())


def maps_of(crop: Crop) -> dict[str, npt.NDArray[np.float32]]:
    glyph = np.full((37, *crop.labels.shape), -6, np.float32)
    np.put_along_axis(glyph, crop.labels[None].astype(np.int64), 6, axis=0)
    return {
        "glyph": glyph,
        "core": np.where(crop.core > 0, 6, -6).astype(np.float32),
        "line": np.where(crop.lines == 2, 6, -6).astype(np.float32),
    }


def knowing(crops: list[Crop]) -> EngineReaderWorker:
    """A perfect reader of these crops."""
    known = {crop.pixels.tobytes(): maps_of(crop) for crop in crops}

    def maps(pixels: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        said = [known[each[0].tobytes()] for each in pixels]
        return {name: np.stack([each[name] for each in said]) for name in said[0]}

    backend = FakeReaderBackend(maps)
    return EngineReaderWorker(EngineReader(backend), backend.session())


def test_a_perfect_reader_has_perfect_scores_on_rendered_crops() -> None:
    crops = [plate_crop(3, index, CropOptions(negatives=0.2, glyph_px=(12, 40))) for index in range(30)]
    worker = knowing(crops)
    scores = score_rendered(crops, worker, worker.session, ALPHABET)
    assert scores.texts is not None
    assert scores.segmentation is not None
    assert (1.0, 1.0) == (scores.texts.exact, scores.texts.characters)
    assert (1.0, 1.0) == (scores.segmentation.mean_iou, scores.segmentation.background)


def test_a_perfect_reader_has_every_rendered_pass_right() -> None:
    passes = [plate_pass(4, index, PassOptions(duration_s=(0.4, 0.8))) for index in range(4)]
    passes += [plate_pass(4, index, PassOptions(duration_s=(0.4, 0.5), plates=False)) for index in range(2)]
    worker = knowing([look.crop for each in passes for look in each.looks])
    scores = score_passes(passes, worker, ALPHABET).passes
    assert scores is not None
    assert (6, 1.0, 1.0, 0.0, 0.0) == (
        scores.passes,
        scores.single_exact,
        scores.exact,
        scores.wrong,
        scores.final_on_nothing,
    )


def test_the_labels_of_the_repository_can_be_read() -> None:
    pictures = read_plate_labels(LABELS, "test")
    plates = [plate for picture in pictures for plate in picture.plates]
    assert (66, 83, 66) == (len(pictures), len(plates), sum(plate.readable for plate in plates))
    assert all(plate.corners is not None for plate in plates)
    assert 112 == sum(len(picture.ignored) for picture in pictures)


def test_crops_of_other_countries_keep_what_the_reader_knows(shared_data: Path) -> None:
    crops = read_crop_labels(shared_data / "plate_crops_cn", ALPHABET)
    assert 1000 == len(crops)
    assert all(crop.path.is_file() for crop in crops[:5])
    assert {6} == {len(crop.text) for crop in crops}


def test_labels_without_numbers_are_refused(tmp_path: Path) -> None:
    labels = written_labels(tmp_path / "labels", [("a.png", "x", 10, 60, 30, "B123ABC", "readable", "test", "p1", 14)])
    with pytest.raises(DataError, match="no numbers"):
        read_plate_labels(labels)
    with pytest.raises(DataError, match="cannot be read"):
        read_plate_labels(tmp_path)


def test_the_command_scores_a_reader_on_crops(tmp_path: Path) -> None:
    engine = parrot_reader(tmp_path / "parrot-reader")
    crops = tmp_path / "crops"
    crops.mkdir()
    texts = ["SB07XYZ", "B123ABC", "CJ01AAA"]
    for number, text in enumerate(texts):
        cv2.imwrite(str(crops / f"{number}.png"), plate_for_parrots(text, (192, 64)))
    lines = [f"{number}.png,{text}" for number, text in enumerate([*texts[:2], "CJ01AAB"])]
    (crops / "labels.csv").write_text("\n".join(["file,text", *lines]) + "\n")
    asked = ["plates", str(engine), str(crops), "--backend", "onnx-cpu"]
    run = CliRunner().invoke(eval_app, [*asked, "--json", "--out", str(tmp_path / "scores.json")])
    assert 0 == run.exit_code, run.output
    figures = json.loads((tmp_path / "scores.json").read_text())
    assert (3, pytest.approx(2 / 3)) == (figures["texts"]["plates"], figures["texts"]["exact"])
    assert "distinct" in CliRunner().invoke(eval_app, asked).output


@pytest.mark.parametrize("data", ["rendered:nothing", "rendered:crops?count=0", "nowhere"])
def test_data_that_cannot_be_scored_is_said(data: str, tmp_path: Path) -> None:
    engine = parrot_reader(tmp_path / "parrot-reader")
    run = CliRunner().invoke(eval_app, ["plates", str(engine), data, "--backend", "onnx-cpu"])
    assert run.exit_code != 0


def test_the_command_scores_rendered_crops(tmp_path: Path) -> None:
    engine = parrot_reader(tmp_path / "parrot-reader")
    run = CliRunner().invoke(
        eval_app, ["plates", str(engine), "rendered:crops?count=5&glyph_px=12-20", "--backend", "onnx-cpu"]
    )
    assert 0 == run.exit_code, run.output
    assert "mean IoU" in run.output


def test_plates_that_passed_are_counted_by_what_was_made_of_them(tmp_path: Path) -> None:
    def line(text: str, height: float, ratio: float = 1.0) -> dict[str, Any]:
        return {"class": "plate", "text": text, "xyxy": [0, 0, 90, height], "visible_ratio": ratio}

    seen = [line("A1", 20), line("B2", 20), line("C3", 20), line("D4", 9), line("E5", 20, 0.3)]
    truth, records = tmp_path / "truth.jsonl", tmp_path / "records.jsonl"
    truth.write_text("".join(json.dumps({"objects": seen}) + "\n" for _ in range(6)))
    said = [("plate_final", "A1", "final"), ("plate_final", "B2", "single"), ("plate_final", "D4", "final")]
    said += [("plate_rejoined", "A1", "final"), ("plate_final", "X9", "final")]
    events = [{"kind": kind, "text": text, "state": state} for kind, text, state in said]
    records.write_text("".join(json.dumps(each) + "\n" for each in [{"objects": []}, *events]))
    found = plates_passed(truth, records)
    assert (3, 1, 1, 1, 1) == (found.plates, found.right, found.single, found.wrong, found.missed)
    run = CliRunner().invoke(eval_app, ["passed", str(truth), str(records), "--least", "0.5"])
    assert 1 == run.exit_code
    assert "3 plates passed: 1 read right (33.3 %)" in run.output
    records.write_text("no records")
    with pytest.raises(DataError, match="no records"):
        plates_passed(truth, records)
