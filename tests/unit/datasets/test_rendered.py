"""Rendered plates: a COCO set that is read back exactly, and is the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.rendered import RenderOptions, render_plates
from streamdet.errors import ConfigError

SMALL = RenderOptions(count=6, size=(480, 272), per_street=3, seed=4, valid_ratio=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render_plates(folder, SMALL)
    return folder


def test_pictures_corners_and_texts_are_read_back(folder: Path) -> None:
    train, valid = open_data_set(f"{folder}:train"), open_data_set(f"{folder}:valid")
    assert (3, 3) == (len(train.entries), len(valid.entries))
    assert ("plate",) == train.classes
    assert (272, 480, 3) == train.read(0).rgb.shape
    given = [entry.objects for entry in train.entries if len(entry.objects)]
    assert given
    for objects in given:
        assert objects.keypoints is not None
        assert objects.texts is not None
        assert all(text.isalnum() for text in objects.texts)
        whole = (objects.keypoints[..., 2] > 0).all(axis=1)
        around = np.concatenate([objects.keypoints[whole, :, :2].min(1), objects.keypoints[whole, :, :2].max(1)], 1)
        assert pytest.approx(around, abs=0.01) == objects.xyxy[whole]


def test_no_street_is_in_both_splits(folder: Path) -> None:
    train, valid = open_data_set(f"{folder}:train"), open_data_set(f"{folder}:valid")
    assert not {entry.group for entry in train.entries} & {entry.group for entry in valid.entries}


def test_the_same_seed_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    render_plates(tmp_path, SMALL)
    assert (folder / "train.json").read_text() == (tmp_path / "train.json").read_text()
    names = sorted(path.name for path in (folder / "images").iterdir())
    assert all((folder / "images" / name).read_bytes() == (tmp_path / "images" / name).read_bytes() for name in names)


def test_small_and_hidden_plates_are_ignored(folder: Path) -> None:
    entries = open_data_set(f"{folder}:train").entries
    learnt = np.concatenate([entry.objects.xyxy[~entry.objects.ignored] for entry in entries])
    assert (learnt[:, 2] - learnt[:, 0]).min() >= 11
    assert any(entry.objects.ignored.any() for entry in entries)


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(ConfigError, match="already"):
        render_plates(folder, SMALL)


def test_an_unknown_country_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no plates"):
        render_plates(tmp_path, SMALL.model_copy(update={"countries": ("XX",)}))
