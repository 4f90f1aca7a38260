"""The engines on the shelf do what their cards say, with nothing but ONNX Runtime around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamdet.boxes import iou
from streamdet.evaluation.plate_tasks import PlateTask, evaluate_plates
from streamdet.infer.shelf import Engine, Suite, open_engine
from streamdet.manifest import EngineManifest, sha256_of
from streamdet.scenes.street import Street

SHELF = Path(__file__).parents[3] / "engines"
SUITE = str(SHELF / "plates")
HELD_OUT = (3, 17, 29)  # training renders the seeds from 1000 on


def engine(name: str) -> Engine:
    found = open_engine(SHELF / name)
    assert isinstance(found, Engine)
    return found


@pytest.fixture(scope="module")
def manifest() -> EngineManifest:
    return engine("plate-detector").manifest


def _letterboxed(bgr: npt.NDArray[np.uint8], manifest: EngineManifest) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = bgr.shape[:2]
    placement = manifest.input.placement((width, height))
    canvas = np.full((manifest.input.size[1], manifest.input.size[0], 3), manifest.input.fit.pad, np.uint8)
    scaled = cv2.resize(bgr[:, :, ::-1], placement.scaled_size, interpolation=cv2.INTER_LINEAR)
    top, left = placement.top_px, placement.left_px
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("name", ["plate-detector", "plate-reader"])
def test_the_model_is_the_file_that_the_manifest_names_and_is_small(name: str) -> None:
    found = engine(name)
    file = found.manifest.file("fp32")
    assert file.sha256 == sha256_of(found.folder / file.path)
    assert (found.folder / file.path).stat().st_size < 3_000_000


@pytest.mark.parametrize("name", ["plate-detector", "plate-reader"])
def test_the_card_tells_how_it_was_trained_and_nothing_of_the_machine(name: str) -> None:
    card = (engine(name).folder / "CARD.md").read_text(encoding="utf-8")
    assert "/tmp" not in card
    assert "streamdet train" in card
    assert (engine(name).folder / "recipe.yaml").is_file()


def test_the_suite_names_both() -> None:
    suite = open_engine(SHELF / "plates")
    assert isinstance(suite, Suite)
    assert ("plate-detector", "plate-reader") == (suite.manifest.detect, suite.manifest.read)


def test_plates_of_held_out_streets_are_found_and_little_else(manifest: EngineManifest) -> None:
    import onnxruntime

    path = SHELF / "plate-detector" / manifest.file().path
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    asked = found = false = frames = 0
    for seed in HELD_OUT:
        street = Street(seed)
        placement = manifest.input.placement(street.size)
        for t_s in (2.0, 4.5, 7.0, 9.5):
            scene = street.frame(t_s)
            values = session.run(None, {manifest.input.name: _letterboxed(scene.bgr, manifest)})
            named = dict(zip((output.name for output in session.get_outputs()), values, strict=True))
            count = int(named[manifest.outputs["count"]][0])
            score = named[manifest.outputs["score"]][0, :count]
            boxes = placement.to_frame(named[manifest.outputs["xyxy"]][0, :count][score > manifest.score])
            truth = np.array([entry.xyxy for entry in scene.truth], np.float32).reshape(-1, 4)
            wanted = np.array([entry.visible and entry.width_px > 32 for entry in scene.truth], bool)
            overlap = iou(boxes, truth)
            found += int((overlap.max(0, initial=0) >= 0.5)[wanted].sum())
            false += int((overlap.max(1, initial=0) < 0.1).sum())
            asked += int(wanted.sum())
            frames += 1
    assert asked >= 10
    assert found >= 0.9 * asked
    assert false <= 0.1 * frames


def test_an_empty_picture_gives_zero_rows_beyond_the_count(manifest: EngineManifest) -> None:
    import onnxruntime

    path = SHELF / "plate-detector" / manifest.file().path
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    width, height = manifest.input.size
    names = [manifest.outputs[key] for key in ("count", "xyxy", "score")]
    count, xyxy, score = session.run(names, {manifest.input.name: np.full((1, 3, height, width), 114, np.uint8)})
    assert (score[0] <= manifest.score).all()
    assert not xyxy[0, int(count[0]) :].any()


def test_plates_of_styles_that_were_never_learnt_are_read() -> None:
    large = evaluate_plates(PlateTask(SUITE, "rendered:crops?count=120&glyph_px=16-60"))[1]
    small = evaluate_plates(PlateTask(SUITE, "rendered:crops?count=120&glyph_px=10-16"))[1]
    assert large.texts is not None
    assert small.texts is not None
    assert large.texts.exact >= 0.89
    assert small.texts.exact >= 0.76


def test_plates_of_drives_that_were_never_learnt_are_found_and_read(shared_data: Path) -> None:
    labels = Path(__file__).parents[2] / "data" / "plates_ro"
    _, scores = evaluate_plates(PlateTask(SUITE, str(shared_data / "plates_ro"), labels, "test"))
    assert scores.found is not None
    assert scores.texts is not None
    assert scores.found.ap50 >= 0.90
    assert scores.found.recall_at_false >= 0.95
    assert scores.texts.exact >= 0.80
