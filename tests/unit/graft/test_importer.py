"""What the importer refuses, what it leaves behind, and what it writes down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import toy_networks
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from streamdet.errors import ConfigError, ManifestInvalid, ModelRefused, StreamdetError
from streamdet.graft.importer import import_model
from streamdet.graft.raw import load_model
from streamdet.infer.backends import open_backend
from streamdet.manifest import load_manifest, sha256_of


def saved(tmp_path: Path, model: Any) -> Path:
    path = tmp_path / "raw.onnx"
    onnx.save(model, path)
    return path


def truncated(tmp_path: Path) -> Path:
    path = saved(tmp_path, toy_networks.yolox())
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def empty(tmp_path: Path) -> Path:
    path = tmp_path / "raw.onnx"
    path.touch()
    return path


def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "raw.onnx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    return path


def with_nan(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    tensor = next(one for one in model.graph.initializer if len(one.dims) == 4)
    weights = numpy_helper.to_array(tensor).copy()
    weights[0, 0, 0, 0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return saved(tmp_path, model)


def old_opset(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    model.opset_import[0].version = 8
    return saved(tmp_path, model)


def custom_operator(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    model.graph.node[-1].domain = "nvidia.plugins"
    model.opset_import.append(helper.make_opsetid("nvidia.plugins", 1))
    return saved(tmp_path, model)


def unknown_operator(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    model.graph.node[-1].op_type = "EfficientNMS_TRT"
    return saved(tmp_path, model)


def missing_weights(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = saved(tmp_path, model)
    (tmp_path / "weights.bin").unlink()
    return path


def too_large(tmp_path: Path) -> Path:
    path = tmp_path / "raw.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31)  # a sparse file: nothing is written
    return path


def infinite_weights(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    tensor = next(one for one in model.graph.initializer if len(one.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(np.full(tuple(tensor.dims), np.inf, np.float32), tensor.name))
    return saved(tmp_path, model)


def grey_input(tmp_path: Path) -> Path:
    model = toy_networks.yolox()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    return saved(tmp_path, model)


def nothing(tmp_path: Path) -> Path:
    return tmp_path / "absent.onnx"


BAD = {
    truncated: "cut off",
    empty: "empty",
    foreign: "not an ONNX model",
    with_nan: "hold NaN",
    infinite_weights: "not finite",
    old_opset: "operator set is too old",
    custom_operator: "outside the ONNX standard",
    unknown_operator: "not valid ONNX",
    missing_weights: "second file that is missing",
    too_large: "too large",
    grey_input: "not a colour picture",
    nothing: "cannot be read",
}


@pytest.mark.parametrize(("make", "words"), BAD.items(), ids=[make.__name__ for make in BAD])
def test_a_bad_model_is_one_clear_message_and_leaves_nothing_on_the_shelf(make, words, tmp_path):
    path = make(tmp_path)
    with pytest.raises(ModelRefused) as refused:
        import_model(path, "bad", shelf=tmp_path / "shelf")
    assert words in refused.value.what
    assert "\n\n" not in str(refused.value)
    assert not (tmp_path / "shelf").exists()


TELLINGS: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "unknown family": (toy_networks.yolox, {"family": "yolo99"}, "unknown family"),
    "wrong class count": (toy_networks.yolox, {"classes": ("a", "b")}, "number of class names"),
    "labels without names": (toy_networks.yolov10, {}, "which classes there are"),
    "fewer names than labels": (toy_networks.yolov10, {"classes": ("a", "b")}, "a label that the classes do not have"),
    "pixels not told": (toy_networks.generic, {"family": "generic"}, "what pixels it was trained on"),
    "unknown pixels": (toy_networks.yolox, {"pixels": "0..2"}, "unknown pixel range"),
    "another size": (toy_networks.yolox, {"size": (640, 640)}, "another size"),
    "logits read as scores": (
        toy_networks.detr,
        {"family": "generic", "pixels": "0..1"},
        "the scores are no probabilities",
    ),
    "parts read as pixels": (
        lambda: toy_networks.ssd(classes=3),
        {"family": "generic", "pixels": "0..1"},
        "smaller than two pixels",
    ),
}


@pytest.mark.parametrize(("make", "told", "words"), TELLINGS.values(), ids=TELLINGS)
def test_a_wrong_telling_is_one_clear_message_and_leaves_nothing_on_the_shelf(make, told, words, tmp_path):
    path = saved(tmp_path, make())
    with pytest.raises(StreamdetError) as refused:
        import_model(path, "bad", shelf=tmp_path / "shelf", **told)
    assert words in refused.value.what
    assert not (tmp_path / "shelf").exists()


def test_a_wrong_class_count_names_both_numbers(tmp_path):
    path = saved(tmp_path, toy_networks.yolox())
    with pytest.raises(ModelRefused) as refused:
        import_model(path, "bad", shelf=tmp_path, classes=("a", "b"))
    assert "4 classes" in refused.value.expected
    assert "2 names" in refused.value.got


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"a\n\nb\n", "an empty line"), (b"\xff\xfe\x00", "not text")]
)
def test_a_bad_file_of_class_names_is_refused(content, words, tmp_path):
    names = tmp_path / "names.txt"
    names.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        import_model(saved(tmp_path, toy_networks.yolox()), "bad", shelf=tmp_path / "shelf", classes=names)


def test_a_network_of_any_size_needs_to_be_told_one(tmp_path):
    model = toy_networks.yolov8()
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis{axis}"
    path = saved(tmp_path, model)
    with pytest.raises(ModelRefused, match="pictures of any size"):
        import_model(path, "any", shelf=tmp_path / "shelf")
    assert (64, 64) == import_model(path, "any", shelf=tmp_path / "shelf", size=(64, 64)).manifest.input.size


def test_a_taken_name_is_refused_unless_replacing_is_asked_for(tmp_path):
    path = saved(tmp_path, toy_networks.yolox())
    shelf = tmp_path / "shelf"
    first = import_model(path, "toy", shelf=shelf)
    with pytest.raises(ConfigError, match="already has an engine"):
        import_model(path, "toy", shelf=shelf, confidence=0.5)
    assert first.manifest == load_manifest(first.folder)
    import_model(path, "toy", shelf=shelf, confidence=0.5, replace_existing=True)
    assert 0.5 == load_manifest(first.folder).score
    assert [first.folder] == list(shelf.iterdir())


def test_a_name_that_would_leave_the_shelf_is_refused(tmp_path):
    with pytest.raises(StreamdetError, match="not a name"):
        import_model(saved(tmp_path, toy_networks.yolox()), "../elsewhere", shelf=tmp_path / "shelf")
    assert not (tmp_path / "shelf").exists()


def test_a_write_that_fails_leaves_the_old_engine_and_no_scraps(tmp_path, monkeypatch):
    path = saved(tmp_path, toy_networks.yolox())
    shelf = tmp_path / "shelf"
    old = import_model(path, "toy", shelf=shelf)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        import_model(path, "toy", shelf=shelf, confidence=0.5, replace_existing=True)
    assert [old.folder] == list(shelf.iterdir())
    assert old.manifest == load_manifest(old.folder)


def test_class_names_missing_everywhere_are_made_up_and_said(tmp_path):
    done = import_model(saved(tmp_path, toy_networks.yolox()), "toy", shelf=tmp_path / "shelf")
    assert ("class-0", "class-1", "class-2", "class-3") == done.manifest.classes
    assert "class-0" in done.remarks[0]


def test_a_leading_background_is_no_class_of_a_torchvision_network(tmp_path):
    path = saved(tmp_path, toy_networks.torchvision())
    names = ("__background__", "a", "b", "c", "d")
    assert names[1:] == import_model(path, "toy", shelf=tmp_path / "shelf", classes=names).manifest.classes


def test_the_manifest_tells_where_the_engine_comes_from_and_how_to_feed_it(tmp_path):
    path = saved(tmp_path, toy_networks.yolox((96, 64)))
    done = import_model(path, "toy", shelf=tmp_path / "shelf", iou=0.6, max_detections=50, licence="Apache-2.0")
    manifest = done.manifest
    assert f"raw.onnx, sha256 {sha256_of(path)}" == manifest.provenance.source
    assert "Apache-2.0" == manifest.provenance.licence
    assert ("bgr", "top_left", "floor", 114) == (
        manifest.input.colour,
        manifest.input.fit.anchor,
        manifest.input.fit.rounding,
        manifest.input.fit.pad,
    )
    assert (0.6, 50, 126) == (manifest.nms.iou, manifest.nms.max_detections, manifest.nms.candidates)
    assert sha256_of(done.folder / "model.onnx") == manifest.files[0].sha256


def test_a_manifest_with_another_files_hash_is_refused(tmp_path):
    done = import_model(saved(tmp_path, toy_networks.yolox()), "toy", shelf=tmp_path / "shelf")
    model = done.folder / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\x00")
    with pytest.raises(ManifestInvalid, match="not the file that the manifest names"):
        open_backend(done.folder, "onnx-cpu")


def test_weights_beside_the_file_are_taken_in(tmp_path):
    model = toy_networks.yolox()
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = saved(tmp_path, model)
    assert (tmp_path / "weights.bin").exists()
    done = import_model(path, "toy", shelf=tmp_path / "shelf")
    assert {"manifest.json", "model.onnx", "CARD.md"} == {one.name for one in done.folder.iterdir()}
    open_backend(done.folder, "onnx-cpu").close()


def test_old_files_that_list_their_weights_as_inputs_are_read(tmp_path):
    model = toy_networks.yolox(opset=13)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    done = import_model(saved(tmp_path, model), "toy", shelf=tmp_path / "shelf")
    assert (1, 32) == done.manifest.input.batch


def test_half_precision_networks_are_computed_in_half_and_decoded_in_full(tmp_path):
    model = toy_networks.yolox()
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            halved = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(halved, tensor.name))
    for face in (*model.graph.input, *model.graph.output):
        face.type.tensor_type.elem_type = TensorProto.FLOAT16
    done = import_model(saved(tmp_path, model), "toy", shelf=tmp_path / "shelf")
    assert done.proof.compared > 50
    outputs = {
        face.name: face.type.tensor_type.elem_type for face in load_model(done.folder / "model.onnx").graph.output
    }
    assert TensorProto.FLOAT == outputs["xyxy"]


def test_an_engine_of_ours_is_told_from_a_network_and_how_to_use_it(tmp_path):
    folder = import_model(
        saved(tmp_path, toy_networks.yolox()), "first", shelf=tmp_path / "shelf", size=(64, 64)
    ).folder
    with pytest.raises(ModelRefused, match="an engine of streamdet already") as raised:
        import_model(folder / "model.onnx", "again", shelf=tmp_path / "shelf")
    assert f"streamdet run --engine {folder}" in str(raised.value.hint)
    alone = tmp_path / "alone.onnx"
    alone.write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(ModelRefused) as raised:
        import_model(alone, "again", shelf=tmp_path / "shelf")
    assert "manifest.json" in str(raised.value.hint)
    assert not (tmp_path / "shelf" / "again").exists()
