"""Sliding windows, names of methods, proposals kept on disk, and how they are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.boxes import area
from streamdet.datasets.samples import Entry, Listed, Objects
from streamdet.errors import ConfigError
from streamdet.evaluation.proposals import draw_recall, score_proposals
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.contract import Proposals, Rgb
from streamdet.proposals.shelved import content_name, kept, proposals_of
from streamdet.proposals.sliding_windows import SlidingWindowOptions, SlidingWindows, pyramid_of_windows
from tests.unit.proposals.pictures import shapes


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.1, 1))
@settings(deadline=None, max_examples=40)
def test_windows_lie_inside_the_picture_and_reach_its_edges(width: int, height: int, stride: float) -> None:
    xyxy = pyramid_of_windows(width, height, SlidingWindowOptions(stride_ratio=stride))
    assert (xyxy >= 0).all()
    assert (xyxy[:, 2] <= width).all()
    assert (xyxy[:, 3] <= height).all()
    assert (area(xyxy) > 0).all()
    assert [0, 0, width, height] == [*xyxy[:, :2].min(0), *xyxy[:, 2:].max(0)]


def test_steps_are_no_longer_than_the_stride() -> None:
    options = SlidingWindowOptions(smallest_px=40, growth=9, aspects=(1.0,), stride_ratio=0.25)
    assert (np.diff(np.unique(pyramid_of_windows(333, 40, options)[:, 0])) <= 10 + 1e-4).all()


def test_a_method_is_named_with_its_options() -> None:
    proposer = open_proposer("sliding-windows?most=7&aspects=1,2.5&seed=2")
    assert SlidingWindowOptions(most=7, aspects=(1, 2.5), seed=2) == proposer.options
    assert 7 == len(proposer(shapes()))


@pytest.mark.parametrize("text", ["guessing", "selective-search?strategy=slow", "sliding-windows?speed=3"])
def test_a_method_that_is_not_understood_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        open_proposer(text)


@dataclass
class Counting:
    """Sliding windows that count how often they were asked."""

    name: str = "counting"
    options: SlidingWindowOptions = field(default_factory=lambda: SlidingWindowOptions(most=9))
    asked: int = 0

    def __call__(self, rgb: Rgb) -> Proposals:
        self.asked += 1
        return SlidingWindows(self.options)(rgb)


def _saved(folder: Path, count: int) -> Listed:
    import cv2

    entries = []
    for number in range(count):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.roll(shapes(), number, axis=1))
        box = np.array([[0, 0, 64, 64]], np.float32)
        truth = Objects(box, np.zeros(1, np.int64), np.zeros(1, np.bool_))
        entries.append(Entry(path.name, path, (128, 96), truth))
    return Listed("drawn", ("thing",), entries)


def test_proposals_are_worked_out_once(tmp_path: Path) -> None:
    data_set, proposer = _saved(tmp_path, 5), Counting()
    steps: list[tuple[int, int]] = []
    first = list(
        proposals_of(data_set, proposer, folder=tmp_path / "kept", workers=2, progress=lambda *at: steps.append(at))
    )
    again = list(proposals_of(data_set, proposer, folder=tmp_path / "kept", workers=2))
    assert 5 == proposer.asked
    assert [(number, 5) for number in range(1, 6)] == steps
    for one, other in zip(first, again, strict=True):
        assert one.xyxy.tolist() == other.xyxy.tolist()
        assert one.score.tolist() == other.score.tolist()


def test_another_option_or_picture_has_another_name() -> None:
    names = {
        content_name(rgb, Counting(options=SlidingWindowOptions(seed=seed)))
        for rgb in (shapes(), shapes()[::-1], shapes().reshape(128, 96, 3))
        for seed in (0, 1)
    }
    assert 6 == len(names)


def test_a_file_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    proposer = Counting()
    expected = kept(shapes(), proposer, tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    for spoilt in (b"", path.read_bytes()[:100]):
        path.write_bytes(spoilt)
        assert expected.xyxy.tolist() == kept(shapes(), proposer, tmp_path).xyxy.tolist()
    assert 3 == proposer.asked


def _entry(boxes: list[list[float]], ignored: list[bool]) -> Entry:
    truth = Objects(np.array(boxes, np.float32), np.zeros(len(boxes), np.int64), np.array(ignored))
    return Entry("a.png", Path("a.png"), (100, 100), truth)


def test_recall_counts_objects_that_a_proposal_lies_upon(tmp_path: Path) -> None:
    # the third is ignored, the fourth has no area
    entry = _entry([[0, 0, 10, 10], [50, 50, 60, 60], [0, 50, 9, 59], [5, 5, 5, 5]], [False, False, True, False])
    found = Proposals(np.array([[0, 0, 10, 6], [0, 0, 10, 10], [80, 80, 90, 90]], np.float32), np.ones(3, np.float32))
    got = score_proposals(Listed("two", ("thing",), [entry]), "by hand", [found], limit=10)
    assert (1, 2, 0.5, 0.5) == (got.pictures, got.objects, got.recall50, got.average_best_overlap)
    assert {1: 0.5, 3: 0.5, 10: 0.5} == got.recall_by_number
    assert {1: pytest.approx(0.15), 3: 0.5, 10: 0.5} == got.average_recall_by_number
    draw_recall([got], tmp_path / "recall.png")
    assert (tmp_path / "recall.png").stat().st_size > 1000


def test_a_picture_without_proposals_has_no_recall() -> None:
    none = Proposals(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    got = score_proposals(Listed("one", ("thing",), [_entry([[0, 0, 9, 9]], [False])]), "none", [none])
    assert 0 == got.recall50
