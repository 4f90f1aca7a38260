"""The characters and faces of plates."""

from __future__ import annotations

import numpy as np
import pytest

from streamdet.plate_formats import FORMATS, PlateFormat
from streamdet.scenes.glyphs import FAMILIES, STROKES, draw_line, strokes
from streamdet.scenes.plates import draw_plate


def test_every_character_of_every_grammar_has_a_glyph() -> None:
    needed = {character for plate in FORMATS for character in plate.letters} | set("0123456789")
    assert needed <= STROKES.keys()


@pytest.mark.parametrize("character", sorted(STROKES))
def test_strokes_stay_near_their_box(character: str) -> None:
    for stroke in strokes(character):
        assert stroke.min() >= -0.05
        assert stroke.max() <= 1.05


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_no_two_characters_look_alike(family: str) -> None:
    pictures = {}
    for character in "ABCDEFGHIJKLMNPQRSTUVWXYZ0123456789":
        mask = np.zeros((80, 90), np.uint8)
        draw_line(mask, character, FAMILIES[family], left=10, top=10, height=60, group_gap=0)
        pictures[character] = mask.astype(np.float64) / 255
    names = sorted(pictures)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            together = (
                np.minimum(pictures[one], pictures[other]).sum() / np.maximum(pictures[one], pictures[other]).sum()
            )
            assert together < 0.97, (one, other)


@pytest.mark.parametrize("plate", FORMATS, ids=lambda plate: plate.key)
def test_a_plate_tells_where_each_character_stands(plate: PlateFormat) -> None:
    art = draw_plate(plate, np.random.default_rng(3))
    height, width = art.bgr.shape[:2]
    assert (len(art.text), 4) == art.characters_xyxy.shape
    assert plate.matches(art.text)
    assert art.characters_xyxy.min() >= 0
    assert (art.characters_xyxy[:, 2] <= width).all()
    assert (art.characters_xyxy[:, 3] <= height).all()
    ground = art.bgr.astype(int).sum(2)
    for left, top, right, bottom in art.characters_xyxy.astype(int).tolist():
        inside = ground[top:bottom, left:right]
        assert inside.min() < inside.max() - 150  # there is ink on the ground


def test_the_same_seed_draws_the_same_plate() -> None:
    one, other = (draw_plate(FORMATS[0], np.random.default_rng(5)) for _ in range(2))
    assert one.text == other.text
    assert np.array_equal(one.bgr, other.bgr)
