"""Our own labels of the Romanian plates: strict files, and about the pictures that they name."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

LABELS = Path(__file__).resolve().parents[1] / "data" / "plates_ro"
BOX = ["x1", "y1", "x2", "y2"]
CORNERS = ["tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y"]
COLUMNS = {
    "readings.csv": ["file", *BOX, "text", "state", "split", "plate", "character_height_px"],
    "corners.csv": ["file", *BOX, *CORNERS],
    "ignore.csv": ["file", *BOX, "reason"],
}
ROMANIAN = re.compile(r"(B\d{2,3}|[A-Z]{2}\d{2})[A-Z]{3}|[A-Z]{1,2}0\d{5}")
TEST_DRIVES = {"dayride_type1_002", "dayride_type1_003"}


def rows(name: str) -> list[dict[str, str]]:
    with (LABELS / name).open(newline="") as file:
        return list(csv.DictReader(file, strict=True))


def key(row: dict[str, str]) -> tuple[str, ...]:
    return (row["file"], *(row[side] for side in BOX))


@pytest.mark.parametrize("name", COLUMNS)
def test_each_file_is_sorted_names_its_columns_and_keeps_its_boxes_inside_the_picture(name: str) -> None:
    labelled = rows(name)
    assert COLUMNS[name] == list(labelled[0])
    assert len({key(row) for row in labelled}) == len(labelled)
    assert all(before["file"] <= after["file"] for before, after in pairwise(labelled))
    for row in labelled:
        x1, y1, x2, y2 = (float(row[side]) for side in BOX)
        assert 0 <= x1 < x2 <= 1280, row
        assert 0 <= y1 < y2 <= 720, row


def test_a_reading_has_a_romanian_text_unless_it_is_unreadable_and_a_plate_has_one_text() -> None:
    texts: dict[str, str] = {}
    for row in rows("readings.csv"):
        assert row["state"] in {"readable", "doubtful", "unreadable"}, row
        assert row["split"] in {"test", "validation"}, row
        if row["state"] == "unreadable":
            assert "" == row["text"], row
            continue
        assert ROMANIAN.fullmatch(row["text"]), row
        assert row["text"] == texts.setdefault(row["plate"], row["text"]), row
        assert 3 <= float(row["character_height_px"]) <= 80, row
    assert len(set(texts.values())) == len(texts)


def test_corners_stand_clockwise_from_the_top_left_and_belong_to_a_reading() -> None:
    readings = {key(row) for row in rows("readings.csv")}
    for row in rows("corners.csv"):
        assert key(row) in readings, row
        corner = {name: float(row[name]) for name in CORNERS}
        assert corner["tl_x"] < corner["tr_x"], row
        assert corner["bl_x"] < corner["br_x"], row
        assert corner["tl_y"] < corner["bl_y"], row
        assert corner["tr_y"] < corner["br_y"], row


def test_an_ignored_plate_is_not_one_that_is_labelled() -> None:
    labelled: dict[str, list[list[float]]] = {}
    for row in rows("readings.csv"):
        labelled.setdefault(row["file"], []).append([float(row[side]) for side in BOX])
    for row in rows("ignore.csv"):
        assert row["reason"] in {"far", "blurred", "dark", "glare", "occluded", "cut", "uncertain"}, row
        x1, y1, x2, y2 = (float(row[side]) for side in BOX)
        for a1, b1, a2, b2 in labelled.get(row["file"], []):
            assert min(x2, a2) <= max(x1, a1) or min(y2, b2) <= max(y1, b1), row


def test_the_readings_are_of_every_published_box_split_by_drive(shared_data: Path) -> None:
    folder = shared_data / "plates_ro"
    published: dict[tuple[str, ...], str] = {}
    drives: dict[str, str] = {}
    for name in ("train.json", "valid.json"):
        content = json.loads((folder / name).read_text())
        pictures = {picture["id"]: picture for picture in content["images"]}
        drives |= {picture["file_name"]: picture["source_clip"] for picture in pictures.values()}
        for annotation in content["annotations"]:
            x, y, width, height = annotation["bbox"]
            box = (f"{x:.2f}", f"{y:.2f}", f"{x + width:.2f}", f"{y + height:.2f}")
            picture = pictures[annotation["image_id"]]
            published[picture["file_name"], *box] = "test" if picture["source_clip"] in TEST_DRIVES else "validation"
    assert published == {key(row): row["split"] for row in rows("readings.csv")}
    for row in rows("ignore.csv"):
        assert row["file"] in drives, row
        assert (folder / "images" / row["file"]).is_file()
