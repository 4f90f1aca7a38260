"""A real stranger's network: imported by one command, it finds what its own reference finds, on every runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from streamdet import boxes
from streamdet.cli.engine import engine_app
from streamdet.errors import EndOfStream
from streamdet.frames import Detections, Frame
from streamdet.graft.agreement import Agreement, agreement
from streamdet.graft.proof import COMPARED_ABOVE, found_in
from streamdet.graft.raw import Runner, load_model
from streamdet.graft.reference import Candidates
from streamdet.infer.backends import open_backend
from streamdet.infer.detector import load_detector
from streamdet.manifest import load_manifest
from streamdet.sources.file import FileSource
from streamdet.sources.images import read_picture

SIZE = 416


@pytest.fixture(scope="module")
def engine(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command leaves."""
    models, shelf = shared_data / "models", tmp_path_factory.mktemp("engines")
    command = ["import", str(models / "yolox_nano.onnx"), "--name", "coco-nano"]
    told = ["--classes", str(models / "coco_classes.txt"), "--shelf", str(shelf)]
    result = CliRunner().invoke(engine_app, [*command, *told], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return shelf / "coco-nano"


@pytest.fixture(scope="module")
def letterboxed(shared_data: Path) -> np.ndarray:
    """Two hundred pictures laid into the input as the model's own note says."""
    cv2 = pytest.importorskip("cv2")
    files = [
        *sorted((shared_data / "plates_ro" / "images").glob("*.jpg"))[::5][:100],
        *sorted((shared_data / "bccd" / "JPEGImages").glob("*.jpg"))[::3][:100],
    ]
    assert 200 == len(files)
    inputs = np.full((len(files), SIZE, SIZE, 3), 114, np.uint8)
    for target, path in zip(inputs, files, strict=True):
        picture = cv2.imread(str(path))
        ratio = min(SIZE / picture.shape[0], SIZE / picture.shape[1])
        height, width = int(picture.shape[0] * ratio), int(picture.shape[1] * ratio)
        target[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def reference(shared_data: Path, letterboxed: np.ndarray) -> list[Candidates]:
    """The raw model's candidates, decoded here by the formulas of its note."""
    path = shared_data / "models" / "yolox_nano.onnx"
    raw = Runner(load_model(path), path)
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(SIZE // s) for x in range(SIZE // s)]
    columns, rows, strides = np.array(cells, np.float32).T
    found = []
    for picture in letterboxed:
        out = raw.run({"images": picture[None].astype(np.float32)})["output"][0]
        centre = (out[:, :2] + np.stack([columns, rows], 1)) * strides[:, None]
        half = np.exp(out[:, 2:4]) * strides[:, None] / 2
        xyxy = np.concatenate([centre - half, centre + half], axis=1)
        found.append(Candidates(xyxy, out[:, 4:5] * out[:, 5:]))
    return found


@pytest.mark.parametrize("tail", ["kernel", "graph"])
@pytest.mark.parametrize("runtime", ["onnx-cpu", "openvino"])
def test_on_200_pictures_every_runtime_finds_what_the_numpy_reference_finds(
    engine: Path, letterboxed: np.ndarray, reference: list[Candidates], runtime: str, tail: Any
):
    pytest.importorskip("onnxruntime" if runtime == "onnx-cpu" else runtime)
    nms = load_manifest(engine).nms
    backend = open_backend(engine, runtime, tail=tail)
    session = backend.session(threads=2)
    total = Agreement()
    for picture, candidates in zip(letterboxed, reference, strict=True):
        session.input(1)[:] = picture
        found = found_in(session.run(1), 0).above(COMPARED_ABOVE)
        total += agreement(candidates, found, nms, above=COMPARED_ABOVE)
    session.close()
    backend.close()
    assert total.holds(), str(total)
    assert 200 == total.pictures
    assert total.compared > 2000
    assert total.worst_px <= 0.05
    assert total.worst_score <= 1e-3


def frames(shared_data: Path, file: str, wanted: list[int | None]) -> dict[int | None, Frame]:
    """The wanted frames of a file by their numbers in display order; None: it is a picture."""
    path = shared_data / file
    if wanted == [None]:
        return {None: Frame("picture", 0, 0.0, read_picture(path))}
    source, kept = FileSource("clip", path), {}
    source.open()
    try:
        for number in range(max(wanted) + 1):
            frame = source.read()
            if number in wanted:
                kept[number] = Frame("clip", number, frame.pts_s, frame.picture.host())
            frame.picture.release()
    except EndOfStream:
        pytest.fail(f"{file} ended before frame {max(wanted)}")
    finally:
        source.close()
    return kept


def same(expected: dict[str, Any], found: Detections) -> np.ndarray:
    """Which rows are the expected detection: same class, IoU at least 0.9, score within 0.05."""
    overlap = boxes.iou(np.float32([expected["box_xyxy"]]), found.xyxy)[0]
    named = np.array([found.names[number] == expected["label"] for number in found.class_id], bool)
    return named & (overlap >= 0.9) & (np.abs(found.score - expected["score"]) <= 0.05)


def test_through_our_own_letterbox_the_recorded_detections_are_found_again(engine: Path, shared_data: Path):
    items = json.loads((shared_data / "models" / "yolox_nano_expected.json").read_text())["items"]
    files = {item["file"]: [one["frame"] for one in items if one["file"] == item["file"]] for item in items}
    detector = load_detector(engine, "onnx-cpu")
    worker = detector.worker(2)
    recorded = 0
    for file, wanted in files.items():
        taken = frames(shared_data, file, wanted)
        for item in (one for one in items if one["file"] == file):
            found = worker.detect([taken[item["frame"]]])[0]
            for detection in item["detections"]:
                if detection["score"] >= 0.5:
                    assert same(detection, found).any(), f"{file} {item['frame']}: {detection}"
                    recorded += 1
            for row in np.flatnonzero(found.score >= 0.55):
                one = found.rows(np.array([row]))
                assert any(same(detection, one).any() for detection in item["detections"]), f"{file} {item['frame']}"
    worker.close()
    detector.close()
    assert 7 == recorded
