"""Looking engines up, and refusing files that are not what the manifest says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_engines import parrot

from streamdet.errors import EngineMismatch, EngineNotFound, ManifestInvalid
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine, Shelf, Suite, open_engine, standard_folders


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    parrot(tmp_path / "near" / "plate-detector")
    parrot(tmp_path / "far" / "people")
    shutil.copytree(tmp_path / "near" / "plate-detector", tmp_path / "far" / "plate-detector")
    return Shelf((tmp_path / "near", tmp_path / "far", tmp_path / "nowhere"))


def edit(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_nearer_of_two_folders_wins(shelf: Shelf, tmp_path: Path):
    assert tmp_path / "near" / "plate-detector" == shelf.find("plate-detector")
    assert tmp_path / "far" / "people" == shelf.find("people")
    assert ["people", "plate-detector"] == [path.name for path in shelf.list_engines()]


def test_a_path_to_the_folder_or_its_manifest_is_an_engine_too(shelf: Shelf, tmp_path: Path):
    folder = tmp_path / "far" / "people"
    assert folder == shelf.find(folder)
    assert folder == shelf.find(str(folder / "manifest.json"))


def test_an_unknown_name_lists_what_there_is_and_what_is_near(shelf: Shelf):
    with pytest.raises(EngineNotFound) as caught:
        shelf.find("plate-detecter")
    assert "people, plate-detector" in str(caught.value)
    assert "did you mean plate-detector?" in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "../near/people", "/", "no/such/folder"])
def test_odd_names_are_not_found(shelf: Shelf, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineNotFound):
        shelf.find(name)


def test_an_empty_shelf_says_so(tmp_path: Path):
    with pytest.raises(EngineNotFound, match="none, the shelf is empty"):
        Shelf((tmp_path,)).find("people")


def test_folders_stand_in_the_order_here_environment_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMDET_ENGINES", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    here, first, second, own = standard_folders()
    assert (Path("engines"), tmp_path / "a", tmp_path / "b") == (here, first, second)
    assert own.name in ("engines", "_engines")


def test_a_suite_opens_as_a_suite_and_a_backend_names_its_parts(tmp_path: Path):
    folder = tmp_path / "plates"
    folder.mkdir()
    fields = {"schema": "streamdet.engine/1", "name": "plates", "kind": "suite", "detect": "d", "read": "r"}
    (folder / "manifest.json").write_text(json.dumps(fields))
    assert isinstance(open_engine(folder), Suite)
    with pytest.raises(EngineMismatch, match="name one of them: d, r"):
        open_backend(folder)


def test_a_model_of_another_hash_is_refused(shelf: Shelf):
    engine = shelf.open("people")
    assert isinstance(engine, Engine)
    with (engine.folder / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ManifestInvalid, match="not the file that the manifest names"):
        open_backend(engine)


def test_a_model_that_is_missing_is_one_message(shelf: Shelf):
    folder = shelf.find("people")
    (folder / "model.onnx").unlink()
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        open_backend(folder)


def test_a_manifest_cannot_reach_outside_its_folder(shelf: Shelf):
    folder = shelf.find("people")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files=[files[0] | {"path": "../../near/plate-detector/model.onnx"}])
    with pytest.raises(ManifestInvalid, match="outside its folder"):
        open_backend(folder)
