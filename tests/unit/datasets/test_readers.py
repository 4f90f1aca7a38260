"""COCO, Pascal VOC and YOLO files become the same pictures and objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.datasets.areas import masks_of
from streamdet.datasets.catalogue import DataSpec, data_sets_below, open_data_set, splits_of
from streamdet.datasets.pictures import read_picture, shown_size
from streamdet.datasets.runs import outlines
from streamdet.datasets.samples import Listed, Objects
from streamdet.errors import ConfigError, DataError, PictureUnreadable

SIZE = (64, 48)
BOXES = np.array([(4, 6, 20, 30), (30, 10, 60, 40)], np.float32)


def picture(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, size, interpolation=cv2.INTER_NEAREST))


def coco(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [4, 6, 16, 24]},
            {"id": 2, "image_id": 7, "category_id": 9, "bbox": [30, 10, 30, 30], "iscrowd": 1},
        ],
    }
    return whole | changed


def write_coco(folder: Path, name: str = "labels.json", **changed: Any) -> Path:
    picture(folder / "images" / "a.png")
    (folder / name).write_text(json.dumps(coco(**changed)))
    return folder / name


def write_voc(folder: Path, boxes: str | None = None) -> Path:
    picture(folder / "JPEGImages" / "a.png")
    boxes = boxes or (
        "<object><name>cat</name><difficult>0</difficult>"
        "<bndbox><xmin>5</xmin><ymin>7</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
        "<object><name>dog</name><difficult>1</difficult>"
        "<bndbox><xmin>31</xmin><ymin>11</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>"
    )
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a.xml").write_text(
        f"<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>{boxes}</annotation>"
    )
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split in ("train", "trainval", "cat_train"):
        (lists / f"{split}.txt").write_text("a\n")
    return folder


def write_yolo(folder: Path, lines: str | None = None, description: str | None = None) -> Path:
    picture(folder / "train" / "images" / "a.png")
    (folder / "train" / "labels").mkdir()
    if lines is None:
        centres = [((x1 + x2) / 128, (y1 + y2) / 96, (x2 - x1) / 64, (y2 - y1) / 48) for x1, y1, x2, y2 in BOXES]
        lines = "\n".join(f"{row} " + " ".join(map(str, centre)) for row, centre in enumerate(centres))
    (folder / "train" / "labels" / "a.txt").write_text(lines)
    (folder / "data.yaml").write_text(description or "train: ../train/images\nnc: 2\nnames: [cat, dog]\n")
    return folder


def only(data_set: object) -> Objects:
    assert isinstance(data_set, Listed)
    assert 1 == len(data_set)
    return data_set.entries[0].objects


@pytest.mark.parametrize("write", [write_coco, write_voc, write_yolo])
def test_the_same_objects_are_the_same_in_every_format(write: Any, tmp_path: Path) -> None:
    write(tmp_path)
    data_set = open_data_set(splits_of(str(tmp_path))[0])
    objects = only(data_set)
    assert ("cat", "dog") == data_set.classes
    assert pytest.approx(BOXES, abs=1e-4) == objects.xyxy
    assert [0, 1] == objects.class_id.tolist()
    assert [False, write is not write_yolo] == objects.ignored.tolist()
    assert SIZE == data_set.entries[0].size
    assert (48, 64, 3) == data_set.read(0).rgb.shape


def test_coco_classes_follow_the_numbers_of_the_categories(tmp_path: Path) -> None:
    assert ("cat", "dog") == open_data_set(str(write_coco(tmp_path))).classes


def test_coco_outlines_keypoints_and_text(tmp_path: Path) -> None:
    triangle = [10, 10, 30, 10, 10, 30]
    annotation = {
        "id": 1,
        "image_id": 7,
        "category_id": 3,
        "segmentation": [triangle],
        "keypoints": [10, 10, 2, 30, 10, 1, 0, 0, 0],
        "text": "B 12",
    }
    objects = only(open_data_set(str(write_coco(tmp_path, annotations=[annotation]))))
    assert [[10, 10, 30, 30]] == objects.xyxy.tolist()
    assert objects.polygons is not None
    assert [[10, 10], [30, 10], [10, 30]] == objects.polygons[0][0].tolist()
    assert objects.keypoints is not None
    assert [[[10, 10, 1], [30, 10, 1], [0, 0, 0]]] == objects.keypoints.tolist()
    assert ("B 12",) == objects.texts


blobs = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(2, 20), st.integers(2, 15)), min_size=1, max_size=3
)


@settings(max_examples=40, deadline=None)
@given(blobs)
def test_the_outline_of_a_mask_is_drawn_as_the_mask_again(parts: list[tuple[int, int, int, int]]) -> None:
    mask = np.zeros((48, 64), np.uint8)
    for left, top, width, height in parts:
        cv2.ellipse(mask, (left + 10, top + 8), (width // 2 + 2, height // 2 + 2), 0, 0, 360, 1, -1)
        cv2.ellipse(mask, (left + 10, top + 8), (width // 5, height // 5), 0, 0, 360, 0, -1)
    rings = outlines(mask)
    whole = Objects(np.zeros((1, 4), np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_), None, (rings,))
    assert np.array_equal(mask, masks_of(whole, (64, 48))[0])


@pytest.mark.parametrize(
    ("changed", "message", "place"),
    [
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 3}]}, "neither a box nor", "annotations[0]"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2]}]}, "not four numbers", "annotations[0]"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, "x", 4]}]}, "not a number", "[0]"),
        ({"images": [{"id": 1}]}, "without `id` or `file_name`", "images[0]"),
        ({"categories": [{"name": "cat"}]}, "without `id` or `name`", "categories[0]"),
        ({"images": None}, "no list `images`", "labels.json"),
    ],
)
def test_a_mistake_in_coco_is_one_message_with_its_place(
    changed: dict[str, Any], message: str, place: str, tmp_path: Path
) -> None:
    path = write_coco(tmp_path, **changed)
    with pytest.raises(DataError, match=message.replace("`", ".")) as caught:
        open_data_set(str(path))
    assert place in str(caught.value.where)


def test_broken_json_tells_the_line(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text('{"images": [],\n "annotations": oops}')
    with pytest.raises(DataError, match="not valid JSON") as caught:
        open_data_set(str(path))
    assert str(caught.value.where).endswith("train.json:2:17")


def test_voc_counts_from_one_unless_told_otherwise(tmp_path: Path) -> None:
    write_voc(tmp_path)
    assert [4, 6, 20, 30] == only(open_data_set(f"{tmp_path}:train")).xyxy[0].tolist()
    assert [5, 7, 21, 31] == only(open_data_set(f"{tmp_path}:train?first_pixel=0")).xyxy[0].tolist()


def test_lists_of_single_classes_are_no_splits(tmp_path: Path) -> None:
    assert ["train"] == [spec.split for spec in splits_of(str(write_voc(tmp_path)))]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("<object><name>cat</name></object>", "has no box"),
        (
            "<object><name>cat</name><bndbox><xmin>a</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>",
            "<xmin> is not a number",
        ),
        ("<object>", "not valid XML"),
    ],
)
def test_a_mistake_in_voc_names_file_and_object(boxes: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_data_set(f"{write_voc(tmp_path, boxes)}:train")
    assert "a.xml" in str(caught.value.where)


def test_yolo_outlines_and_keypoints(tmp_path: Path) -> None:
    write_yolo(tmp_path / "outline", "1 0.25 0.25 0.5 0.25 0.5 0.75\n")
    objects = only(open_data_set(str(tmp_path / "outline")))
    assert [[16, 12, 32, 36]] == objects.xyxy.tolist()
    assert objects.polygons is not None
    write_yolo(
        tmp_path / "points",
        "0 0.5 0.5 0.5 0.5 0.25 0.25 2 0 0 0\n",
        "train: train/images\nnames: {0: plate}\nkpt_shape: [2, 3]\n",
    )
    points = only(open_data_set(str(tmp_path / "points"))).keypoints
    assert points is not None
    assert [[[16, 12, 1], [0, 0, 0]]] == points.tolist()


def test_yolo_folders_without_a_description(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "val" / "b.jpg")
    (tmp_path / "labels" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "val" / "b.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    data_set = open_data_set(str(tmp_path))
    assert ("0", "1") == data_set.classes
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert ("cat", "dog") == open_data_set(f"{tmp_path}:val").classes


def test_yolo_lists_of_pictures(tmp_path: Path) -> None:
    write_yolo(tmp_path, description="train: list.txt\nnames: [cat, dog]\n")
    (tmp_path / "list.txt").write_text("./train/images/a.png\n")
    assert 2 == len(only(open_data_set(str(tmp_path / "data.yaml"))))


@pytest.mark.parametrize(
    ("lines", "message"),
    [("0 0.5 0.5 0.1", "strange number"), ("0 0.5 0.5 0.1 0.1 0.9", "strange number"), ("0 a 0.5 0.1 0.1", "number")],
)
def test_a_mistake_in_yolo_names_file_and_line(lines: str, message: str, tmp_path: Path) -> None:
    write_yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n" + lines)
    with pytest.raises(DataError, match=message) as caught:
        open_data_set(str(tmp_path))
    assert str(caught.value.where).endswith("a.txt:2")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("train: nowhere\nnames: [a]", "not there"),
        ("train: train/images\nnc: 3\nnames: [a]", "contradict"),
        ("train: train/images\nnames: {0: a, 2: b}", "gaps"),
        ("names: [a]", "names no pictures"),
        ("train: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_a_description_is_told(description: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_data_set(str(write_yolo(tmp_path, description=description) / "data.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{here}/nowhere", "no such data set"),
        ("{here}/voc", "several splits"),
        ("{here}/voc:west", "no such split"),
        ("{here}/voc:train?classes=horse", "no such class"),
        ("{here}/voc:train?include=monday", "no picture is of such a group"),
        ("{here}/voc:train?colour=red", "colour: Extra inputs"),
        ("{here}/empty", "no labels found"),
        ("{here}/both", "several formats"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_message(text: str, message: str, tmp_path: Path) -> None:
    write_voc(tmp_path / "voc") if (tmp_path / "voc").mkdir() is None else None
    (tmp_path / "empty").mkdir()
    (tmp_path / "both").mkdir()
    write_voc(tmp_path / "both")
    write_coco(tmp_path / "both")
    with pytest.raises((ConfigError, DataError), match=message):
        open_data_set(text.format(here=tmp_path))


def test_classes_are_chosen_and_numbered_as_asked(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data_set = open_data_set(f"{tmp_path}?classes=dog")
    assert isinstance(data_set, Listed)
    assert [0] == only(data_set).class_id.tolist()
    assert BOXES[1:].tolist() == only(data_set).xyxy.tolist()
    assert ["left_out"] == [remark.kind for remark in data_set.remarks]


def test_a_command_line_text_and_a_spec_are_the_same() -> None:
    text = "some/where:train+valid?include=a*,b&exclude=c&format=coco&group_pattern=(x)_"
    spec = DataSpec(
        path=Path("some/where"),
        split="train+valid",
        include=("a*", "b"),
        exclude=("c",),
        format="coco",
        group_pattern="(x)_",
    )
    assert spec == DataSpec.parse(text)


def test_groups_can_be_read_from_names(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"drive{n % 2}_{n}.png", "width": 64, "height": 48} for n in range(4)]
    write_coco(tmp_path, images=images, annotations=[])
    entries = open_data_set(f"{tmp_path}?group_pattern=(drive[0-9])_&exclude=drive0").entries
    assert ["drive1_1.png", "drive1_3.png"] == [entry.key for entry in entries]


def jpeg_with_orientation(path: Path, value: int) -> np.ndarray:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # top left
    _, content = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, 100])
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big")
    tiff += (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big") + value.to_bytes(2, "big")
    block = b"Exif\0\0" + tiff + b"\0\0" + b"\0\0\0\0"
    raw = content.tobytes()
    path.write_bytes(raw[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + raw[2:])
    return upright


@pytest.mark.parametrize(
    ("value", "bright"), [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (6, (0, 1)), (8, (1, 0))]
)
def test_pictures_are_shown_the_right_way_up(value: int, bright: tuple[int, int], tmp_path: Path) -> None:
    jpeg_with_orientation(tmp_path / "a.jpg", value)
    rgb = read_picture(tmp_path / "a.jpg")
    assert ((32, 16) if value < 5 else (16, 32)) == (rgb.shape[1], rgb.shape[0]) == shown_size(tmp_path / "a.jpg")
    quarters = rgb.reshape(2, rgb.shape[0] // 2, 2, rgb.shape[1] // 2, 3).mean(axis=(1, 3, 4))
    assert bright == np.unravel_index(quarters.argmax(), (2, 2))


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "webp", "tiff"])
def test_sizes_are_read_from_headers(ending: str, tmp_path: Path) -> None:
    picture(tmp_path / f"a.{ending}", (70, 41))
    assert (70, 41) == shown_size(tmp_path / f"a.{ending}")


def test_colours_are_red_first(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    assert [255, 0, 0] == read_picture(tmp_path / "a.png")[0, 0].tolist()


@pytest.mark.parametrize("content", [None, b"", b"not a picture"])
def test_a_picture_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PictureUnreadable) as caught:
        read_picture(tmp_path / "a.jpg")
    assert "a.jpg" in str(caught.value)
    assert shown_size(tmp_path / "a.jpg") is None


def test_the_real_sets_have_their_published_counts(shared_data: Path) -> None:
    counts = {}
    for specs in data_sets_below(str(shared_data)):
        for spec in specs:
            data_set = open_data_set(spec)
            counts[data_set.name] = (len(data_set.entries), sum(len(entry.objects) for entry in data_set.entries))
    assert {
        "bccd/test": (72, 945),
        "bccd/train": (205, 2805),
        "bccd/val": (87, 1138),
        "plates_ro/train": (427, 521),
        "plates_ro/valid": (107, 131),
    } == counts


def test_the_honest_split_of_plates_can_be_said(shared_data: Path) -> None:
    groups = "dayride_type1_002,dayride_type1_003"
    both = f"{shared_data}/plates_ro:train+valid"
    learn, judge = open_data_set(f"{both}?exclude={groups}"), open_data_set(f"{both}?include={groups}")
    assert (468, 66) == (len(learn.entries), len(judge.entries))
    assert not {entry.group for entry in learn.entries} & {entry.group for entry in judge.entries}
