"""Each family: a small network of its output form, imported, gives what the plain numpy decode gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import toy_networks

from streamdet.errors import ModelRefused
from streamdet.graft.agreement import Agreement, agreement
from streamdet.graft.families.table import FAMILIES, choose_family
from streamdet.graft.importer import import_model
from streamdet.graft.normalisation import RANGES
from streamdet.graft.pictures import rendered
from streamdet.graft.probe import probe
from streamdet.graft.proof import found_in, raw_candidates
from streamdet.infer.backends import open_backend

NAMES = ("ant", "bee", "cat", "dog")


@dataclass(frozen=True)
class Case:
    """A network, what its import must be told, and what must come out."""

    make: Callable[[], Any]
    family: str
    told: dict[str, Any] = field(default_factory=dict)
    batch: tuple[int, int] = (1, 32)
    pixels: str = "0..1"


CASES = {
    "yolox raw": Case(toy_networks.yolox, "yolox", pixels="0..255"),
    "yolox decoded": Case(lambda: toy_networks.yolox(decoded=True), "yolox", {"family": "yolox"}, pixels="0..255"),
    "yolox, batch of one set free": Case(lambda: toy_networks.yolox(batch=1, opset=13), "yolox", pixels="0..255"),
    "yolox, not square, batch of three set free": Case(
        lambda: toy_networks.yolox((96, 64), batch=3), "yolox", pixels="0..255"
    ),
    "yolov5": Case(toy_networks.yolov5, "yolov5"),
    "yolov5 by its alias": Case(lambda: toy_networks.yolov5((32, 96)), "yolov5", {"family": "yolov7"}),
    "yolov8": Case(toy_networks.yolov8, "yolov8"),
    "yolov8, not square": Case(lambda: toy_networks.yolov8((128, 64)), "yolov8"),
    "yolov8 pose": Case(lambda: toy_networks.yolov8(points=5), "yolov8"),
    "yolov10": Case(toy_networks.yolov10, "yolov10"),
    "detr": Case(toy_networks.detr, "detr"),
    "detr, named as RF-DETR does": Case(lambda: toy_networks.detr(names=("labels", "dets")), "detr", pixels="imagenet"),
    "detr joined": Case(lambda: toy_networks.detr_joined((64, 96)), "detr", {"family": "rtdetr"}),
    "detr with an input for sizes, not square": Case(lambda: toy_networks.detr_with_sizes((96, 64)), "detr"),
    "ssd": Case(toy_networks.ssd, "ssd", {"pixels": "-1..1"}, pixels="-1..1"),
    "ssd before softmax": Case(
        lambda: toy_networks.ssd((64, 96), softmax=False), "ssd", {"family": "ssd", "pixels": "0..1"}
    ),
    "torchvision": Case(toy_networks.torchvision, "torchvision", batch=(1, 1)),
    "generic": Case(lambda: toy_networks.generic(classes=4), "generic", {"family": "generic", "pixels": "0..1"}),
    "generic with a batch that cannot be set free": Case(
        lambda: toy_networks.with_baked_batch(classes=4), "generic", {"family": "generic", "pixels": "0..1"}, (2, 2)
    ),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(",", "").replace(" ", "-"))
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Case, Any, Any]:
    """(case, raw model, the engine on its shelf)."""
    case = CASES[request.param]
    raw = case.make()
    onnx.save(raw, tmp_path / "raw.onnx")
    return case, raw, import_model(tmp_path / "raw.onnx", "toy", shelf=tmp_path / "shelf", classes=NAMES, **case.told)


def test_an_imported_engine_finds_what_the_numpy_decode_finds_on_every_runtime(imported):
    case, raw, engine = imported
    assert case.family == engine.manifest.family
    assert case.batch == engine.manifest.input.batch
    network = probe(raw, None, NAMES)
    shown = rendered(network.size, 6, seed=77)
    family = FAMILIES[case.family]
    expected = raw_candidates(raw, network, family, len(NAMES), RANGES[case.pixels], shown, "toy")
    for runtime, tail in itertools.product(("onnx-cpu", "openvino"), ("kernel", "graph")):
        if runtime == "openvino":
            pytest.importorskip("openvino")
        backend = open_backend(engine.folder, runtime, tail=tail)
        session = backend.session()
        total, step = Agreement(), 2 if case.batch[1] > 1 else 1
        for start in range(0, 6, step):
            session.input(step)[:] = shown[start : start + step]
            arrays = session.run(step)
            for i in range(step):
                total += agreement(expected[start + i], found_in(arrays, i), engine.manifest.nms)
        session.close()
        backend.close()
        assert total.holds(), f"{runtime}, {tail}: {total}"
        assert total.compared > 50


def test_the_import_itself_compared_detections_and_left_a_whole_engine(imported):
    _, _, engine = imported
    assert engine.proof.compared > 50
    assert {"manifest.json", "model.onnx", "CARD.md"} == {path.name for path in engine.folder.iterdir()}
    assert [engine.folder] == list(engine.folder.parent.iterdir())


def test_keypoints_of_a_pose_network_come_out_beside_their_boxes(tmp_path):
    raw = toy_networks.yolov8(points=5)
    onnx.save(raw, tmp_path / "raw.onnx")
    engine = import_model(tmp_path / "raw.onnx", "pose", shelf=tmp_path, classes=NAMES)
    shown = rendered((64, 64), 1)
    expected = raw_candidates(raw, probe(raw, None), FAMILIES["yolov8"], 4, RANGES["0..1"], shown, "toy")[0]
    session = open_backend(engine.folder, "onnx-cpu").session()
    session.input(1)[:] = shown
    arrays = session.run(1)
    assert (1, arrays["score"].shape[1], 5, 3) == arrays["keypoints"].shape
    for place in range(int(arrays["count"][0])):
        row = np.abs(expected.xyxy - arrays["xyxy"][0, place]).max(axis=1).argmin()
        np.testing.assert_allclose(expected.keypoints[row], arrays["keypoints"][0, place], atol=1e-3)


def test_names_and_keypoints_are_read_from_the_files_own_metadata(tmp_path):
    raw = toy_networks.yolov8(points=3, names="{0: 'ant', 1: 'bee', 2: 'cat', 3: 'dog'}", license="MIT")
    onnx.save(raw, tmp_path / "raw.onnx")
    engine = import_model(tmp_path / "raw.onnx", "pose", shelf=tmp_path)
    assert NAMES == engine.manifest.classes
    assert "MIT" == engine.manifest.provenance.licence


@pytest.mark.parametrize(
    ("make", "candidates"),
    [
        (lambda: toy_networks.yolox(decoded=True), {"yolox", "yolov5"}),
        (lambda: toy_networks.generic(classes=4), {"detr", "ssd", "generic"}),
        (lambda: toy_networks.yolov10(rows=84), {"yolox", "yolov5", "yolov10"}),
    ],
    ids=["decoded", "boxes-and-scores", "as-many-rows-as-cells"],
)
def test_a_form_that_fits_several_families_is_refused_with_their_names(make, candidates):
    with pytest.raises(ModelRefused) as refused:
        choose_family(probe(make(), None), None)
    assert candidates == {part.split()[-1] for part in refused.value.hint.split(" or ")}


def test_outputs_of_no_known_form_are_shown():
    toy = toy_networks.Toy()
    toy.op("Identity", toy.trunk(8), name="features")
    with pytest.raises(ModelRefused, match="no known family") as refused:
        choose_family(probe(toy.model({"features": ["batch", 8, 8, 8]}), None), None)
    assert "features float32 [1, 8, 8, 8]" == refused.value.got


def test_a_segmentation_network_is_refused_by_its_task():
    with pytest.raises(ModelRefused, match="no plain detector"):
        choose_family(probe(toy_networks.yolov8(task="segment"), None), None)


def test_a_named_family_of_another_form_is_refused():
    with pytest.raises(ModelRefused, match="not those of the family yolov8"):
        choose_family(probe(toy_networks.yolov10(), None), "yolov8")


def test_a_network_whose_nodes_have_no_names_is_imported(tmp_path):
    model = toy_networks.generic()
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, str(tmp_path / "raw.onnx"))
    done = import_model(tmp_path / "raw.onnx", "nameless", shelf=tmp_path, family="generic", pixels="0..1")
    assert "nameless" == done.manifest.name
