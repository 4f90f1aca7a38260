"""Plates laid into pictures for a detector: boxes with slack, corners, and what stays as it was labelled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.datasets.samples import Entry, Listed, Objects
from streamdet.errors import ConfigError
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.augment.options import AugmentOptions
from streamdet.training.batches import Order, Share, prepared
from streamdet.training.rendered_plates import Grounds, RenderedPlates, SceneSamples, samples_with, with_corners

SIZE = (256, 160)
PLAIN = AugmentOptions(mosaic=0.0, flip_horizontal=0.0, hue=0.0, saturation=0.0, brightness=0.0)


@pytest.fixture
def street(tmp_path: Path) -> Listed:
    """Four grey pictures, each with a labelled plate in the middle."""
    entries = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        picture = np.full((320, 512, 3), 60 + 20 * number, np.uint8)
        picture[150:180, 200:300] = 230
        assert cv2.imwrite(str(path), picture)
        objects = Objects(np.array([[200, 150, 300, 180]], np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_))
        entries.append(Entry(path.name, path, (512, 320), objects))
    return Listed("street", ("plate",), tuple(entries))


def _csv(path: Path, head: str, *rows: str) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def _samples(street: Listed, **options: object) -> SceneSamples:
    rendered = RenderedPlates.model_validate({"share": 1.0, "streets": 0, **options})
    learnt = with_corners(street, rendered)
    return samples_with(Augmenter(learnt, PLAIN, SIZE), Grounds(learnt, 0, 0.0), rendered, SIZE)


def test_scenes_do_not_depend_on_who_draws_them(street: Listed) -> None:
    samples, order = _samples(street, share=0.5), Order(4, 3)
    alone, shared = (
        [step[0] for step in prepared(samples, order, Share(2), range(3), workers=workers)] for workers in (0, 2)
    )
    for one, other in zip(alone, shared, strict=True):
        assert one.keys == other.keys
        assert bool((one.pixels == other.pixels).all())
        assert bool((one.targets.xyxy == other.targets.xyxy).all())


def test_the_share_says_how_many_are_rendered(street: Listed) -> None:
    samples, order = _samples(street, share=0.3), Order(4, 3)
    keys = [samples.sample(*order.at(place)).key for place in range(60)]
    assert 8 <= sum(key.startswith("rendered/") for key in keys) <= 30


def test_boxes_of_ours_have_slack_and_hold_their_corners(street: Listed) -> None:
    tight, loose = _samples(street), _samples(street, slack=(0.1, 0.2, 0.1, 0.2))
    grown = 0
    for seed in range(40):
        one, other = tight.sample(0, seed).objects, loose.sample(0, seed).objects
        assert len(one) == len(other)
        for row in range(len(one)):
            points = one.keypoints[row] if one.keypoints is not None else np.zeros((4, 3))
            if points[:, 2].min() < 1:
                continue  # of the photograph, or partly outside
            assert (points[:, 0] >= one.xyxy[row, 0] - 0.01).all()
            assert (points[:, 0] <= one.xyxy[row, 2] + 0.01).all()
            assert (other.xyxy[row, :2] <= one.xyxy[row, :2]).all()
            assert (other.xyxy[row, 2:] >= one.xyxy[row, 2:]).all()
            grown += int((other.xyxy[row] != one.xyxy[row]).any())
    assert grown > 20


def test_corners_of_labelled_plates_come_from_a_file(street: Listed, tmp_path: Path) -> None:
    head = "file,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y"
    path = _csv(tmp_path / "corners.csv", head, "1.png,200.00,150.00,300.00,180.00,203,155,294,155,294,173,203,173")
    learnt = with_corners(street, RenderedPlates(corners=path))
    known = [entry.objects.keypoints[0, :, 2].tolist() for entry in learnt.entries]  # type: ignore[index]
    assert [[-1.0] * 4, [1.0] * 4, [-1.0] * 4, [-1.0] * 4] == known
    other = _csv(tmp_path / "others.csv", head, "9.png,200.00,150.00,300.00,180.00,203,155,294,155,294,173,203,173")
    with pytest.raises(ConfigError, match="no corner"):
        with_corners(street, RenderedPlates(corners=other))


def test_plates_without_a_label_are_ignored_in_pictures_and_in_scenes(street: Listed, tmp_path: Path) -> None:
    path = _csv(tmp_path / "ignore.csv", "file,x1,y1,x2,y2,reason", "0.png,20.0,30.0,60.0,42.0,far")
    samples = _samples(street, ignored=path, over_known=1.0)
    assert [True] == samples.real.data_set.entries[0].objects.ignored[1:].tolist()
    seen = [objects for seed in range(60) if (objects := samples.sample(0, seed).objects).ignored.any()]
    assert seen  # a window on that picture
    # nothing of ours is laid over what is ignored, so it stays where it is
    assert all(len(objects) >= 1 for objects in seen)


def test_a_labelled_plate_keeps_its_box_in_a_scene(street: Listed) -> None:
    samples = _samples(street, over_known=0.0, slack=(0.5, 0.5, 0.5, 0.5), plate_px=(6.0, 8.0))
    found = 0
    for seed in range(40):
        objects = samples.sample(0, seed).objects
        assert objects.keypoints is not None
        for row in np.flatnonzero(objects.keypoints[:, 0, 2] < 0):
            left, top, right, bottom = objects.xyxy[row].tolist()
            whole = left > 1 and top > 1 and right < SIZE[0] - 1 and bottom < SIZE[1] - 1
            if whole:
                assert (right - left) / (bottom - top) == pytest.approx(100 / 30, rel=0.1)
                found += 1
    assert found > 5


def test_plates_are_small_in_small_pictures(street: Listed) -> None:
    large = _samples(street)
    half = samples_with(large.real.variant(size=(128, 96)), large.backgrounds, large.options, SIZE)
    assert large.scenes.plate_px[1] == 2 * half.scenes.plate_px[1]
    assert (96, 128, 3) == half.sample(0, 5).rgb.shape
