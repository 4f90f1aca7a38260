"""The engine on the shelf does what its card says, with nothing but ONNX Runtime around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamdet.boxes import iou
from streamdet.manifest import EngineManifest, load_manifest, sha256_of
from streamdet.scenes.street import Street

FOLDER = Path(__file__).parents[3] / "engines" / "plate-spotter"
HELD_OUT = (3, 17, 29)  # training uses the seeds from 1000 on


@pytest.fixture(scope="module")
def manifest() -> EngineManifest:
    loaded = load_manifest(FOLDER)
    assert isinstance(loaded, EngineManifest)
    return loaded


def _letterboxed(bgr: npt.NDArray[np.uint8], manifest: EngineManifest) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = bgr.shape[:2]
    placement = manifest.input.placement((width, height))
    canvas = np.full((manifest.input.size[1], manifest.input.size[0], 3), manifest.input.fit.pad, np.uint8)
    scaled = cv2.resize(bgr[:, :, ::-1], placement.scaled_size, interpolation=cv2.INTER_LINEAR)
    top, left = placement.top_px, placement.left_px
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])


def test_the_model_is_the_file_that_the_manifest_names_and_is_small(manifest: EngineManifest) -> None:
    path = FOLDER / manifest.file("fp32").path
    assert manifest.file("fp32").sha256 == sha256_of(path)
    assert path.stat().st_size < 1_000_000


def test_the_card_calls_it_a_stand_in_and_tells_the_measured_figures(manifest: EngineManifest) -> None:
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    assert "stand-in" in card
    assert f"{manifest.provenance.scores['ap50']:.4f}" in card
    assert manifest.provenance.scores["recall"] >= 0.95
    assert manifest.provenance.scores["false_per_frame"] <= 0.02


def test_plates_of_held_out_streets_are_found_and_little_else(manifest: EngineManifest) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FOLDER / manifest.file().path), providers=["CPUExecutionProvider"])
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
            wanted = np.array([entry.visible and entry.width_px > 24 for entry in scene.truth], bool)
            overlap = iou(boxes, truth)
            found += int((overlap.max(0, initial=0) >= 0.5)[wanted].sum())
            false += int((overlap.max(1, initial=0) < 0.1).sum())
            asked += int(wanted.sum())
            frames += 1
    assert asked >= 10
    assert found >= 0.9 * asked
    assert false <= 0.1 * frames


def test_any_batch_gives_each_picture_its_own_answer(manifest: EngineManifest) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FOLDER / manifest.file().path), providers=["CPUExecutionProvider"])
    street = Street(5)
    pictures = np.concatenate([_letterboxed(street.frame(t_s).bgr, manifest) for t_s in (1.0, 3.0, 5.0)])
    together = session.run([manifest.outputs["xyxy"]], {manifest.input.name: pictures})[0]
    for row, picture in enumerate(pictures):
        alone = session.run([manifest.outputs["xyxy"]], {manifest.input.name: picture[None]})[0]
        assert np.allclose(alone[0], together[row], atol=1e-2)


def test_an_empty_picture_gives_zero_rows_beyond_the_count(manifest: EngineManifest) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FOLDER / manifest.file().path), providers=["CPUExecutionProvider"])
    width, height = manifest.input.size
    names = [manifest.outputs[key] for key in ("count", "xyxy", "score")]
    count, xyxy, score = session.run(names, {manifest.input.name: np.full((1, 3, height, width), 114, np.uint8)})
    assert (score[0] <= manifest.score).all()
    assert not xyxy[0, int(count[0]) :].any()
