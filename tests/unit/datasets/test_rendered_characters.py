"""Characters of rendered plates: a COCO set whose masks are read back to the pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamdet.datasets.areas import labels_of, masks_of
from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.doctor.examine import examine
from streamdet.datasets.rendered_characters import CharacterSetOptions, render_characters
from streamdet.datasets.samples import Objects
from streamdet.masks import UNKNOWN, mask_of
from streamdet.scenes.plate_characters import CharacterOptions, plate_characters

SMALL = CharacterSetOptions(count=8, seed=3, valid_ratio=0.25, test_ratio=0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("characters")
    render_characters(folder, SMALL)
    return folder


def test_masks_are_read_back_to_the_pixel(folder: Path):
    data_set = open_data_set(f"{folder}:train")
    told = json.loads((folder / "train.json").read_text())["annotations"]
    assert ("character",) == data_set.classes
    number = 0
    for entry in data_set.entries:
        for mask, xyxy in zip(masks_of(entry.objects, (256, 128)), entry.objects.xyxy.tolist(), strict=True):
            assert np.array_equal(mask_of(told[number]["segmentation"], "here"), mask)
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            assert [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] == xyxy
            number += 1
    assert len(told) == number > 10


def test_the_doctor_finds_nothing_wrong(folder: Path):
    assert [] == [finding.title for finding in examine([open_data_set(f"{folder}:train")]).errors]


def test_pictures_are_spread_over_the_splits(folder: Path):
    splits = [open_data_set(f"{folder}:{split}") for split in ("train", "valid", "test")]
    assert 8 == sum(len(split.entries) for split in splits)
    assert all(len(split.entries) >= 1 for split in splits)


def test_a_picture_follows_from_its_seed_and_number():
    one, again, other = plate_characters(1, 2), plate_characters(1, 2), plate_characters(1, 3)
    assert np.array_equal(one.bgr, again.bgr)
    assert np.array_equal(one.owners, again.owners)
    assert not np.array_equal(one.bgr, other.bgr)


def test_every_character_has_its_pixels_where_its_ink_is():
    seen = 0
    for index in range(6):
        found = plate_characters(4, index, CharacterOptions(severity=0.0, negatives=0.0))
        present = set(np.unique(found.owners).tolist()) - {0}
        assert set(range(1, len(found.text) + 1)) == present
        grey = found.bgr.mean(axis=2)
        for number in present:
            own = found.owners == number
            rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
            around = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            beside = (found.owners == 0)[around]
            if beside.sum() > 20:
                seen += abs(np.median(grey[own]) - np.median(grey[around][beside])) > 15
    assert seen > 20  # ink is darker or lighter than the plate


def test_labels_of_pixels_are_those_of_the_smallest_object_and_unknown_where_ignored():
    xyxy = np.array([[0, 0, 8, 8], [2, 2, 4, 4], [6, 6, 12, 12]], np.float32)
    objects = Objects(xyxy, np.array([0, 1, 0]), np.array([False, False, True]))
    labels = labels_of(objects, (12, 12))
    assert (1, 2, 0, UNKNOWN) == (labels[0, 0], labels[3, 3], labels[0, 11], labels[9, 9])
    assert UNKNOWN == labels[7, 7]
