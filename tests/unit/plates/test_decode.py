"""Decoding: a perfect network's maps give the text; what a worse one says still makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from streamdet.errors import EngineMismatch, ManifestInvalid
from streamdet.frames import Frame
from streamdet.picture import Picture
from streamdet.plates import kernels
from streamdet.plates.decode import Decoder, Reading, from_sequence, joined
from streamdet.plates.reader import EngineReader, EngineReaderWorker, PlateView
from streamdet.plates.rectify import plate_size, quadrilateral, widened, worth
from streamdet.scenes.plate_crops import Crop, CropOptions, plate_crop
from streamdet.scenes.plate_kinds import Kinds
from streamdet.testing import FakeBackend, FakeReaderBackend, reader_manifest
from streamdet.testing.reading import ALPHABET

SURE = 6.0  # logits of a perfect network


def maps_of(crop: Crop, sure: float = SURE) -> dict[str, npt.NDArray[np.float32]]:
    """What a perfect reader says of a rendered crop."""
    glyph = np.full((37, *crop.labels.shape), -sure, np.float32)
    np.put_along_axis(glyph, crop.labels[None].astype(np.int64), sure, axis=0)
    core, line = (np.where(mask, sure, -sure).astype(np.float32) for mask in (crop.core > 0, crop.lines == 2))
    return {"glyph": glyph, "core": core, "line": line}


def sequence_of(text: str, steps: int = 48, sure: float = SURE) -> npt.NDArray[np.float32]:
    """CTC logits that say this text, a blank between any two characters."""
    logits = np.full((steps, 37), -sure, np.float32)
    logits[:, 0] = sure
    for i, letter in enumerate(text):
        logits[1 + 3 * i] = -sure
        logits[1 + 3 * i, 1 + ALPHABET.index(letter)] = sure
    return logits


def text_of(reading: Reading) -> str:
    return "".join(ALPHABET[k] for k in reading.classes)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("glyph_px", [(16.0, 60.0), (8.0, 16.0)])
def test_a_perfect_networks_maps_give_the_text(split: Any, glyph_px: tuple[float, float]) -> None:
    decoder = Decoder(36)
    options = CropOptions(glyph_px=glyph_px, negatives=0.0, kinds=Kinds(split=split))
    wrong = []
    for index in range(40):
        crop = plate_crop(5, index, options)
        maps = maps_of(crop)
        reading = decoder.from_maps(maps["glyph"], maps["core"], maps["line"])
        if text_of(reading) != crop.text:
            wrong.append((crop.format_key, crop.text, text_of(reading)))
        else:
            assert crop.line_of == tuple(reading.line)
            middle = (reading.xyxy[:, :2] + reading.xyxy[:, 2:]) / 2
            inside = (crop.characters_xyxy[:, :2] < middle) & (middle < crop.characters_xyxy[:, 2:])
            assert inside.all()
    assert [] == wrong


def test_nothing_stands_on_what_is_no_plate() -> None:
    crop = plate_crop(5, 0, CropOptions(negatives=1.0))
    reading = Decoder(36).read({name: maps[None] for name, maps in maps_of(crop).items()}, 0)
    assert 0 == len(reading)
    assert 0.0 == reading.score


def test_components_are_those_of_scipy() -> None:
    dice = np.random.default_rng(3)
    for share in (0.1, 0.4, 0.6, 0.9):
        inside = (dice.random((32, 96)) < share).astype(np.float32) - 0.5
        labels = np.zeros(inside.shape, np.int32)
        count = kernels.components(inside, labels)
        expected, wanted = ndimage.label(inside > 0, structure=np.ones((3, 3)))
        assert wanted == count
        assert wanted == len(np.unique(np.stack([expected, labels])[:, inside > 0], axis=1).T), "one name each"


def test_small_print_and_specks_are_no_characters() -> None:
    glyph = np.full((37, 32, 96), -SURE, np.float32)
    core = np.full((32, 96), -SURE, np.float32)
    for number, (left, top, height) in enumerate([(10, 10, 10), (30, 10, 10), (50, 10, 10), (70, 24, 4), (90, 2, 1)]):
        core[top : top + height, left : left + 3] = SURE
        glyph[1 + number, top : top + height, left - 1 : left + 5] = SURE
    reading = Decoder(36).from_maps(glyph, core, np.full_like(core, -SURE))
    assert "012" == text_of(reading)


def test_a_sequence_is_its_runs_without_blanks() -> None:
    assert "AA0B" == text_of(from_sequence(sequence_of("AA0B")))
    assert 0 == len(from_sequence(sequence_of("")))


def test_of_what_a_character_is_both_opinions_are_heard_and_the_sequence_more() -> None:
    sure, unsure = from_sequence(sequence_of("AB8")), from_sequence(sequence_of("AB0", sure=0.4))
    assert "AB8" == text_of(joined(sure, unsure)) == text_of(joined(unsure, sure))
    contrary = joined(sure, from_sequence(sequence_of("AB0")))
    assert "AB0" == text_of(contrary)
    assert contrary.confidence[2] < 0.6 < 0.9 < contrary.confidence[0]


@given(st.text("AB1", max_size=8), st.text("AB1", max_size=8))
def test_a_joined_reading_has_as_many_characters_as_the_sequence(mapped: str, sequence: str) -> None:
    assert sequence == text_of(joined(from_sequence(sequence_of(mapped)), from_sequence(sequence_of(sequence))))


def test_a_thin_character_that_the_maps_lost_is_read_none_the_less_and_the_others_keep_their_places() -> None:
    mapped = from_sequence(sequence_of("B305CL"))
    mapped = replace(mapped, xyxy=np.arange(24, dtype=np.float32).reshape(6, 4))
    reading = joined(mapped, from_sequence(sequence_of("B305CIL")))
    assert "B305CIL" == text_of(reading)
    assert [0.0, 4.0, 8.0, 12.0, 16.0, 0.0, 20.0] == reading.xyxy[:, 0].tolist()
    assert reading.confidence[5] < reading.confidence[4]


def test_a_seal_that_only_the_maps_took_for_a_character_is_left_out() -> None:
    assert "AB12" == text_of(joined(from_sequence(sequence_of("AB812")), from_sequence(sequence_of("AB12"))))


def oracle(crops: list[Crop]) -> FakeReaderBackend:
    """A reader that knows these crops by their pixels."""
    known = {crop.pixels.tobytes(): crop for crop in crops}

    def maps(pixels: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        found = [known[each[0].tobytes()] for each in pixels]
        said = [maps_of(crop) | {"sequence": sequence_of(crop.text)} for crop in found]
        return {name: np.stack([each[name] for each in said]) for name in said[0]}

    return FakeReaderBackend(maps)


def test_an_engine_reads_crops_in_batches() -> None:
    crops = [plate_crop(6, index, CropOptions(glyph_px=(16, 40), negatives=0.0)) for index in range(11)]
    backend = oracle(crops)
    worker = EngineReaderWorker(EngineReader(backend), backend.session())  # not warm: it knows no grey picture
    looks = worker.read_crops(np.stack([crop.pixels[None] for crop in crops]))
    assert [crop.text for crop in crops] == [look.text.reveal() for look in looks]
    assert all(crop.line_of == tuple(look.reading.line) for crop, look in zip(crops, looks, strict=True))
    assert 64 == len(looks[0].sha256)


def test_a_plate_in_a_frame_is_pulled_straight_as_in_training() -> None:
    seen: list[npt.NDArray[np.uint8]] = []

    def maps(pixels: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        seen.append(pixels.copy())
        n = len(pixels)
        flat = np.full((n, 32, 96), -SURE, np.float32)
        return {"glyph": np.full((n, 37, 32, 96), -SURE, np.float32), "core": flat, "line": flat}

    manifest = reader_manifest(batch=2)
    worker = EngineReader(FakeReaderBackend(maps, manifest)).worker()
    crop = plate_crop(7, 1, CropOptions(glyph_px=(30, 31), negatives=0.0, severity=0.0))
    field = np.full((100, 300), 90, np.uint8)
    field[18:82, 54:246] = crop.pixels
    grown = np.float32(1 / 1.075)
    half = np.array([96, 32], np.float32) * grown
    box = np.concatenate([np.array([150, 50]) - half, np.array([150, 50]) + half]).astype(np.float32)
    views = [PlateView.of(box, None)] * 3
    looks = worker.read(Frame("one", 0, 0.0, Picture((field,), "gray")), views)
    assert [1, 2, 1] == [len(each) for each in seen]  # warm, then in batches of two
    assert np.abs(seen[1][0, 0].astype(int) - crop.pixels).mean() < 1.0
    assert pytest.approx(64 * grown, rel=1e-3) == looks[0].size[1]
    worker.close()


def test_corners_that_span_nothing_are_no_look() -> None:
    flat = {"glyph": np.zeros((8, 37, 32, 96), np.float32), "core": np.zeros((8, 32, 96), np.float32)}
    worker = EngineReader(FakeReaderBackend(lambda pixels: flat | {"line": flat["core"]})).worker()
    nowhere = PlateView(np.zeros((4, 2), np.float32), 1.0)
    fine = PlateView.of(np.array([2, 2, 40, 12], np.float32), None)
    looks = worker.read(Frame("one", 0, 0.0, Picture((np.zeros((50, 60), np.uint8),), "gray")), [nowhere, fine])
    assert [True, False] == [look is None for look in looks]


def test_corners_are_believed_where_they_fill_their_box() -> None:
    box = np.array([10, 10, 110, 40], np.float32)
    good = np.array([(12, 10, 0.9), (110, 14, 0.9), (108, 40, 0.9), (10, 36, 0.9)], np.float32)
    corners, score = quadrilateral(box, good)
    assert np.array_equal(good[:, :2], corners)
    assert pytest.approx(0.9) == score
    crossed = good[[0, 2, 1, 3]]
    for bad in (None, crossed, good * np.array([0.2, 0.2, 1], np.float32)):
        corners, score = quadrilateral(box, bad)
        assert [(10, 10), (110, 10), (110, 40), (10, 40)] == [tuple(point) for point in corners.tolist()]
        assert score < 0.9


def test_a_plate_grows_along_its_own_directions() -> None:
    corners = np.array([(0, 0), (100, 20), (95, 45), (-5, 25)], np.float32)
    before, after = plate_size(corners), plate_size(widened(corners, 0.1))
    assert [1.1, 1.1] == [pytest.approx(new / old, rel=1e-4) for old, new in zip(before, after, strict=True)]
    assert np.allclose(corners.mean(0), widened(corners).mean(0), atol=1e-4)


def test_a_sharp_large_look_with_good_corners_weighs_more() -> None:
    best = worth(0.8, (150, 32), 1.0)
    assert best > worth(0.4, (150, 32), 1.0) > worth(0.4, (60, 12), 1.0) > worth(0.4, (60, 12), 0.6)
    assert 0.1 <= worth(0.0, (1, 1), 0.0) <= best <= 2.0


def test_a_blurred_crop_is_less_sharp() -> None:
    crop = plate_crop(7, 2, CropOptions(glyph_px=(40, 41), negatives=0.0, severity=0.0)).pixels
    blurred = ndimage.gaussian_filter(crop.astype(np.float32), 3).astype(np.uint8)
    assert kernels.edge_energy(crop[None]) > 2 * kernels.edge_energy(blurred[None])


def test_a_detector_does_not_read() -> None:
    with pytest.raises(EngineMismatch, match="does not read"):
        EngineReader(FakeBackend())


def test_a_reader_names_its_alphabet_and_its_maps() -> None:
    fields = reader_manifest().model_dump(by_alias=True)
    for change in ({"alphabet": ""}, {"alphabet": "AAB"}, {"outputs": {"glyph": "glyph"}}):
        with pytest.raises((ManifestInvalid, ValueError)):
            type(reader_manifest()).model_validate(fields | change)
