"""Over-segmentation and grouping, against OpenCV's and by what must hold for any picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.boxes import iou
from streamdet.proposals.appearance import Codes
from streamdet.proposals.grouping_kernels import group
from streamdet.proposals.segmentation import PixelGraph
from streamdet.proposals.segmentation_kernels import rising_order
from streamdet.proposals.selective_search import Cues, SelectiveSearch, SelectiveSearchOptions
from tests.unit.proposals.pictures import SHAPES_XYXY, hills, shapes

ORACLES = np.load(Path(__file__).with_name("oracles.npz"))


@pytest.mark.parametrize("scale", [50, 300])
@pytest.mark.parametrize("smallest", [10, 100])
def test_patches_are_those_of_opencv(scale: int, smallest: int) -> None:
    # hills() is the same within rounding of sine; numbers run by first pixel in both
    expected = ORACLES[f"segments_{scale}_{smallest}"]
    got = PixelGraph(hills()).segments(scale, smallest)
    assert expected.max() + 1 == got.count
    assert (expected == got.label).mean() > 0.999


@given(st.lists(st.floats(0, 1e6, width=32), max_size=300))
@settings(deadline=None, max_examples=40)
def test_radix_sorting_is_stable_sorting(values: list[float]) -> None:
    weight = np.abs(np.array(values, np.float32))
    assert np.argsort(weight, kind="stable").tolist() == rising_order(weight.view(np.uint32)).tolist()


@given(st.integers(2, 40), st.integers(2, 40), st.sampled_from([1, 3]), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_every_patch_is_connected_and_large_enough(height: int, width: int, channels: int, seed: int) -> None:
    import cv2

    picture = np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)
    got = PixelGraph(picture, 0).segments(200, 9)
    for number in range(got.count):
        parts, _ = cv2.connectedComponents((got.label == number).astype(np.uint8), connectivity=4)
        assert 2 == parts  # the background is one
    assert got.count == 1 or np.bincount(got.label.ravel()).min() >= 9


def test_a_larger_scale_gives_fewer_patches() -> None:
    graph = PixelGraph(hills())
    counts = [graph.segments(scale, 1).count for scale in (10, 50, 200, 1000)]
    assert sorted(counts, reverse=True) == counts


def test_histograms_add_up_to_one_and_joining_equals_counting_anew() -> None:
    from dataclasses import replace

    graph, codes = PixelGraph(shapes()), Codes(shapes())
    fine = graph.segments(50, 20)
    look = codes.of(fine)
    np.testing.assert_allclose(1, look.colour.sum(1), rtol=1e-5)
    np.testing.assert_allclose(1, look.texture.sum(1), rtol=1e-5)
    whole = codes.of(replace(fine, label=np.zeros_like(fine.label), count=1))
    share = look.size / look.size.sum()
    np.testing.assert_allclose(whole.colour[0], share @ look.colour, atol=1e-6)
    np.testing.assert_allclose(whole.texture[0], share @ look.texture, atol=1e-6)


def test_the_likest_neighbours_join_first() -> None:
    # four patches in a row; shades 0, 0, 1, 1
    colour = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    texture = np.ones((4, 1), np.float32)
    size = np.full(4, 10, np.int32)
    xyxy = np.array([[0, 0, 1, 10], [1, 0, 2, 10], [2, 0, 3, 10], [3, 0, 4, 10]], np.int32)
    pairs = np.array([[0, 1], [1, 2], [2, 3]], np.int32)
    boxes = group(colour, texture, size, xyxy, pairs, Cues(True, False, False, False).weights(), 40.0)
    assert {(0, 0, 2, 10), (2, 0, 4, 10)} == {tuple(box) for box in boxes[4:6].tolist()}
    assert [0, 0, 4, 10] == boxes[6].tolist()


def test_by_size_alone_small_ones_join_first() -> None:
    size = np.array([50, 5, 5, 50], np.int32)
    xyxy = np.array([[0, 0, 5, 10], [5, 0, 6, 5], [5, 5, 6, 10], [6, 0, 11, 10]], np.int32)
    pairs = np.array([[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]], np.int32)
    nothing = np.ones((4, 1), np.float32)
    boxes = group(nothing, nothing, size, xyxy, pairs, Cues(False, False, True, False).weights(), 110.0)
    assert [5, 0, 6, 10] == boxes[4].tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (40, 400), (400, 40), (2, 3)])
def test_pictures_of_any_aspect_are_searched(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    got = SelectiveSearch()(picture)
    assert len(got) >= 1
    assert (got.xyxy[:, 2:] > got.xyxy[:, :2]).all()
    assert (got.xyxy >= 0).all()
    assert (got.xyxy[:, 2] <= shape[1]).all()
    assert (got.xyxy[:, 3] <= shape[0]).all()


@pytest.mark.parametrize("strategy", ["single", "fast", "quality"])
def test_what_lies_in_a_picture_is_among_the_proposals(strategy: str) -> None:
    got = SelectiveSearch(SelectiveSearchOptions(strategy=strategy))(shapes())
    assert (iou(SHAPES_XYXY, got.xyxy).max(1) > 0.85).all()
    assert len(np.unique(got.xyxy, axis=0)) == len(got)
    assert (np.diff(got.score) <= 0).all()


def test_the_order_is_chance_and_the_same_every_time() -> None:
    first, again = (SelectiveSearch(SelectiveSearchOptions(seed=3))(shapes()) for _ in range(2))
    other = SelectiveSearch(SelectiveSearchOptions(seed=4))(shapes())
    assert first.xyxy.tolist() == again.xyxy.tolist()
    assert first.xyxy.tolist() != other.xyxy.tolist()
    assert sorted(first.xyxy.tolist()) == sorted(other.xyxy.tolist())


def test_a_limit_keeps_the_likeliest() -> None:
    every, few = SelectiveSearch()(shapes()), SelectiveSearch(SelectiveSearchOptions(most=5))(shapes())
    assert every.xyxy[:5].tolist() == few.xyxy.tolist()
