"""Masks and maps of classes on pictures and in records."""

from __future__ import annotations

import numpy as np
import pytest
from made_results import make_result
from record_schema import assert_conforms

from streamdet.drawing.colours import colour_of
from streamdet.drawing.overlay import DrawOptions, Overlay
from streamdet.drawing.planes import canvas_of
from streamdet.frames import Detections, Result
from streamdet.masks import ClassMap, mask_of
from streamdet.records import result_record

BARE = DrawOptions(labels=False, header=False, trail_s=0)


@pytest.fixture
def masked() -> Result:
    """An object at (41, 61)-(101, 141) of which the upper half is filled."""
    result = make_result(0, size=(321, 241), objects=1, tracked=False)
    assert result.detections is not None
    result.detections.xyxy = np.array([[41, 61, 101, 141]], np.float32)
    result.detections.masks = np.zeros((1, 28, 28), np.float32)
    result.detections.masks[:, :14] = 1
    return result


@pytest.fixture
def mapped() -> Result:
    """A picture whose left quarter is of the second class."""
    labels = np.zeros((12, 16), np.uint8)
    labels[:, :4] = 2
    found = Detections.empty(("ink", "paper"))
    found.class_map = ClassMap(labels, found.names)
    return Result(make_result(0, size=(320, 240)).frame, found)


def test_an_objects_area_is_tinted_and_nothing_else(masked: Result):
    before, after = canvas_of(masked.frame.picture), canvas_of(masked.frame.picture)
    Overlay(BARE).draw(after, masked)
    inner = np.s_[64:136, 44:98]
    changed = (before.y != after.y)[inner]
    assert changed[: 101 - 64].all()
    assert not changed[101 - 64 :].any()
    luma = after.colour(colour_of(0))[0]
    assert round(0.45 * luma + 0.55 * int(before.y[80, 70])) == pytest.approx(int(after.y[80, 70]), abs=2)
    assert not (before.u != after.u)[:30].any()


def test_areas_can_be_left_out(masked: Result, mapped: Result):
    for result in (masked, mapped):
        shown = canvas_of(result.frame.picture)
        Overlay(BARE.model_copy(update={"masks": False})).draw(shown, result)
        assert np.array_equal(canvas_of(result.frame.picture).y[66:130, 60:90], shown.y[66:130, 60:90])


def test_a_map_of_classes_is_tinted_class_by_class(mapped: Result):
    before, after = canvas_of(mapped.frame.picture), canvas_of(mapped.frame.picture)
    Overlay(BARE).draw(after, mapped)
    assert (before.y != after.y)[:, :80].all()
    assert np.array_equal(before.y[:, 80:], after.y[:, 80:])


def test_the_header_of_a_map_tells_what_covers_how_much(mapped: Result):
    one, other = canvas_of(mapped.frame.picture), canvas_of(mapped.frame.picture)
    Overlay(DrawOptions(masks=False)).draw(one, mapped)
    assert mapped.detections is not None
    assert mapped.detections.class_map is not None
    mapped.detections.class_map.labels[:] = 0
    Overlay(DrawOptions(masks=False)).draw(other, mapped)
    assert not np.array_equal(one.y, other.y)


def test_an_objects_mask_stands_in_its_record(masked: Result):
    record = result_record(masked)
    assert_conforms(record)
    mask = mask_of(record["objects"][0]["mask"], "here")
    assert (241, 321) == mask.shape
    assert mask[61:101, 41:101].all()
    assert 40 * 60 == mask.sum()


def test_an_object_without_a_mask_has_none_in_its_record(masked: Result):
    assert masked.detections is not None
    masked.detections.masks = np.zeros((1, 28, 28), np.float32)
    record = result_record(masked)
    assert_conforms(record)
    assert "mask" not in record["objects"][0]


def test_a_map_of_classes_stands_in_the_record_class_by_class(mapped: Result):
    record = result_record(mapped)
    assert_conforms(record)
    assert [] == record["objects"]
    (region,) = record["regions"]
    assert (1, "paper", 0.25) == (region["class_id"], region["class"], region["area_ratio"])
    mask = mask_of(region["mask"], "here")
    assert (240, 320) == mask.shape
    assert mask[:, :80].all()
    assert not mask[:, 80:].any()
