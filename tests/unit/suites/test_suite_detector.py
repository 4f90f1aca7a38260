"""A procedure on the shelf is opened, asked and scored like any engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import ConfigError, ManifestInvalid
from streamdet.evaluation.predictors import EnginePredictor
from streamdet.frames import Detections, Frame
from streamdet.graft.shelving import put_procedure_on_shelf, put_suite_on_shelf
from streamdet.infer.shelf import Suite
from streamdet.picture import Picture
from streamdet.suites import program
from streamdet.suites.detector import SuiteDetector, open_detector
from streamdet.suites.program import Setup


class Bright:
    """Finds the box around everything bright."""

    def __init__(self, setup: Setup) -> None:
        self.above = int(setup.file("model.txt").read_text())
        self.seen: list[tuple[int, ...]] = []
        self.closed = False

    def __call__(self, rgb: np.ndarray) -> Detections:
        self.seen.append(rgb.shape)
        y, x = np.nonzero(rgb.min(axis=2) > self.above)
        if not len(x):
            return Detections.empty()
        box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int32), ("thing",))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(program, "PROGRAMS", {"bright": Bright})
    put_procedure_on_shelf(
        tmp_path, "bright", family="bright", classes=["lamp"], files={"model.txt": b"200"}, longest_px=160
    )
    return tmp_path


def lamp(width: int, height: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[40:80, 60:120] = 255
    return picture


def test_a_procedure_is_asked_like_any_engine(shelf: Path) -> None:
    detector = open_detector(shelf / "bright")
    found = detector(lamp(160, 120))
    assert ("lamp",) == found.names
    np.testing.assert_array_equal([[60, 40, 120, 80]], found.xyxy)
    worker = detector.worker()
    frame = Frame("gate", 0, 0.0, Picture((lamp(160, 120),), "bgr24"))
    np.testing.assert_array_equal(found.xyxy, worker.detect([frame])[0].xyxy)
    worker.close()
    detector.close()


def test_larger_pictures_are_shrunk_first_and_boxes_come_back(shelf: Path) -> None:
    np.testing.assert_allclose(open_detector(shelf / "bright")(lamp(320, 240)).xyxy, [[60, 40, 120, 80]], atol=2)


def test_an_evaluation_opens_it_by_its_folder(shelf: Path) -> None:
    with EnginePredictor(shelf / "bright") as predictor:
        assert 1 == len(predictor(lamp(160, 120)))
        assert "bright on bright fp32" == predictor.label


def test_a_suite_of_a_procedure_and_a_reader_detects_by_the_procedure(shelf: Path) -> None:
    manifest = json.loads((shelf / "bright" / "manifest.json").read_text())
    (shelf / "both").mkdir()
    both = manifest | {"name": "both", "detect": "bright"}
    (shelf / "both" / "manifest.json").write_text(json.dumps(both))
    opened = open_detector(shelf / "both")
    assert isinstance(opened, SuiteDetector)
    assert "bright" == opened.name


def test_a_changed_file_is_refused(shelf: Path) -> None:
    (shelf / "bright" / "model.txt").write_text("7")
    with pytest.raises(ManifestInvalid, match="not the file that the manifest names"):
        open_detector(shelf / "bright")


def test_an_unknown_family_and_a_choice_of_backend_are_refused(shelf: Path) -> None:
    with pytest.raises(ConfigError, match="no choice of backend"):
        open_detector(shelf / "bright", "onnx-cpu")
    put_procedure_on_shelf(shelf, "new", family="newest", classes=["lamp"], files={"model.txt": b"1"})
    with pytest.raises(ManifestInvalid, match="knows no such procedure"):
        open_detector(shelf / "new").worker()


def test_a_procedure_detects_in_a_suite(shelf: Path) -> None:
    folder = put_suite_on_shelf(shelf, "alone", detect="bright")
    from streamdet.infer.shelf import open_engine

    suite = open_engine(folder)
    assert isinstance(suite, Suite)
    assert ("bright",) == suite.manifest.steps
