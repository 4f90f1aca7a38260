"""Masks: runs as pycocotools packs them, soft ones pasted, cut and spread."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as oracle

from streamdet.boxes import place
from streamdet.errors import DataError
from streamdet.masks import ClassMap, mask_of, packed, pasted, recut, runs_in, runs_of, runs_pasted, unpacked

sides = st.tuples(st.integers(1, 40), st.integers(1, 50))
masks = sides.flatmap(lambda shape: arrays.arrays(np.uint8, shape, elements=st.integers(0, 1), fill=st.integers(0, 1)))


def packed_by_the_oracle(mask: np.ndarray) -> dict[str, object]:
    runs = oracle.encode(np.asfortranarray(mask))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


@settings(max_examples=150, deadline=None)
@given(masks)
def test_runs_are_those_of_pycocotools_and_lead_back(mask: np.ndarray):
    runs = runs_of(mask)
    assert packed_by_the_oracle(mask) == runs
    assert np.array_equal(mask, mask_of(runs, "here"))


@settings(max_examples=40, deadline=None)
@given(masks)
def test_runs_as_numbers_are_read_too(mask: np.ndarray):
    edges = np.flatnonzero(np.diff(mask.T.reshape(-1), prepend=0)).tolist()
    numbers = np.diff([0, *edges, mask.size]).tolist()
    assert np.array_equal(mask, mask_of({"size": list(mask.shape), "counts": numbers}, "here"))


@settings(max_examples=100, deadline=None)
@given(masks, st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_a_part_has_the_runs_of_the_whole(mask: np.ndarray, before: tuple[int, int], after: tuple[int, int]):
    whole = np.pad(mask, [(before[1], after[1]), (before[0], after[0])])
    assert packed_by_the_oracle(whole) == runs_in(mask, before, (whole.shape[1], whole.shape[0]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1 << 30), max_size=30))
def test_lengths_are_packed_and_unpacked(lengths: list[int]):
    assert lengths == unpacked(packed(lengths), "here")


@pytest.mark.parametrize("text", ["~", " ", "P"])
def test_damaged_runs_are_told(text: str):
    with pytest.raises(DataError):
        mask_of({"size": [4, 4], "counts": text}, "here")


PLACES = [(10.0, 20.0, 38.0, 48.0), (3.3, 5.7, 60.2, 71.9), (-12.4, -3.0, 30.5, 20.2), (70.0, 60.0, 130.0, 99.0)]


@pytest.mark.parametrize("xyxy", PLACES)
def test_a_mask_is_pasted_as_opencv_would_stretch_it(xyxy: tuple[float, float, float, float]):
    soft = np.random.default_rng(3).random((28, 28)).astype(np.float32)
    size = (100, 80)
    left, top, right, bottom = xyxy
    way = np.array(
        [[28 / (right - left), 0, -left * 28 / (right - left)], [0, 28 / (bottom - top), -top * 28 / (bottom - top)]]
    )
    xs, ys = np.meshgrid(np.arange(100) + 0.5, np.arange(80) + 0.5)
    u, v = (way[0, 0] * xs + way[0, 2] - 0.5, way[1, 1] * ys + way[1, 2] - 0.5)
    stretched = cv2.remap(
        soft, np.clip(u, 0, 27).astype(np.float32), np.clip(v, 0, 27).astype(np.float32), cv2.INTER_LINEAR
    )
    inside = (xs >= left) & (xs < right) & (ys >= top) & (ys < bottom)
    part, (column, row) = pasted(soft, xyxy, size)
    whole = np.zeros((80, 100), np.uint8)
    whole[row : row + part.shape[0], column : column + part.shape[1]] = part
    sure = np.abs(stretched - 0.5) > 0.03  # OpenCV counts thirty-seconds of a pixel
    assert np.array_equal(((stretched >= 0.5) & inside)[sure], whole[sure] > 0)
    assert np.array_equal(whole, mask_of(runs_pasted(soft, xyxy, size), "here"))


def test_a_box_that_is_nowhere_covers_nothing():
    soft = np.ones((4, 4), np.float32)
    for xyxy in [(5.0, 5.0, 5.0, 9.0), (np.nan, 0.0, 4.0, 4.0), (200.0, 0.0, 240.0, 9.0), (2.6, 2.6, 3.2, 3.2)]:
        assert 0 == mask_of(runs_pasted(soft, xyxy, (64, 48)), "here").sum()


def test_a_mask_that_is_cut_with_its_box_stays_in_its_place():
    soft = np.zeros((2, 28, 28), np.float32)
    soft[:, 4:20, 6:25] = 1
    xyxy = np.array([[-20.0, -10.0, 80.0, 60.0], [10.0, 10.0, 30.0, 30.0]], np.float32)
    cut = np.array([[0.0, 0.0, 64.0, 48.0], [10.0, 10.0, 30.0, 30.0]], np.float32)
    again = recut(soft, xyxy, cut)
    assert np.array_equal(soft[1], again[1])
    before, after = (mask_of(runs_pasted(*pair, (64, 48)), "here") for pair in [(soft[0], xyxy[0]), (again[0], cut[0])])
    assert 0.95 < (before & after).sum() / (before | after).sum()


def test_a_class_map_lies_over_the_frame_and_not_over_its_margins():
    placement = place((200, 100), (64, 64))
    labels = np.zeros((64, 64), np.uint8)
    labels[16:48, :32] = 2  # the left half of the picture
    labels[:16] = 1  # the margin above it
    found = ClassMap.of_input(labels, ("a", "b"), placement)
    assert (32, 64) == found.labels.shape
    shown = found.at((200, 100))
    assert (100, 200) == shown.shape
    assert (shown[:, :100] == 2).all()
    assert (shown[:, 100:] == 0).all()


def test_a_class_map_coarser_than_the_input_is_cut_alike():
    labels = np.zeros((32, 32), np.uint8)
    labels[8:24] = 1
    found = ClassMap.of_input(labels, ("a",), place((200, 100), (64, 64)))
    assert (16, 32) == found.labels.shape
    assert found.labels.all()


def test_classes_that_are_not_wanted_become_nothing():
    found = ClassMap(np.array([[0, 1], [2, 3]], np.uint8), ("a", "b", "c"))
    assert [[0, 1], [0, 3]] == found.only(np.array([True, False, True])).labels.tolist()
    assert [[0, 1], [2, 3]] == found.labels.tolist()
